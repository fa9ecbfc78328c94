"""`phraseldm harmonise`, `complete` and `vary`: a MIDI file in, variants of it out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.options import (
    ForceOption,
    ListTracksOption,
    MapOption,
    StepsOption,
    StoreOption,
    print_tracks,
    required,
    use_sleeping_threads,
)
from tasks.command_line import CheckedGroup, CommandLine

if TYPE_CHECKING:
    from tasks.music.song_tasks import TaskOptions

song_tasks_app = CommandLine(cls=CheckedGroup)

FileArgument = Annotated[Path, typer.Argument(help="MIDI file of 4/4.")]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder for the variants and a gallery.  [required]"),
]
ModelOption = Annotated[
    Path,
    typer.Option(
        help="binomial: the newest of the store, else the one that comes with the program; or the "
        "folder of a model."
    ),
]
SeedOption = Annotated[int, typer.Option(help="Variant k of a seed is always the same.")]
NumberOption = Annotated[int, typer.Option("-n", min=1, max=99, help="Variants to write.")]
KeyOption = Annotated[
    str | None,
    typer.Option(help="Key of the file, such as G or Em; by its key signature and notes if open."),
]


@song_tasks_app.command()
def harmonise(
    file: FileArgument,
    output: OutputOption = None,
    model: ModelOption = Path("binomial"),
    store: StoreOption = Path("store"),
    seed: SeedOption = 0,
    number: NumberOption = 1,
    steps: StepsOption = None,
    key: KeyOption = None,
    force: ForceOption = False,
    role_map: MapOption = None,
    list_tracks: ListTracksOption = False,
) -> None:
    """Write bridge and piano to the melody of a MIDI file, which stays as it is."""
    if list_tracks:
        print_tracks([file], role_map)
        return
    from tasks.music.song_tasks import harmonise_file

    harmonise_file(
        _options(file, required(output), store, model, seed, number, steps, key, role_map, force)
    )


@song_tasks_app.command()
def complete(
    file: FileArgument,
    output: OutputOption = None,
    bars: Annotated[str | None, typer.Option(help="Bars to fill, such as 9-16.")] = None,
    pitches: Annotated[
        str | None, typer.Option(help="MIDI pitches to fill, such as 60-72.")
    ] = None,
    roles: Annotated[
        str | None, typer.Option(help="Of melody, bridge and piano, such as bridge,piano.")
    ] = None,
    random: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Share of the places to fill, drawn by chance."),
    ] = None,
    model: ModelOption = Path("binomial"),
    store: StoreOption = Path("store"),
    seed: SeedOption = 0,
    number: NumberOption = 1,
    steps: StepsOption = None,
    key: KeyOption = None,
    force: ForceOption = False,
    role_map: MapOption = None,
    list_tracks: ListTracksOption = False,
) -> None:
    """Fill a hole in a MIDI file: what is within all the limits given; the rest stays as it is."""
    if list_tracks:
        print_tracks([file], role_map)
        return
    from tasks.music.song_tasks import complete_file

    complete_file(
        _options(file, required(output), store, model, seed, number, steps, key, role_map, force),
        bars=bars,
        pitches=pitches,
        roles=roles,
        share=random,
    )


@song_tasks_app.command()
def vary(
    file: FileArgument,
    output: OutputOption = None,
    amount: Annotated[
        float, typer.Option(min=0, max=1, help="0 gives the song back, 1 forgets it.")
    ] = 0.5,
    model: ModelOption = Path("binomial"),
    store: StoreOption = Path("store"),
    seed: SeedOption = 0,
    number: NumberOption = 1,
    steps: StepsOption = None,
    key: KeyOption = None,
    force: ForceOption = False,
    role_map: MapOption = None,
    list_tracks: ListTracksOption = False,
) -> None:
    """Write variations of a MIDI file, near it or far from it."""
    if list_tracks:
        print_tracks([file], role_map)
        return
    from tasks.music.song_tasks import vary_file

    vary_file(
        _options(file, required(output), store, model, seed, number, steps, key, role_map, force),
        amount,
    )


def _options(
    file: Path,
    output: Path,
    store: Path,
    model: Path,
    seed: int,
    number: int,
    steps: int | None,
    key: str | None,
    role_map: list[str] | None,
    force: bool,
) -> "TaskOptions":
    """What the three commands have in common; torch is loaded with it."""
    use_sleeping_threads()
    from tasks.music.song_tasks import TaskOptions

    return TaskOptions(
        file, output, store, model, seed, number, steps, key, tuple(role_map or ()), force
    )
