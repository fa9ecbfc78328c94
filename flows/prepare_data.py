"""Source -> songs on the grid -> the tables of the corpus."""

from dataclasses import dataclass

from prefect import flow

from tasks.engine.stage import ArtifactRef, StageRunner
from tasks.launch import Launch, Request, launch
from tasks.stages.compose_corpus import corpus_stage
from tasks.stages.ingest_songs import ingest_stage
from tasks.stages.tokenise_songs import tokenise_stage


@dataclass(frozen=True)
class Corpus:
    """What preparation leaves: songs on the grid, and their tables."""

    songs: ArtifactRef
    tables: ArtifactRef


def prepare(runner: StageRunner, launched: Launch) -> Corpus:
    """Run the stages of this part."""
    config = launched.config
    composition = corpus_stage(config)
    corpus = runner.run(composition) if composition else None
    songs = runner.run(ingest_stage(config, corpus=corpus, data=launched.data))
    return Corpus(songs, runner.run(tokenise_stage(songs)))


@flow(name="prepare-data")
def prepare_data(request: Request) -> dict[str, str]:
    """Ingestion and tokenisation only."""
    launched = launch(request, orchestrated=True)
    with launched.running() as runner:
        corpus = prepare(runner, launched)
    return {"songs": str(corpus.songs.folder), "tables": str(corpus.tables.folder)}
