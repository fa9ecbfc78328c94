"""The names of all stages, in the order of the road."""

STAGE_NAMES = (
    "compose_corpus",
    "ingest_songs",
    "tokenise_songs",
    "collect_phrases",
    "train_infilling",
    "train_autoencoder",
    "score_autoencoder",
    "train_vae",
    "score_reconstruction",
    "train_pianotree",
    "score_pianotree",
    "encode_latents",
    "collect_songs",
    "train_diffusion",
    "generate_songs",
    "evaluate_songs",
)

SIDE_STAGES = ("score_autoencoder", "train_pianotree", "score_pianotree")
"""Those that only `sweep` and `baseline` run."""
