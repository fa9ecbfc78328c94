"""PhraseVAE: a phrase as one latent."""
