"""Held-out melodies accompanied: what is written beside what the songs' arrangers wrote.

    python -m benchmarks.accompany_songs RELEASE DATA_FOLDER [NUM_SONGS]

DATA_FOLDER is what `phraseldm fetch` makes. The melody of a held-out song is kept, bridge and piano
are written by a file of the melody alone, by one of the whole song, whose chords are heard, and by
one with sections and chords of the annotators. Beside them, as a control, parts that were written
for another of the melodies.

A chord tone is a note of the chord that the annotators heard there; a clash is a half bar in which
a written note lies a semitone beside a note of the melody that sounds at the same time.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from phrase_models.accompaniment import accompany, kept_song
from phrase_models.generator import SongRequest
from phrase_models.generators import from_pretrained
from phrase_models.metrics.song_features import in_scale_rate, note_density
from phrase_models.phrase_ldm import PhraseLDMGenerator
from phrase_models.score.chords import DIMINISHED, MAJOR, MINOR, chord_array, chord_parts
from phrase_models.score.song import MELODY, STEPS_PER_BAR, Song
from phrase_models.sources.acceptance_rules import IngestConfig
from phrase_models.sources.duplicates import assign_splits
from phrase_models.sources.registry import find_source
from phrase_models.sources.source import NoSettings

DUPLICATES = frozenset({"017", "018", "101", "103", "262", "805", "492", "666"})
"""Songs that are there twice, whose split is that of their pair; passed over."""
TRIADS = {MAJOR: (0, 4, 7), MINOR: (0, 3, 7), DIMINISHED: (0, 3, 6)}
HALF_BAR = STEPS_PER_BAR // 2


@dataclass(frozen=True, slots=True)
class Figures:
    in_scale: float
    density: float
    chord_tones: float
    clashes: float


def held_out_songs(data: Path, count: int) -> Iterator[Song]:
    source = find_source("pop909")
    entries = [entry for entry in source.list_songs(data, NoSettings()) if entry.present]
    splits = assign_splits([entry.song_id for entry in entries], {})
    found = 0
    for entry in entries:
        if splits[entry.song_id] == "validation" and entry.song_id not in DUPLICATES:
            song = source.read_song(data, entry, IngestConfig(), NoSettings()).song
            if song is not None and found < count:
                found += 1
                yield song


def without_melody(song: Song) -> Song:
    return replace(song, tracks=tuple(t for t in song.tracks if t.program != MELODY))


def figures(written: Song, real: Song) -> Figures:
    """Of the parts that were written, in the harmony of the real song."""
    chords, fitting, counted = chord_array(real.chords, real.num_bars), 0, 0
    parts = without_melody(written)
    for track in parts.tracks:
        for note in track.notes:
            half = note.onset // HALF_BAR
            chord = chord_parts(int(chords.flat[half])) if half < chords.size else None
            if chord is not None and chord[1] in TRIADS:
                counted += 1
                fitting += (note.pitch - chord[0]) % 12 in TRIADS[chord[1]]
    chord_tones = fitting / max(counted, 1)
    return Figures(in_scale_rate(parts), note_density(parts), chord_tones, clashes(parts, real))


def clashes(parts: Song, real: Song) -> float:
    """Share of the half bars with a melody in which a part is a semitone beside it."""
    beside = [pitch_classes(song) for song in (parts, replace(real, tracks=real.tracks[:1]))]
    steps = min(map(len, beside))
    heard, melody = beside[0][:steps], beside[1][:steps]
    either = np.roll(melody, 1, axis=1) | np.roll(melody, -1, axis=1)
    clashing = (heard & either).any(axis=1).reshape(-1, HALF_BAR).any(axis=1)
    return float(clashing[melody.any(axis=1).reshape(-1, HALF_BAR).any(axis=1)].mean())


def pitch_classes(song: Song) -> np.ndarray:
    """Which sound at each step (steps, 12)."""
    roll = np.zeros((song.num_bars * STEPS_PER_BAR, 12), bool)
    for track in song.tracks:
        for note in track.notes:
            roll[note.onset : note.onset + note.duration, note.pitch % 12] = True
    return roll


def line(name: str, values: Sequence[Figures]) -> str:
    table = np.array([(v.in_scale, v.density, v.chord_tones, v.clashes) for v in values])
    cells = (f"{c.mean():.3f} ({c.min():.3f} to {c.max():.3f})" for c in table.T)
    return f"{name:28} {'  '.join(cells)}"


def kept_equal(song: Song, real: Song) -> bool:
    melodies = [[t.notes for t in s.tracks if t.program == MELODY] for s in (song, real)]
    return melodies[0] == melodies[1]


def main(release: Path, data: Path, count: int) -> None:
    generator = from_pretrained(release)
    assert isinstance(generator, PhraseLDMGenerator)
    rows: dict[str, list[Figures]] = {}
    songs = list(held_out_songs(data, count))
    written: list[Song] = []
    for index, real in enumerate(songs):
        bare = replace(real, sections=())
        annotated = SongRequest(chords=chord_array(real.chords, real.num_bars))
        made = {
            "melody alone": (kept_song(bare, {MELODY}), SongRequest()),
            "whole song heard": (bare, SongRequest()),
            "sections and chords": (real, annotated),
        }
        rows.setdefault("real", []).append(figures(real, real))
        for name, (file, request) in made.items():
            song = accompany(generator, file, {MELODY}, request, 0, index).song
            assert kept_equal(song, real)
            rows.setdefault(name, []).append(figures(song, real))
            if name == "whole song heard":
                written.append(song)
        print(real.song_id, real.num_bars, *(rows[name][-1] for name in rows), flush=True)
    rows["for another melody"] = [figures(written[i - 1], real) for i, real in enumerate(songs)]
    print(f"{'':28} in scale, notes a bar, chord tones, clashes: mean (least to most)")
    for name, values in rows.items():
        print(line(name, values))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 10)
