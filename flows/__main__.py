"""The command line: `phraseldm`.

Heavy imports happen inside the commands, so that `phraseldm --help` answers at once.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Full-song multitrack symbolic music by phrase-level latent diffusion.",
)

StoreOption = Annotated[Path, typer.Option(help="Folder of artifacts, MLflow and Prefect.")]
DataOption = Annotated[
    Path | None,
    typer.Option(help="Folder that holds POP909-Dataset and hierarchical-structure-analysis."),
]
SourceOption = Annotated[
    str | None, typer.Option(help="synthetic or pop909; the preset's own by default.")
]
PresetOption = Annotated[str, typer.Option(help="smoke, demo, cpu, base or paper.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="section.key=value; may be repeated.")
]
WorkersOption = Annotated[int | None, typer.Option(min=1, help="Processes that read songs.")]


@app.command()
def run(
    preset: PresetOption = "smoke",
    source: SourceOption = None,
    data: DataOption = None,
    store: StoreOption = Path("store"),
    setting: SetOption = None,
    refresh: Annotated[
        list[str] | None, typer.Option(help="Stage to do again; may be repeated, or 'all'.")
    ] = None,
    workers: WorkersOption = None,
    plain: Annotated[bool, typer.Option(help="Without Prefect, for debugging.")] = False,
) -> None:
    """Run the whole pipeline; what is done already is taken from the store."""
    from tasks import commands

    launched = commands.launch_run(
        preset, source, data, store, setting or [], refresh or [], workers, orchestrated=not plain
    )
    if plain:
        from flows.pipeline import run_pipeline

        with launched.running() as runner:
            run_pipeline(runner, launched)
    else:
        commands.configure_prefect(store)
        from flows.pipeline import pipeline
        from tasks.prefect_runner import light_server

        with light_server():
            pipeline(**launched.flow_parameters())
    commands.print_summary(store)


@app.command()
def prepare(
    source: Annotated[str, typer.Option(help="synthetic or pop909.")] = "synthetic",
    data: DataOption = None,
    store: StoreOption = Path("store"),
    preset: PresetOption = "demo",
    setting: SetOption = None,
    workers: WorkersOption = None,
) -> None:
    """Ingest and tokenise songs only; prints where the tables are and why songs were refused."""
    from flows.prepare_data import prepare as prepare_corpus
    from tasks import commands

    launched = commands.launch_run(
        preset, source, data, store, setting or [], [], workers, orchestrated=False
    )
    with launched.running() as runner:
        corpus = prepare_corpus(runner, launched)
    commands.print_corpus(store, corpus.songs, corpus.tables)


@app.command()
def tokenize(file: Annotated[Path, typer.Argument(help="Aligned MIDI file.")]) -> None:
    """Print the REMI-z tokens of an aligned MIDI file, bars ending in b-1."""
    from tasks import commands

    typer.echo(commands.tokens_of_file(file))


@app.command()
def detokenize(
    tokens: Annotated[Path, typer.Argument(help="Text file of REMI-z tokens.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="MIDI file to write.")],
) -> None:
    """Write the MIDI file of REMI-z tokens."""
    from tasks import commands

    commands.write_tokens_file(tokens, output)
    typer.echo(f"Wrote {output}")


@app.command()
def generate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the songs.")],
    store: StoreOption = Path("store"),
    bars: Annotated[int | None, typer.Option(help="Length of each song in bars.")] = None,
    sections: Annotated[str | None, typer.Option(help="Layout such as 'i4 A8 B8 o2'.")] = None,
    number: Annotated[int, typer.Option("-n", min=1, help="Songs to make.")] = 1,
    seed: Annotated[int, typer.Option(help="Song k of a seed is always the same.")] = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="Sampling steps.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Guidance scale.")] = None,
    key: Annotated[str, typer.Option(help="Major key to write in, such as G.")] = "C",
    tempo: Annotated[float, typer.Option(help="Beats a minute.")] = 90.0,
) -> None:
    """Make songs with the models trained last in a store."""
    from tasks import commands

    commands.generate_from_store(
        store,
        output,
        num_bars=bars,
        sections=sections,
        num_songs=number,
        seed=seed,
        num_sampling_steps=steps,
        guidance_scale=guidance,
        key=key,
        tempo_bpm=tempo,
    )


@app.command()
def evaluate(store: StoreOption = Path("store")) -> None:
    """Print the metrics of the songs made last, beside real songs."""
    from tasks import commands

    typer.echo(commands.stored_metrics(store))


@app.command()
def reconstruct(
    file: Annotated[Path, typer.Argument(help="Aligned MIDI file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="MIDI file to write.")],
    store: StoreOption = Path("store"),
) -> None:
    """Send a MIDI file through PhraseVAE and back, and print how much of it came through."""
    from tasks import commands

    typer.echo(commands.reconstruct_file(store, file, output))


@app.command()
def explain(
    stage: Annotated[str, typer.Argument(help="Stage name, such as train_vae.")],
    preset: PresetOption = "smoke",
    source: SourceOption = None,
    data: DataOption = None,
    store: StoreOption = Path("store"),
    setting: SetOption = None,
) -> None:
    """Say why a stage is, or is not, up to date."""
    from flows.pipeline import run_pipeline
    from tasks import commands

    launched = commands.launch_run(
        preset, source, data, store, setting or [], [], None, orchestrated=False
    )
    for line in commands.explain_stage(launched, stage, run_pipeline):
        typer.echo(line)


@app.command()
def fetch(
    data: Annotated[Path, typer.Argument(help="Folder for both checkouts.")] = Path("data"),
) -> None:
    """Clone the two POP909 repositories at the commits this program was built on."""
    from tasks.fetch import fetch_pop909

    for line in fetch_pop909(data):
        typer.echo(line)


@app.command()
def ui(store: StoreOption = Path("store")) -> None:
    """Say how to open MLflow and Prefect on a store."""
    from tasks import commands

    typer.echo(commands.how_to_open(store))


def main() -> None:
    """Entry point: errors of the user end with one sentence and exit code 2."""
    try:
        app()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped; what was finished is kept, run the same command to go on.\n")
        sys.exit(130)
    except Exception as error:
        from tasks.errors import plain_sentence

        sentence = plain_sentence(error)
        if sentence is None:
            raise
        sys.stderr.write(f"{sentence}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
