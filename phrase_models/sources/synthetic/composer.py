"""A small composer of songs shaped like POP909's: three tracks over sections that come back.

It is no model of music; it makes a corpus with form, harmony and repetition for a fresh checkout
and for tests, whose ground truth is known. A song depends on (seed, index) and the bounds only.
`phrase_models.sources.synthetic.files` writes the files of a corpus.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from phrase_models.score.song import (
    BRIDGE,
    MAX_BARS,
    MELODY,
    PIANO,
    STEPS_PER_BAR,
    STEPS_PER_BEAT,
    Note,
    Section,
    Song,
    Track,
)
from phrase_models.sources.synthetic.harmony import (
    Chord,
    Key,
    chance,
    parse_chord,
    pick,
    write_progression,
)
from phrase_models.sources.synthetic.melody import (
    CALM_CELLS,
    FLOWING_CELLS,
    LineStyle,
    degree_of,
    join_monophonic,
    vary_line,
    write_line,
    write_pickup,
)
from phrase_models.sources.synthetic.parts import (
    FULL_PATTERNS,
    LIGHT_PATTERNS,
    BridgeMode,
    write_bridge,
    write_final_chord,
    write_piano,
)
from phrase_models.sources.synthetic.sections import plan_sections

TICKS_PER_BEAT: Final = 480

SUNG_MODES: Final[tuple[BridgeMode, ...]] = (
    *("counter", "counter", "counter", "pad", "pad", "fill", "arpeggio", "thirds"),
)
UNSUNG_MODES: Final[tuple[BridgeMode, ...]] = (
    *("lead", "lead", "lead", "lead", "lead", "lead", "counter", "pad", "pad", "arpeggio"),
)
VELOCITIES: Final = {MELODY: 97, BRIDGE: 88, PIANO: 82}


class SyntheticConfig(BaseModel):
    """What a composed corpus holds.

    Attributes:
        num_songs: songs, numbered from "001".
        seed: with a song's index, the source of everything in it.
        min_bars: shortest song.
        max_bars: longest song.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_songs: int = Field(default=40, ge=1)
    seed: int = Field(default=0, ge=0)
    min_bars: int = Field(default=20, ge=4, le=MAX_BARS)
    max_bars: int = Field(default=110, ge=4, le=MAX_BARS)

    @model_validator(mode="after")
    def _check_bounds(self) -> "SyntheticConfig":
        if self.min_bars > self.max_bars:
            message = (
                f"min_bars {self.min_bars} is larger than max_bars {self.max_bars}; "
                "swap them or make them equal."
            )
            raise ValueError(message)
        return self


@dataclass(frozen=True, slots=True)
class ComposedSong:
    """A composed song and what its files say about it.

    Attributes:
        song: in C major or A minor, as a reader should recover it; `key_shift` leads from the
            written key to it. No note crosses the end and no pitch of a track overlaps itself.
        key: the key that the song is written out in.
        final_key: the key of its last sections; differs from `key` if the song modulates.
        final_key_bar: first bar in the final key, 0 if that is the key of the whole song.
        chords: for every bar its chords, relative to C major / A minor.
        lead_in_beats: beats of silence before bar 0, from the first beat of the beat file.
        beat_phase_ticks: where beats lie between the multiples of a beat, 0 <= phase < 480.
        downbeat_error: beats by which the downbeats of the beat file are wrong, 0..3.
        index: number of the song in its corpus, from 0.
        seed: seed of the corpus.
    """

    song: Song
    key: Key
    final_key: Key
    final_key_bar: int
    chords: tuple[tuple[Chord, ...], ...]
    lead_in_beats: int
    beat_phase_ticks: float
    downbeat_error: int
    index: int
    seed: int


@dataclass(frozen=True, slots=True)
class _Material:
    """What the sections of one letter share, as long as the longest of them."""

    chords: tuple[tuple[Chord, ...], ...]
    melody: tuple[Note, ...]
    pickup: tuple[Note, ...]
    pattern: str
    mode: BridgeMode
    bridge: tuple[Note, ...]


@dataclass(frozen=True, slots=True)
class _Style:
    """What all sections of a song share."""

    minor: bool
    chords_per_bar: int
    melody_centre: int
    bridge_centre: int
    piano_centre: float
    piano_variation: float
    melody_variation: float
    bridge_rest: float
    light_pattern: str
    full_pattern: str


