"""The command line: `phraseldm`; heavy imports wait in the commands, so that help comes at once."""

from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal

import typer

from flows.champion import champion, promote, rollback
from flows.export import export_app
from flows.options import (
    DataOption,
    EngineOption,
    ForceOption,
    GuidanceOption,
    ListTracksOption,
    MapOption,
    ModelOption,
    PresetOption,
    RefineOption,
    SecondPassOption,
    SetOption,
    SourceOption,
    StepsOption,
    StoreOption,
    VAEOption,
    WorkersOption,
    check_servers,
    print_tracks,
    required,
    use_sleeping_threads,
)
from flows.song_commands import song_app
from flows.song_tasks import song_tasks_app
from flows.songs_as_text import songs_as_text_app
from flows.start import main
from flows.store import store_app
from flows.team_platform import platform_app
from tasks.command_line import CheckedGroup, CommandLine
from tasks.settings.sources import SOURCE_NAMES

app = CommandLine(
    cls=CheckedGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"phraseldm {metadata.version('phrase-ldm')}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """Full-song multitrack symbolic music by phrase-level latent diffusion."""


app.add_typer(export_app, name="export")
app.add_typer(platform_app)
app.add_typer(song_app)
app.add_typer(song_tasks_app)
app.add_typer(songs_as_text_app)
app.add_typer(store_app, name="store")
for command in (promote, rollback, champion):
    app.command()(command)


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
    until: Annotated[
        str, typer.Option(help="Last part: data, vae, latents, diffusion, songs or metrics.")
    ] = "metrics",
    workers: WorkersOption = None,
    engine: EngineOption = None,
    plain: Annotated[bool, typer.Option(help="Without Prefect, for debugging.")] = False,
) -> None:
    """Run the pipeline, whole or up to a part; what is done already is taken from the store."""
    check_servers(orchestrated=not plain)
    from flows.road import PARTS, run_until
    from tasks import commands

    last = commands.check_until(until, PARTS)
    launched = commands.launch_run(
        preset, source, data, store, setting, refresh,
        workers=workers, engine=engine, orchestrated=not plain,
    )  # fmt: skip
    if plain:
        with launched.running() as runner:
            run_until(runner, launched, last)
    else:
        with commands.prefect_server(launched):
            from flows.pipeline import pipeline

            pipeline(**launched.flow_parameters(), until=last)
    commands.print_summary(store)


@app.command()
def prepare(
    source: Annotated[str, typer.Option(help=f"{SOURCE_NAMES}.")] = "synthetic",
    data: DataOption = None,
    store: StoreOption = Path("store"),
    preset: PresetOption = "demo",
    setting: SetOption = None,
    workers: WorkersOption = None,
    engine: EngineOption = None,
) -> None:
    """Ingest and tokenise songs only; prints where the tables are and why songs were refused."""
    check_servers(orchestrated=False)
    from flows.road import prepare as prepare_corpus
    from tasks import commands

    launched = commands.launch_run(
        preset, source, data, store, setting, workers=workers, engine=engine, orchestrated=False
    )
    with launched.running() as runner:
        corpus = prepare_corpus(runner, launched)
    commands.print_corpus(store, corpus.songs, corpus.tables)


@app.command()
def generate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the songs.")] = Path(
        "songs"
    ),
    force: ForceOption = False,
    store: StoreOption = Path("store"),
    model: ModelOption = None,
    bars: Annotated[
        int | None, typer.Option(min=1, max=2000, help="Length of each song in bars.")
    ] = None,
    sections: Annotated[str | None, typer.Option(help="Layout such as 'i4 A8 B8 o2'.")] = None,
    form: Annotated[
        Path | None,
        typer.Option(help="File that says what repeats what, as `phraseldm form` prints it."),
    ] = None,
    chords: Annotated[
        str | None,
        typer.Option(help="Such as 'C G | Am | ?', a bar between bars, in the key of --key."),
    ] = None,
    texture: Annotated[
        Path | None,
        typer.Option(
            help="File that says how full, held and high each bar of each instrument is, as "
            "`phraseldm texture` prints it."
        ),
    ] = None,
    variation: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the repetitions that come back varied.")
    ] = 0.0,
    plans: Annotated[
        Literal["training", "lent", "drawn"] | None,
        typer.Option(
            help="What is left open is of one training song; lent by one to sections that are "
            "drawn; or drawn but for chords and texture (the default, if the models have priors)."
        ),
    ] = None,
    number: Annotated[int, typer.Option("-n", min=1, max=10_000, help="Songs to make.")] = 1,
    seed: Annotated[int, typer.Option(help="Song k of a seed is always the same.")] = 0,
    steps: StepsOption = None,
    guidance: GuidanceOption = None,
    second_pass: SecondPassOption = None,
    key: Annotated[str, typer.Option(help="Major key to write in, such as G.")] = "C",
    tempo: Annotated[float, typer.Option(help="Beats a minute.")] = 90.0,
    generator: Annotated[
        str, typer.Option(help="What writes them: phrase_ldm, or a baseline such as bar_shuffle.")
    ] = "phrase_ldm",
) -> None:
    """Make songs with the models trained last in a store, else with those that come with it."""
    use_sleeping_threads()
    from tasks.music import songs

    songs.generate(
        store,
        output,
        force=force,
        model=model,
        form=form,
        chords=chords,
        texture=texture,
        variation=variation,
        num_bars=bars,
        sections=sections,
        plans=plans,
        num_songs=number,
        seed=seed,
        sampling={
            "num_sampling_steps": steps,
            "guidance_scale": guidance,
            "second_pass": second_pass,
        },
        key=key,
        tempo_bpm=tempo,
        generator=generator,
    )


@app.command()
def evaluate(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder of MIDI files; the songs that a run made last by default."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(help="Folder of real songs, instead of the store's training songs."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="File that gets the figures.")
    ] = None,
    force: ForceOption = False,
    store: StoreOption = Path("store"),
) -> None:
    """Print the metrics of songs beside real songs: of any folder, or of those made last."""
    from tasks import commands

    if folder is None:
        typer.echo(commands.stored_metrics(store, reference, json_file))
    else:
        from tasks.music.folder_evaluation import evaluate_folder

        typer.echo(evaluate_folder(folder, reference, store, json_file, force=force))


@app.command()
def reconstruct(
    file: Annotated[Path, typer.Argument(help="MIDI file of 4/4.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="MIDI file to write.  [required]")
    ] = None,
    store: StoreOption = Path("store"),
    vae: VAEOption = None,
    refine: RefineOption = True,
    force: ForceOption = False,
    role_map: MapOption = None,
    list_tracks: ListTracksOption = False,
) -> None:
    """Send a MIDI file through PhraseVAE and back, and print how much of it came through."""
    from tasks import commands

    if list_tracks:
        print_tracks([file], role_map)
        return
    sentence = commands.reconstruct_file(
        store,
        file,
        required(output),
        vae=vae,
        refine=refine,
        force=force,
        role_map=role_map or (),
    )
    typer.echo(sentence)


@app.command()
def sweep(
    over: Annotated[
        list[str], typer.Option(help="section.key=value,value,...; several make a grid.")
    ],
    preset: PresetOption = "demo",
    source: SourceOption = None,
    data: DataOption = None,
    store: StoreOption = Path("store"),
    setting: SetOption = None,
    until: Annotated[
        str,
        typer.Option(help="vae, autoencoder for the trainings before it, metrics for songs, too."),
    ] = "vae",
    plain: Annotated[bool, typer.Option(help="Without Prefect, for debugging.")] = False,
) -> None:
    """Train once for each value of a setting, sharing what does not differ."""
    check_servers(orchestrated=not plain)
    from tasks import commands
    from tasks.reports.sweep import SCORING, parse_axes, sweep_points, sweep_table

    request = commands.run_request(preset, source, data, store, setting)
    axes, last = parse_axes(over), commands.check_until(until, tuple(SCORING))
    points = sweep_points(request, axes, orchestrated=not plain)
    if plain:
        from flows.sweep import run_sweep

        rows = run_sweep(points, last)
    else:
        with commands.prefect_server(points[0].launched):
            from flows.sweep import sweep as sweep_flow

            rows = sweep_flow(request, axes, last)
    typer.echo(sweep_table(rows))


@app.command()
def baseline(
    preset: PresetOption = "smoke",
    source: SourceOption = None,
    data: DataOption = None,
    store: StoreOption = Path("store"),
    setting: SetOption = None,
) -> None:
    """Train PianoTree VAE on whole bars, for the last of the paper's tables of PhraseVAE."""
    check_servers(orchestrated=False)
    from flows.road import prepare as prepare_corpus
    from flows.road import train_baseline
    from tasks import commands

    launched = commands.launch_run(preset, source, data, store, setting, orchestrated=False)
    launched.config.require_pianotree()
    launched.recorded = False
    with launched.running() as runner:
        train_baseline(runner, launched, prepare_corpus(runner, launched))


@app.command()
def binomial(
    preset: PresetOption = "smoke",
    source: SourceOption = None,
    data: DataOption = None,
    store: StoreOption = Path("store"),
    setting: SetOption = None,
) -> None:
    """Train binomial diffusion on piano rolls, the second system beside PhraseLDM."""
    from flows.road import prepare as prepare_corpus
    from flows.road import train_binomial_diffusion
    from tasks import commands

    launched = commands.launch_run(preset, source, data, store, setting, orchestrated=False)
    launched.config.require_binomial()
    launched.recorded = False
    with launched.running() as runner:
        model = train_binomial_diffusion(runner, launched, prepare_corpus(runner, launched))
    typer.echo(f"Model    {model.folder}")


@app.command()
def report(
    table: Annotated[
        list[int] | None,
        typer.Option(min=1, max=5, help="1 to 4 of the paper, 5: songs; may be repeated."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Tables 1 to 5.")] = False,
    store: StoreOption = Path("store"),
) -> None:
    """The paper's tables of PhraseVAE, and whole songs, as far as this store has measured them."""
    from tasks.reports.report import write_report

    chosen = (1, 2, 3, 4, 5) if every or not table else tuple(sorted(set(table)))
    markdown, folder = write_report(store, chosen)
    typer.echo(markdown)
    typer.echo(f"Report   {folder / 'report.html'}")


@app.command()
def interpolate(
    first: Annotated[Path, typer.Argument(help="MIDI file of 4/4 to begin with.")],
    second: Annotated[Path, typer.Argument(help="MIDI file of 4/4 to end with.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the songs.  [required]")
    ] = None,
    store: StoreOption = Path("store"),
    points: Annotated[
        int, typer.Option(min=2, max=99, help="Songs to write, both ends included.")
    ] = 8,
    vae: VAEOption = None,
    refine: RefineOption = True,
    force: ForceOption = False,
    role_map: MapOption = None,
    list_tracks: ListTracksOption = False,
) -> None:
    """Write the songs between two MIDI files by way of PhraseVAE's latents."""
    if list_tracks:
        print_tracks([first, second], role_map)
        return
    from tasks.music.interpolation import interpolate_files

    sentence = interpolate_files(
        store,
        first,
        second,
        points,
        required(output),
        vae=vae,
        refine=refine,
        force=force,
        role_map=role_map or (),
    )
    typer.echo(sentence)


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
    from flows.road import run_until
    from tasks import commands

    launched = commands.launch_run(preset, source, data, store, setting, orchestrated=False)
    for line in commands.explain_stage(launched, stage, run_until):
        typer.echo(line)


@app.command()
def accept(
    stage: Annotated[str, typer.Argument(help="Stage name, such as train_vae.")],
    why: Annotated[str, typer.Option(help="Reason, kept with the artifact.")] = "",
    preset: PresetOption = "smoke",
    source: SourceOption = None,
    data: DataOption = None,
    store: StoreOption = Path("store"),
    setting: SetOption = None,
) -> None:
    """Declare that a change of code leaves what a stage has made as it is."""
    from flows.road import run_until
    from tasks import commands
    from tasks.acceptance import accept_stage

    launched = commands.launch_run(preset, source, data, store, setting, orchestrated=False)
    typer.echo(accept_stage(launched, commands.check_stage(stage), why, run_until))


@app.command()
def fetch(
    data: Annotated[Path, typer.Argument(help="Folder for the checkouts.")] = Path("data"),
    source: Annotated[str, typer.Option(help="Source whose repositories are cloned.")] = "pop909",
) -> None:
    """Clone the repositories that a source reads, at the commits this program was built on."""
    from tasks.fetch import fetch_source

    for line in fetch_source(source, data):
        typer.echo(line)


@app.command()
def sync(store: StoreOption = Path("store")) -> None:
    """Send to MLflow what runs could not send because it was away."""
    from tasks.sync import send_waiting

    typer.echo(send_waiting(store))


@app.command()
def ui(store: StoreOption = Path("store")) -> None:
    """Say how to open MLflow and Prefect on a store."""
    from tasks import commands

    typer.echo(commands.how_to_open(store))


if __name__ == "__main__":
    main()
