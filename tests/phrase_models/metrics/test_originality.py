"""Planted copies in six disguises are found, what is no copy is not."""

import math
from dataclasses import replace

import numpy as np
import pytest

from phrase_models.metrics.memorisation import build_training_melodies, melody_tokens
from phrase_models.metrics.originality import (
    MIN_CHANCE_SONGS,
    Quotation,
    build_quotation_index,
    chance_level,
    longest_quotation,
)
from phrase_models.score.song import BRIDGE, MELODY, PIANO, Note, Song, Track

NUM_BARS = 40
COPIED_BARS = 8
START, PLACE = 10 * 48, 20 * 48


def make_melody(generator):
    """Quarters, eighths and sixteenths, stepwise with leaps, about five notes a bar."""
    notes, onset, pitch = [], 0, 67
    while onset < NUM_BARS * 48:
        duration = int(generator.choice((3, 6, 12, 18), p=(0.2, 0.4, 0.3, 0.1)))
        notes.append(Note(onset, pitch, duration))
        onset += duration
        pitch = int(np.clip(pitch + generator.choice((-5, -2, -1, 0, 2, 3, 4)), 55, 80))
    return notes


def make_song(seed, *, song_id=None):
    generator = np.random.default_rng(seed)
    chords = [
        Note(12 * beat, int(root) + interval, 12)
        for beat, root in enumerate(generator.choice((36, 41, 43, 45), size=4 * NUM_BARS))
        for interval in (0, 7, 12)
    ]
    tracks = (
        Track(MELODY, tuple(make_melody(generator))),
        Track(BRIDGE, tuple(make_melody(generator))),
        Track(PIANO, tuple(sorted(chords))),
    )
    return Song(song_id or f"{seed:03d}", NUM_BARS, tracks)


TRAINING = [make_song(seed) for seed in range(30)]
HELD_OUT = [make_song(seed) for seed in range(100, 120)]
SOURCE = TRAINING[7]
PASSAGE = [n for n in SOURCE.tracks[0].notes if START <= n.onset < START + COPIED_BARS * 48]


@pytest.fixture(scope="module")
def index():
    melodies = {song.song_id: melody_tokens(song) for song in TRAINING}
    return build_quotation_index(build_training_melodies(melodies))


@pytest.fixture(scope="module")
def chance(index):
    return chance_level(HELD_OUT, index)


def plant(notes, *, program=MELODY):
    """Put the notes into a held-out song, in place of what its track plays there."""
    begin, end = min(note.onset for note in notes), max(note.onset for note in notes)
    tracks = []
    for track in HELD_OUT[0].tracks:
        kept = list(track.notes)
        if track.program == program:
            if program != PIANO:  # the piano goes on below
                kept = [note for note in kept if not begin <= note.onset <= end]
            kept = sorted([*kept, *notes])
        tracks.append(Track(track.program, tuple(kept)))
    return replace(HELD_OUT[0], tracks=tuple(tracks))


def moved(*, shift=0, up=0, scale=1.0):
    return [
        Note(
            PLACE + shift + int(np.floor((note.onset - START) * scale + 0.5)),
            note.pitch + up,
            max(1, int(note.duration * scale)),
        )
        for note in PASSAGE
    ]