def compose_song(config: SyntheticConfig, index: int) -> ComposedSong:
    """Compose song number `index` of a corpus, a pure function of the seed, index and bounds.

    Args:
        config: bounds and seed; `num_songs` is not looked at.
        index: number of the song, from 0.

    Returns:
        The song with all that its files need.
    """
    generator = np.random.default_rng([config.seed, index])
    sections = plan_sections(generator, config.min_bars, config.max_bars)
    key = Key(int(generator.integers(12)), chance(generator, 0.36))
    style = _draw_style(generator, minor=key.minor)
    semitones, final_key_bar = _plan_modulation(generator, sections)
    transpositions = [
        semitones if section.start_bar >= final_key_bar else 0 for section in sections
    ]
    parts, chords = _compose_parts(generator, sections, style, transpositions)
    num_bars = sum(section.num_bars for section in sections)
    tracks = tuple(
        Track(program, _add_velocities(generator, program, notes, sections))
        for program, notes in parts.items()
        if notes
    )
    tempo_bpm = float(np.clip(round(generator.normal(84.0, 16.0)), 60, 125))
    song = Song(f"{index + 1:03d}", num_bars, tracks, sections, tempo_bpm, key.key_shift)
    return ComposedSong(
        song=song,
        key=key,
        final_key=key.moved(semitones),
        final_key_bar=final_key_bar,
        chords=chords,
        lead_in_beats=int(generator.integers(1, 10)) if chance(generator, 0.85) else 0,
        beat_phase_ticks=int(generator.integers(100 * TICKS_PER_BEAT)) / 100,
        downbeat_error=int(generator.integers(1, 4)) if chance(generator, 0.35) else 0,
        index=index,
        seed=config.seed,
    )


def _plan_modulation(
    generator: np.random.Generator, sections: Sequence[Section]
) -> tuple[int, int]:
    """In some songs the last sections go up by 1 or 2 semitones; returns these and the first bar.

    At most a quarter of the bars is moved, so that the first key stays the key of the song.
    """
    num_bars = sections[-1].start_bar + sections[-1].num_bars
    starts = [
        section.start_bar
        for section in sections[1:]
        if section.label.isupper() and section.start_bar >= 0.75 * num_bars
    ]
    if not starts or not chance(generator, 0.15):
        return 0, 0
    return pick(generator, (1, 1, 2)), starts[0]


def _draw_style(generator: np.random.Generator, *, minor: bool) -> _Style:
    melody_pitch = float(np.clip(generator.normal(70.5, 5.0), 62.0, 79.0))
    return _Style(
        minor=minor,
        chords_per_bar=pick(generator, (1, 1, 2)),
        melody_centre=degree_of(melody_pitch),
        bridge_centre=degree_of(float(np.clip(generator.normal(73.0, 4.0), 65.0, 81.0))),
        piano_centre=float(generator.normal(60.0, 2.5)),
        piano_variation=float(generator.uniform(0.25, 0.7)),
        melody_variation=float(generator.uniform(0.05, 0.4)),
        bridge_rest=float(generator.uniform(0.0, 0.5)),
        light_pattern=pick(generator, tuple(LIGHT_PATTERNS)),
        full_pattern=pick(generator, tuple(FULL_PATTERNS)),
    )


def _compose_parts(
    generator: np.random.Generator,
    sections: Sequence[Section],
    style: _Style,
    transpositions: Sequence[int],
) -> tuple[dict[int, tuple[Note, ...]], tuple[tuple[Chord, ...], ...]]:
    """Write all sections; returns the notes of each program and the chords of each bar."""
    longest: dict[str, int] = {}
    for section in sections:
        longest[section.label] = max(section.num_bars, longest.get(section.label, 0))
    materials: dict[str, _Material] = {}
    parts: dict[int, list[tuple[Note, ...]]] = {MELODY: [], BRIDGE: [], PIANO: []}
    chords: list[tuple[Chord, ...]] = []
    for place, (section, semitones) in enumerate(zip(sections, transpositions, strict=True)):
        if section.label in materials:
            material = _vary_material(generator, materials[section.label], section, style)
        else:
            material = _write_material(generator, section.label, longest[section.label], style)
            materials[section.label] = material
        final = place == len(sections) - 1 and len(sections) > 1
        if final:
            material = _end_material(material, section, minor=style.minor)
        with_pickup = _has_pickup(generator, sections, place)
        melody = (*(material.pickup if with_pickup else ()), *material.melody)
        piano = _write_section_piano(generator, material, section, style, final=final)
        for program, notes in ((MELODY, melody), (BRIDGE, material.bridge), (PIANO, piano)):
            parts[program].append(_place_notes(notes, section, semitones))
        chords += [
            tuple(chord.moved(semitones) for chord in bar)
            for bar in material.chords[: section.num_bars]
        ]
    end = len(chords) * STEPS_PER_BAR
    written = {
        program: _clean_notes(
            join_monophonic(played) if program == MELODY else sum(played, ()), end
        )
        for program, played in parts.items()
    }
    return written, tuple(chords)


def _write_material(
    generator: np.random.Generator, label: str, num_bars: int, style: _Style
) -> _Material:
    chords = write_progression(
        generator, num_bars, minor=style.minor, chords_per_bar=style.chords_per_bar
    )
    sung = label.isupper()
    melody: tuple[Note, ...] = ()
    pickup: tuple[Note, ...] = ()
    if sung:
        lift = {"A": 0, "B": 2, "C": 1}.get(label, 0)
        cells = FLOWING_CELLS if chance(generator, 0.7) else (*FLOWING_CELLS, *CALM_CELLS)
        rests = 0.2 if label == "X" else 0.025
        melody = write_line(generator, chords, LineStyle(style.melody_centre + lift, cells, rests))
        pickup = write_pickup(generator, melody, style.melody_centre)
    mode = _draw_bridge_mode(generator, style, sung=sung)
    light = label == "A" or not sung
    return _Material(
        chords=chords,
        melody=melody,
        pickup=pickup,
        pattern=style.light_pattern if light else style.full_pattern,
        mode=mode,
        bridge=write_bridge(generator, chords, mode, style.bridge_centre, melody),
    )


