"""PhraseLDM: a song of latents by diffusion."""
