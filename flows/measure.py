"""The stages that measure a registered model; what is up to date is taken from the store."""

from tasks.engine.stage import ArtifactRef, StageRunner
from tasks.promotion.measuring import Measurable


def measure(runner: StageRunner, model: Measurable) -> tuple[ArtifactRef, ArtifactRef]:
    """Score its PhraseVAE on held-out songs, have it write songs, and measure these.

    Returns:
        What `score_reconstruction` and `evaluate_songs` left.
    """
    scored = runner.run(model.score_stage())
    latents = runner.run(model.latents_stage())
    songs = runner.run(model.songs_stage())
    return scored, runner.run(model.evaluation_stage(latents, songs))
