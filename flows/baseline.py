"""PianoTree VAE on whole bars: the baseline beside PhraseVAE (paper table 4)."""

from prefect import flow

from flows.prepare_data import Corpus, prepare
from tasks.engine.stage import ArtifactRef, StageRunner
from tasks.launch import Launch, Request, launch
from tasks.stages.collect_phrases import phrases_stage
from tasks.stages.score_pianotree import pianotree_score_stage
from tasks.stages.train_pianotree import pianotree_stage


def train_pianotree(runner: StageRunner, launched: Launch, corpus: Corpus) -> ArtifactRef:
    """The baseline and its figures on held-out songs."""
    phrases = runner.run(phrases_stage(corpus.tables))
    vae = runner.run(pianotree_stage(launched.config, phrases))
    runner.run(pianotree_score_stage(launched.config, corpus.tables, vae))
    return vae


@flow(name="baseline")
def baseline(request: Request) -> str:
    """Everything up to a trained PianoTree VAE; returns its folder."""
    launched = launch(request, orchestrated=True)
    launched.recorded = False
    with launched.running() as runner:
        vae = train_pianotree(runner, launched, prepare(runner, launched))
    return str(vae.folder)
