"""PhraseLDM -> songs as MIDI, and a gallery."""

from prefect import flow

from flows.prepare_data import prepare
from flows.train_diffusion import Models, train_models
from tasks.engine.stage import ArtifactRef, StageRunner
from tasks.launch import Launch, Request, launch
from tasks.stages.generate_songs import generation_stage


def generate(runner: StageRunner, launched: Launch, models: Models) -> ArtifactRef:
    """Run the stage of this part."""
    return runner.run(generation_stage(launched.config, models.vae, models.diffusion))


@flow(name="generate-songs")
def generate_songs(request: Request) -> str:
    """Everything up to a batch of songs; returns their folder."""
    launched = launch(request, orchestrated=True)
    with launched.running() as runner:
        models = train_models(runner, launched, prepare(runner, launched))
        songs = generate(runner, launched, models)
    return str(songs.folder)