def _draw_bridge_mode(generator: np.random.Generator, style: _Style, *, sung: bool) -> BridgeMode:
    if sung and chance(generator, style.bridge_rest):
        return "none"
    return pick(generator, SUNG_MODES if sung else UNSUNG_MODES)


def _vary_material(
    generator: np.random.Generator, material: _Material, section: Section, style: _Style
) -> _Material:
    """What changes when a section comes back: a few notes, now and then the accompaniment."""
    varied = replace(material, melody=vary_line(generator, material.melody, style.melody_variation))
    if chance(generator, 0.25):
        mode = _draw_bridge_mode(generator, style, sung=section.label.isupper())
        bridge = write_bridge(generator, material.chords, mode, style.bridge_centre, varied.melody)
        varied = replace(varied, mode=mode, bridge=bridge)
    if chance(generator, 0.12):
        varied = replace(varied, pattern=style.full_pattern)
    return varied


def _end_material(material: _Material, section: Section, *, minor: bool) -> _Material:
    """Let the song end on the tonic: without singing the last bar holds just that chord."""
    if section.label.isupper():
        return material
    last = section.num_bars - 1
    tonic = (parse_chord("Am" if minor else "C"),)
    before_last = tuple(note for note in material.bridge if note.onset < last * STEPS_PER_BAR)
    return replace(material, chords=(*material.chords[:last], tonic), bridge=before_last)


def _has_pickup(generator: np.random.Generator, sections: Sequence[Section], place: int) -> bool:
    """Up-beats lead into sung sections, seldom out of an unsung one; bar 0 has none before it."""
    if place == 0:
        return False
    return chance(generator, 0.6 if sections[place - 1].label.isupper() else 0.25)


def _write_section_piano(
    generator: np.random.Generator,
    material: _Material,
    section: Section,
    style: _Style,
    *,
    final: bool,
) -> tuple[Note, ...]:
    bars = material.chords[: section.num_bars]
    ended = bars[:-1] if final else bars
    piano = write_piano(
        generator, ended, material.pattern, style.piano_centre, style.piano_variation
    )
    if final:
        piano += write_final_chord(bars[-1][-1], len(bars) - 1, style.piano_centre)
    return piano


def _place_notes(notes: Sequence[Note], section: Section, semitones: int) -> tuple[Note, ...]:
    """Move notes to their section and key, without those beyond the section's last bar."""
    start = section.start_bar * STEPS_PER_BAR
    return tuple(
        replace(note, onset=start + note.onset, pitch=note.pitch + semitones)
        for note in notes
        if note.onset < section.num_bars * STEPS_PER_BAR
    )


def _clean_notes(notes: Sequence[Note], end: int) -> tuple[Note, ...]:
    """Sort, keep the longest of equal notes, end a note where its pitch comes again or at `end`."""
    longest: dict[tuple[int, int], int] = {}
    for note in notes:
        place = (note.onset, note.pitch)
        longest[place] = max(note.duration, longest.get(place, 0))
    next_onset: dict[int, int] = {}
    cleaned: list[Note] = []
    for (onset, pitch), duration in sorted(longest.items(), reverse=True):
        until = next_onset.get(pitch, end)
        cleaned.append(Note(onset, pitch, min(duration, until - onset)))
        next_onset[pitch] = onset
    return tuple(reversed(cleaned))


def _add_velocities(
    generator: np.random.Generator,
    program: int,
    notes: Sequence[Note],
    sections: Sequence[Section],
) -> tuple[Note, ...]:
    """Play louder on strong places and in choruses, softer without singing, never quite evenly."""
    loudness = np.concatenate(
        [
            np.full(section.num_bars, {"A": 0, "X": 0}.get(section.label, 6 if sung else -6))
            for section in sections
            for sung in (section.label.isupper(),)
        ]
    )
    onsets = np.array([note.onset for note in notes])
    accents = np.select(
        [onsets % STEPS_PER_BAR == 0, onsets % (2 * STEPS_PER_BEAT) == 0, onsets % 6 == 0],
        [8, 4, 0],
        -4,
    )
    base = VELOCITIES[program] + generator.normal(0.0, 6.0)
    noise = generator.normal(0.0, 4.0, len(notes))
    velocities = base + loudness[onsets // STEPS_PER_BAR] + accents + noise
    return tuple(
        replace(note, velocity=int(velocity))
        for note, velocity in zip(notes, np.clip(np.rint(velocities), 1, 127), strict=True)
    )
