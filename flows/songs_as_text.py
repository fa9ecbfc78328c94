"""`phraseldm form`, `texture`, `tokenize` and `detokenize`: songs as text, and back."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from flows.options import ForceOption, ListTracksOption, MapOption, print_tracks
from tasks.command_line import CheckedGroup, CommandLine

songs_as_text_app = CommandLine(cls=CheckedGroup)

SongFileArgument = Annotated[
    Path, typer.Argument(help="MIDI file of 4/4, or the songs.json of generated songs.")
]
SongOption = Annotated[int, typer.Option(help="Number of the song in a songs.json.")]


def _print(
    file: Path, role_map: list[str] | None, list_tracks: bool, text: Callable[[], str]
) -> None:
    """A file as text, or its tracks where these were asked for."""
    if list_tracks:
        print_tracks([file], role_map)
    else:
        typer.echo(text())


@songs_as_text_app.command()
def tokenize(
    file: Annotated[Path, typer.Argument(help="MIDI file of 4/4.")],
    role_map: MapOption = None,
    list_tracks: ListTracksOption = False,
) -> None:
    """Print the REMI-z tokens of a MIDI file, bars ending in b-1."""
    from tasks.music.token_files import tokens_of_file

    _print(file, role_map, list_tracks, lambda: tokens_of_file(file, role_map or ()))


@songs_as_text_app.command()
def detokenize(
    tokens: Annotated[Path, typer.Argument(help="Text file of REMI-z tokens.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="MIDI file to write.")],
    tempo: Annotated[
        float | None, typer.Option(help="Beats a minute; that of the tokens, else 90.")
    ] = None,
    key: Annotated[str, typer.Option(help="Key signature, such as Bb or Am.")] = "C",
    sections: Annotated[str, typer.Option(help="Layout such as 'i4 A8', kept as markers.")] = "",
    force: ForceOption = False,
) -> None:
    """Write the MIDI file of REMI-z tokens."""
    from tasks.music.token_files import write_tokens_file

    said = write_tokens_file(
        tokens, output, tempo_bpm=tempo, key=key, sections=sections, force=force
    )
    typer.echo(said)


@songs_as_text_app.command()
def form(
    file: SongFileArgument,
    song: SongOption = 0,
    role_map: MapOption = None,
    list_tracks: ListTracksOption = False,
) -> None:
    """Print what repeats what in a song, to be edited and given back with `generate --form`."""
    from tasks.music.song_plans import form_of_file

    _print(file, role_map, list_tracks, lambda: form_of_file(file, song, role_map or ()))


@songs_as_text_app.command()
def texture(
    file: SongFileArgument,
    song: SongOption = 0,
    role_map: MapOption = None,
    list_tracks: ListTracksOption = False,
) -> None:
    """Print how full, held and high the bars of a song are, for `generate --texture`."""
    from tasks.music.song_plans import texture_of_file

    _print(file, role_map, list_tracks, lambda: texture_of_file(file, song, role_map or ()))
