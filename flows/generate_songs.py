"""A generator -> songs as MIDI, and a gallery."""

from prefect import flow

from flows.prepare_data import Corpus, prepare
from flows.train_diffusion import Models, train_models
from tasks.engine.stage import ArtifactRef, StageRunner
from tasks.launch import Launch, Request, launch
from tasks.stages.generate_songs import generation_stage


def generate(runner: StageRunner, launched: Launch, corpus: Corpus, models: Models) -> ArtifactRef:
    """Run the stage of this part, with the generator that the configuration names."""
    return runner.run(
        generation_stage(
            launched.config.generation,
            launched.generator,
            {"songs": corpus.songs, "vae": models.vae, "diffusion": models.diffusion},
        )
    )


@flow(name="generate-songs")
def generate_songs(request: Request) -> str:
    """Everything up to a batch of songs; returns their folder."""
    launched = launch(request, orchestrated=True)
    with launched.running() as runner:
        corpus = prepare(runner, launched)
        models = train_models(runner, launched, corpus)
        songs = generate(runner, launched, corpus, models)
    return str(songs.folder)
