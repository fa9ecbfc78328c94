import math
from collections.abc import Sequence

import numpy as np
import pytest
from rapidfuzz.distance import Levenshtein

from phrase_models.metrics.memorisation import (
    _as_text,
    build_training_melodies,
    measure_memorisation,
    melody_tokens,
)
from phrase_models.score.song import MELODY, PIANO, Note, Song, Track
from phrase_models.tokens.vocabulary import TOKEN_IDS, TOKENS


def melody_similarity(generated: Sequence[int], training: Sequence[int]) -> float:
    """Sim_mel = 1 - edits / length of the training melody, token by token, not symmetric.

    The convention of the released code; negative when a long melody meets a short one. An empty
    training melody gives 1 - length of the generated one, as its word error rate does.
    """
    edits = Levenshtein.distance(_as_text(generated), _as_text(training))
    return 1.0 - edits / max(1, len(training))


def make_song(pitches, num_bars=None, song_id="made"):
    """Quarter notes of the melody over one held piano note a bar."""
    melody = tuple(Note(12 * index, pitch, 12) for index, pitch in enumerate(pitches))
    num_bars = num_bars or math.ceil(len(pitches) / 4)
    piano = tuple(Note(48 * bar, 48, 48) for bar in range(num_bars))
    return Song(song_id, num_bars, (Track(MELODY, melody), Track(PIANO, piano)))


def ids(text):
    return [TOKEN_IDS[token] for token in text.split()]


def random_pitches(seed, num_notes=64):
    return np.random.default_rng(seed).integers(60, 80, size=num_notes).tolist()


def build(*melodies, groups=None):
    return build_training_melodies(
        {f"{index:03d}": melody for index, melody in enumerate(melodies)}, groups
    )


def test_melody_tokens_hold_the_melody_alone_bar_by_bar():
    song = Song(
        "made",
        3,
        (
            Track(MELODY, (Note(0, 60, 12), Note(0, 64, 6), Note(36, 62, 24), Note(96, 60, 48))),
            Track(PIANO, (Note(0, 40, 48),)),
        ),
    )
    text = " ".join(TOKENS[token] for token in melody_tokens(song))
    assert text == ("i-13 o-0 p-64 d-6 p-60 d-12 o-36 p-62 d-24 b-1 b-1 i-13 o-0 p-60 d-48 b-1")
    assert melody_tokens(Song("made", 2, ())) == ids("b-1 b-1")


def test_similarity_is_edits_over_the_training_length():
    training = ids("i-13 o-0 p-60 d-12 b-1")
    generated = ids("i-13 o-0 p-62 d-12 b-1 b-1")
    assert melody_similarity(generated, training) == 1 - 2 / 5
    assert melody_similarity(training, generated) == 1 - 2 / 6
    assert melody_similarity(training * 3, training) == 1 - 10 / 5
    assert melody_similarity(training, []) == 1 - 5


def test_both_forms_on_small_strings():
    training = build(ids("i-13 o-0 p-60 d-12 b-1"), ids("i-13 o-0 p-70 d-24 b-1 b-1"))
    result = measure_memorisation(ids("i-13 o-0 p-60 d-6 b-1 b-1"), training)
    # Edits: 2 of 5 (6 is longer), and 2 of 6.
    assert result.similarity_official == pytest.approx(1 - 2 / 6)
    assert result.top2_ratio_official == pytest.approx((2 / 6) / (2 / 5))
    assert result.similarity == pytest.approx(1 - 2 / 6)
    assert result.top2_ratio == pytest.approx(1.0)
    assert not result.is_memorised
    assert not result.is_memorised_official


def test_a_ratio_of_one_third_is_memorised_only_officially():
    edges = build(ids("i-13 p-1 p-2 p-3"), ids("i-13 p-4 p-5 p-6"))
    edge = measure_memorisation(ids("i-13 p-1 p-2 p-9"), edges)
    assert edge.top2_ratio == edge.top2_ratio_official == pytest.approx(1 / 3)
    assert edge.is_memorised_official
    assert not edge.is_memorised