DISGUISES = {
    "exact": (plant(moved()), 0, 1.0, "Melody"),
    "transposed by 5": (plant(moved(up=5)), 5, 1.0, "Melody"),
    "shifted by a beat": (plant(moved(shift=12)), 0, 1.0, "Melody"),
    "shifted by a sixteenth": (plant(moved(shift=3)), 0, 1.0, "Melody"),
    "half tempo": (plant(moved(scale=2.0)), 0, 2.0, "Melody"),
    "double tempo": (plant(moved(scale=0.5)), 0, 0.5, "Melody"),
    "in the bridge": (plant(moved(), program=BRIDGE), 0, 1.0, "Bridge, highest notes"),
    "above the piano": (plant(moved(), program=PIANO), 0, 1.0, "Piano, highest notes"),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_planted_copies_are_found_whole(name, index, chance):
    song, transposition, tempo_ratio, line = DISGUISES[name]
    found = longest_quotation(song, index)
    assert found.song_id == SOURCE.song_id
    assert found.transposition == transposition
    assert found.tempo_ratio == tempo_ratio
    assert found.line == line
    # A note before or after may agree by chance, beyond the planted ones.
    assert len(PASSAGE) <= found.num_notes <= len(PASSAGE) + 2
    assert found.num_bars == pytest.approx(COPIED_BARS, abs=0.7)
    assert found.start_bar in {19, 20}
    assert found.training_start_bar in {9, 10}
    assert chance.is_memorised(found)


def test_all_disguises_at_once_and_a_wrong_note(index, chance):
    notes = moved(shift=15, up=-7, scale=2.0)
    assert chance.is_memorised(longest_quotation(plant(notes, program=PIANO), index))
    wrong = len(notes) // 2
    notes[wrong] = replace(notes[wrong], pitch=notes[wrong].pitch + 1)
    found = longest_quotation(plant(notes), index)
    assert found.song_id == SOURCE.song_id
    assert max(wrong, len(notes) - wrong - 1) <= found.num_notes < len(notes)


def test_an_ornamented_copy_is_found(index, chance):
    # Extra notes elsewhere in the bar lie between the copied ones.
    extra = [Note(PLACE + 48 * bar + 46, 90, 1) for bar in range(COPIED_BARS)]
    found = longest_quotation(plant(sorted([*moved(), *extra])), index)
    assert found.num_notes >= len(PASSAGE)
    assert chance.is_memorised(found)


def test_unrelated_and_shuffled_melodies_are_not_memorised(index, chance):
    generator = np.random.default_rng(5)
    for seed in range(200, 210):
        assert not chance.is_memorised(longest_quotation(make_song(seed), index))
        order = generator.permutation(len(PASSAGE))
        shuffled = [
            replace(note, pitch=PASSAGE[int(place)].pitch)
            for note, place in zip(moved(), order, strict=True)
        ]
        assert not chance.is_memorised(longest_quotation(plant(shuffled), index))


def test_inverted_and_reversed_melodies_are_other_melodies(index, chance):
    inverted = [replace(note, pitch=140 - note.pitch) for note in moved()]
    assert not chance.is_memorised(longest_quotation(plant(inverted), index))
    back = [replace(note, onset=2 * PLACE + COPIED_BARS * 48 - note.onset) for note in moved()]
    assert not chance.is_memorised(longest_quotation(plant(sorted(back)), index))


def test_a_training_song_is_compared_with_the_others(index, chance):
    assert longest_quotation(SOURCE, index).num_notes == len(SOURCE.tracks[0].notes)
    alone = longest_quotation(SOURCE, index, exclude_song_id=SOURCE.song_id)
    assert alone.song_id != SOURCE.song_id
    assert not chance.is_memorised(alone)


def test_repeated_notes_are_no_quotation(index):
    notes = tuple(Note(6 * step, 60, 6) for step in range(200))
    repeated = Song("x", 25, (Track(MELODY, notes),))
    assert longest_quotation(repeated, index) == Quotation()
    training = build_training_melodies({"x": melody_tokens(repeated)})
    assert longest_quotation(repeated, build_quotation_index(training)) == Quotation()


def test_nothing_to_search_or_to_find(index):
    assert longest_quotation(Song("x", 4, ()), index) == Quotation()
    short = Song("x", 1, (Track(MELODY, (Note(0, 60, 6), Note(6, 62, 6))),))
    assert longest_quotation(short, index) == Quotation()
    empty = build_quotation_index(build_training_melodies({}))
    assert longest_quotation(HELD_OUT[0], empty) == Quotation()


def test_the_chance_level_is_the_upper_end_of_a_gumbel_distribution(index, chance):
    moves = np.array(chance.num_moves)
    scale = moves.std(ddof=1) * np.sqrt(6) / np.pi
    expected = moves.mean() - 0.5772156649 * scale - scale * np.log(-np.log(1 - 1e-4))
    assert chance.threshold == pytest.approx(expected)
    assert max(moves) < chance.threshold
    few = chance_level(HELD_OUT[: MIN_CHANCE_SONGS - 1], index)
    assert math.isnan(few.threshold)
    assert not few.is_memorised(longest_quotation(SOURCE, index))


def test_leave_one_out_is_needed_for_training_songs(index):
    copies = chance_level(TRAINING[:12], index)
    alone = chance_level(TRAINING[:12], index, leave_one_out=True)
    assert min(copies.num_moves) > 100
    assert max(alone.num_moves) < 20
