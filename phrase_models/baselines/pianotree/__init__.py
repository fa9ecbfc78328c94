"""PianoTree VAE (Wang et al. 2020): a bar as one latent."""
