"""What the page's script draws of a song: notes, colours and sections as compact JSON values."""

from phrase_models.gallery.synthesiser import seconds_per_step
from phrase_models.score.song import (
    BRIDGE,
    MELODY,
    PIANO,
    ROLE_NAMES,
    STEPS_PER_BAR,
    Section,
    Song,
    Track,
    parse_section_layout,
)

TRACK_COLOURS = {MELODY: "#f0525f", BRIDGE: "#eba52a", PIANO: "#4c83f0"}
OTHER_TRACK_COLOURS = ("#2fa98c", "#9a6bf0", "#c26a3d", "#3aa6c9")
SUNG_COLOURS = (
    *("#9fc2ff", "#ffb0cd", "#a2e2c4", "#ffd199"),
    *("#cdbbff", "#a3e1f0", "#f1df8a", "#f2b8a0"),
)
UNSUNG_COLOURS = {"i": "#cfd6e2", "o": "#b5bfd0", "b": "#d9cbb0", "x": "#d3c5de"}
OTHER_SECTION_COLOUR = "#c8cdd6"
GREY = 0xB4
"""Between the two backgrounds of the page."""


def track_colour(program: int) -> str:
    """Colour of a program's notes; the three roles have their own."""
    fallback = OTHER_TRACK_COLOURS[program % len(OTHER_TRACK_COLOURS)]
    return TRACK_COLOURS.get(program, fallback)


def given_colour(program: int) -> str:
    """Colour of a program's notes that were given: its own, half way to grey."""
    own = track_colour(program)
    channels = (int(own[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{(channel + GREY) // 2:02x}" for channel in channels)


def section_colour(label: str) -> str:
    """Colour of a section, the same for a label in every song; unsung ones are pale."""
    if "A" <= label <= "Z":
        return SUNG_COLOURS[(ord(label) - ord("A")) % len(SUNG_COLOURS)]
    return UNSUNG_COLOURS.get(label, OTHER_SECTION_COLOUR)


def track_name(program: int) -> str:
    """Name of a track for people."""
    return ROLE_NAMES.get(program, f"Program {program}")


def shown_sections(song: Song, requested_layout: str | None) -> tuple[Section, ...]:
    """The song's sections, else the requested ones, within the song's bars."""
    sections = song.sections
    if not sections and requested_layout:
        try:
            sections = parse_section_layout(requested_layout)
        except ValueError:
            return ()
    return tuple(
        Section(
            section.label,
            section.start_bar,
            min(section.num_bars, song.num_bars - section.start_bar),
        )
        for section in sections
        if section.start_bar < song.num_bars
    )


def roll_data(
    song: Song,
    sections: tuple[Section, ...],
    audio_seconds: float,
    given: Song | None = None,
) -> dict[str, object]:
    """All that the script needs of a song, ready for JSON.

    Args:
        song: the notes.
        sections: as of `shown_sections`.
        audio_seconds: length of the recording.
        given: those of the notes that were given, or None where there is no such difference.

    Returns:
        numBars, stepsPerBar, secondsPerStep, audioSeconds; sections as [start bar, bars, colour];
        tracks from the back to the front with a flat list of onset, pitch, duration, velocity.
        With `given`, a track is two, of which one is called "given" and paler, the other
        "generated".
    """
    # Later tracks are painted over earlier ones, and the melody should never be hidden.
    tracks = sorted(song.tracks, key=lambda track: (track.program == MELODY, -track.program))
    return {
        "numBars": song.num_bars,
        "stepsPerBar": STEPS_PER_BAR,
        "secondsPerStep": seconds_per_step(song),
        "audioSeconds": audio_seconds,
        "sections": [
            [section.start_bar, section.num_bars, section_colour(section.label)]
            for section in sections
        ],
        "tracks": [
            part
            for track in tracks
            for part in ([_track_data(track)] if given is None else _two_shades(track, given))
        ],
    }


def _track_data(track: Track) -> dict[str, object]:
    return {
        "program": track.program,
        "colour": track_colour(track.program),
        "notes": [
            value
            for note in track.notes
            for value in (note.onset, note.pitch, note.duration, note.velocity)
        ],
    }


def _two_shades(track: Track, given: Song) -> list[dict[str, object]]:
    """The notes of a track that were given, then those that were generated."""
    there = {
        note for other in given.tracks if other.program == track.program for note in other.notes
    }
    known = tuple(note for note in track.notes if note in there)
    new = tuple(note for note in track.notes if note not in there)
    pale = {"colour": given_colour(track.program), "kind": "given"}
    return [
        _track_data(Track(track.program, known)) | pale,
        _track_data(Track(track.program, new)) | {"kind": "generated"},
    ]