def test_copies_are_memorised_and_new_songs_are_not():
    melodies = [melody_tokens(make_song(random_pitches(seed))) for seed in range(8)]
    training = build(*melodies)
    new = measure_memorisation(melody_tokens(make_song(random_pitches(99))), training)
    assert not new.is_memorised
    assert not new.is_memorised_official
    assert new.top2_ratio > 0.9
    copy = measure_memorisation(melodies[3], training)
    assert copy.is_memorised
    assert copy.is_memorised_official
    assert copy.nearest_song_id == "003"
    assert (copy.similarity, copy.top2_ratio) == (1.0, 0.0)
    pitches = random_pitches(3)
    pitches[10] += 1
    nearly = measure_memorisation(melody_tokens(make_song(pitches)), training)
    assert nearly.is_memorised
    assert nearly.similarity > 0.99


def test_a_transposed_copy_is_nearer_than_new_songs_but_not_equal():
    melodies = [melody_tokens(make_song(random_pitches(seed))) for seed in range(8)]
    training = build(*melodies)
    higher = [pitch + 2 for pitch in random_pitches(3)]
    transposed = measure_memorisation(melody_tokens(make_song(higher)), training)
    assert transposed.similarity < 0.8


def test_a_copy_of_a_duplicated_song_is_found_only_with_its_group():
    first = random_pitches(1)
    second = [*first[:-1], first[-1] + 1]
    nearly = [*first[:-2], first[-2] + 1, first[-1]]
    melodies = [melody_tokens(make_song(p)) for p in (first, second, random_pitches(2))]
    melody = melody_tokens(make_song(nearly))
    blind = measure_memorisation(melody, build(*melodies))
    assert not blind.is_memorised
    assert not blind.is_memorised_official
    seen = measure_memorisation(melody, build(*melodies, groups={"000": "a", "001": "a"}))
    assert seen.is_memorised
    assert not seen.is_memorised_official


def test_one_training_song_is_memorised_officially_and_undefined_exactly():
    training = build(melody_tokens(make_song(random_pitches(1))))
    result = measure_memorisation(melody_tokens(make_song(random_pitches(2))), training)
    assert result.top2_ratio_official == 0.0
    assert result.is_memorised_official
    assert math.isnan(result.top2_ratio)
    assert not result.is_memorised


def test_a_second_distance_of_zero_is_a_copy():
    melody = melody_tokens(make_song(random_pitches(1)))
    result = measure_memorisation(melody, build(melody, melody))
    assert result.top2_ratio_official == result.top2_ratio == 0.0
    assert result.is_memorised


def test_without_training_melodies_or_notes_nothing_is_defined():
    melody = melody_tokens(make_song(random_pitches(1)))
    nothing = measure_memorisation(melody, build())
    assert math.isnan(nothing.similarity)
    assert not nothing.is_memorised_official
    silent = measure_memorisation(ids("b-1 " * 16), build(melody, melody))
    assert math.isnan(silent.similarity)
    assert not silent.is_memorised
    # Sixteen empty bars still resemble a song of sixteen bars in the released code's way.
    assert silent.similarity_official == pytest.approx(16 / len(melody))


def test_a_training_song_can_be_left_out_with_its_duplicates():
    melodies = [melody_tokens(make_song(random_pitches(seed))) for seed in range(5)]
    training = build(*melodies, melodies[0], groups={"000": "a", "005": "a"})
    inside = measure_memorisation(melodies[0], training)
    outside = measure_memorisation(melodies[0], training, exclude_song_id="000")
    assert inside.is_memorised
    assert not outside.is_memorised
    assert outside.nearest_song_id not in {"000", "005"}


def test_melody_of_the_golden_song_is_its_melody_tokens(pop909_root):
    text = (pop909_root / "golden" / "001.remiz.txt").read_text().split()
    tracks, expected = {}, []
    bar, program, onset, pitch = 0, 0, 0, 0
    for token in text:
        kind, number = token[0], int(token[2:])
        if kind == "i":
            program = number
        elif kind == "o":
            onset = 48 * bar + number
        elif kind == "p":
            pitch = number
        elif kind == "d":
            tracks.setdefault(program, []).append(Note(onset, pitch, number))
        else:
            bar += 1
        if kind == "b" or program == MELODY:
            expected.append(TOKEN_IDS[token])
    song = Song("001", bar, tuple(Track(p, tuple(sorted(n))) for p, n in tracks.items()))
    assert bar == 71
    assert melody_tokens(song) == expected
