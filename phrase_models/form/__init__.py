"""What a song repeats and where it is silent: form as an object, and priors that draw it."""
