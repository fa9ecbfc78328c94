"""MIDI files <-> text of REMI-z tokens, with what tokens cannot say beside them."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from phrase_models.errors import ConfigurationError, UserError
from phrase_models.score.midi import MAX_READ_BARS
from phrase_models.score.midi_metas import KEY_NAMES
from phrase_models.score.midi_text import decode_text
from phrase_models.score.midi_writer import programs_by_port, write_midi
from phrase_models.score.song import Song, format_section_layout, parse_section_layout
from phrase_models.tokens.song_layout import song_to_text
from phrase_models.tokens.token_text import read_token_text
from storage.paths import check_new_file
from storage.writing import translate_disk_errors
from tasks.music.reading import read_file

MAX_BYTES = 8 << 20
SLOWEST, FASTEST = 3.57628, 6e7
"""Beats a minute that a MIDI file can tell."""


def tokens_of_file(path: Path, role_map: Sequence[str] = ()) -> str:
    """REMI-z text of a MIDI file; what became of its notes, and is in no token, is on stderr.

    Raises:
        UserError: see `read_file`.
    """
    reading = read_file(path, role_map, keep_programs=True)
    song = reading.song
    layout = format_section_layout(song.sections)
    sections = f" --sections '{layout}'" if layout else ""
    sys.stderr.write(
        "Tokens tell neither velocities nor tempo, key and sections; detokenize takes back "
        f"--tempo {song.tempo_bpm:g} --key {reading.key}{sections}\n"
    )
    return song_to_text(song)


def write_tokens_file(
    tokens: Path,
    output: Path,
    *,
    tempo_bpm: float | None = None,
    key: str = "C",
    sections: str = "",
    force: bool = False,
) -> str:
    """Write the MIDI file of REMI-z text; returns what was written, and what is not as in the text.

    Args:
        tokens: text file in UTF-8 or UTF-16, as other programs leave it.
        output: MIDI file to write.
        tempo_bpm: beats a minute; by default that of the text, else 90.
        key: of the key signature, such as "Bb" or "Am".
        sections: layout such as "i4 A8".
        force: whether an output that is there is replaced.

    Raises:
        UserError: if the text cannot be read, naming the word.
        ConfigurationError: for a tempo, key or layout that cannot be.
    """
    check_new_file(output, force=force)
    if key not in KEY_NAMES:
        message = f"There is no key {key!r}; there are {', '.join(KEY_NAMES)}."
        raise ConfigurationError(message)
    read = read_token_text(_read(tokens))
    tempo = read.song.tempo_bpm if tempo_bpm is None else tempo_bpm
    if not SLOWEST <= tempo <= FASTEST:
        message = f"--tempo {tempo:g} is not between {SLOWEST:g} and {FASTEST:.0f} beats a minute."
        raise ConfigurationError(message)
    song = _with_sections(replace(read.song, tempo_bpm=tempo), sections)
    if song.num_bars > MAX_READ_BARS:
        message = f"{tokens} has {song.num_bars} bars; at most {MAX_READ_BARS} can be written."
        raise UserError(message)
    with translate_disk_errors(output):
        write_midi(song, output, key=key)
    programs = ", ".join(str(track.program) for track in song.tracks) or "none"
    wrote = (
        f"Wrote {output}: {song.num_bars} bars, {song.num_notes} notes, programs {programs}; "
        f"tempo {tempo:g}, key {key}."
    )
    return "\n".join((wrote, *read.said, *_port_sentences(song)))


def _read(path: Path) -> str:
    if not path.is_file():
        message = f"There is no token file {path}."
        raise UserError(message)
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        message = f"{path} has more than {MAX_BYTES >> 20} MiB, more than the tokens of any song."
        raise UserError(message)
    return raw.decode("utf-16-le") if raw[1:2] == b"\0" and len(raw) % 2 == 0 else decode_text(raw)


def _with_sections(song: Song, layout: str) -> Song:
    if not layout:
        return song
    try:
        sections = parse_section_layout(layout)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    num_bars = sum(section.num_bars for section in sections)
    if num_bars > song.num_bars:
        message = (
            f"Sections {format_section_layout(sections)!r} are {num_bars} bars long and the tokens "
            f"{song.num_bars}; leave out what is too much."
        )
        raise ConfigurationError(message)
    return replace(song, sections=sections)


def _port_sentences(song: Song) -> list[str]:
    """What a player without ports makes of more programs than channels."""
    ports = programs_by_port(song)
    if len(ports) == 1:
        return []
    others = ", ".join(str(program) for port in ports[1:] for program in port)
    return [
        f"A MIDI port has 15 channels for programs, so {others} are on further ports; a player "
        "that knows one port only gives them the sounds of others."
    ]
