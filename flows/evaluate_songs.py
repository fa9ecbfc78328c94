"""Generated songs beside real ones -> metrics."""

from prefect import flow

from flows.generate_songs import generate
from flows.prepare_data import Corpus, prepare
from flows.train_diffusion import Models, train_models
from tasks.engine.stage import ArtifactRef, StageRunner
from tasks.launch import Launch, Request, launch
from tasks.stages.evaluate_songs import evaluation_stage


def evaluate(
    runner: StageRunner, launched: Launch, corpus: Corpus, models: Models, songs: ArtifactRef
) -> ArtifactRef:
    """Run the stage of this part."""
    return runner.run(evaluation_stage(launched.config, corpus.songs, models.latents, songs))


@flow(name="evaluate-songs")
def evaluate_songs(request: Request) -> str:
    """Everything up to the metrics; returns their folder."""
    launched = launch(request, orchestrated=True)
    with launched.running() as runner:
        corpus = prepare(runner, launched)
        models = train_models(runner, launched, corpus)
        songs = generate(runner, launched, corpus, models)
        metrics = evaluate(runner, launched, corpus, models, songs)
    return str(metrics.folder)
