"""Songs -> latents of every slot."""

from prefect import flow

from flows.prepare_data import Corpus, prepare
from flows.train_vae import train_phrase_vae
from tasks.engine.stage import ArtifactRef, StageRunner
from tasks.launch import Launch, Request, launch
from tasks.stages.encode_latents import latents_stage


def encode(runner: StageRunner, launched: Launch, corpus: Corpus, vae: ArtifactRef) -> ArtifactRef:
    """Run the stage of this part."""
    return runner.run(latents_stage(launched.config, corpus.songs, vae))


@flow(name="encode-latents")
def encode_latents(request: Request) -> str:
    """Everything up to the latents of the corpus; returns their folder."""
    launched = launch(request, orchestrated=True)
    with launched.running() as runner:
        corpus = prepare(runner, launched)
        vae = train_phrase_vae(runner, launched, corpus)
        latents = encode(runner, launched, corpus, vae)
    return str(latents.folder)
