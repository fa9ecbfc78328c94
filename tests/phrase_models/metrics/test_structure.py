import math

import numpy as np
import pytest

from phrase_models.metrics.structure import (
    bar_features,
    bar_latents,
    bar_ssm,
    cosine_matrix,
    note_ssm,
    recurrence_lines,
    section_recurrence,
    srs_official,
)
from phrase_models.score.song import MELODY, PIANO, Note, Song, Track


def literal_srs(ssm, *, exact, threshold=0.5, min_line_bars=4):
    """SRS cell by cell."""
    num_bars = len(ssm)
    bright = [[bool(ssm[i, j] > threshold) for j in range(num_bars)] for i in range(num_bars)]
    total = 0
    for lag in range(1, num_bars):
        row = 0
        while row < num_bars - lag:
            if not bright[row][row + lag]:
                row += 1
                continue
            start = row
            while row < num_bars - lag and bright[row][row + lag]:
                row += 1
            if row - start < min_line_bars:
                continue
            if exact:
                touching = set()
                for i in range(start, row):
                    j = i + lag
                    touching |= {(i, j + 1), (i - 1, j), (i, j - 1), (i + 1, j)}
                touching = {(i, j) for i, j in touching if 0 <= i <= j < num_bars}
                clustered = any(i == j or bright[i][j] for i, j in touching)
            else:
                clustered = any(
                    i + lag + 1 < num_bars and bright[i][i + lag + 1] for i in range(start, row)
                )
            if not clustered:
                total += row - start
    return total / num_bars


def ssm_of(form):
    """Matrix of a form such as "abcdabcd": 1 where letters are equal."""
    letters = np.array(list(form))
    return (letters[:, None] == letters[None, :]).astype(float)


def random_ssm(seed, num_bars=40):
    generator = np.random.default_rng(seed)
    form = generator.integers(0, 6, size=num_bars)
    for _ in range(3):
        source, target = generator.integers(0, num_bars - 8, size=2)
        form[target : target + 8] = form[source : source + 8]
    noise = generator.uniform(size=(num_bars, num_bars)) < 0.02
    bright = (form[:, None] == form[None, :]) | np.triu(noise, 1)
    return np.where(bright, 0.9, 0.1)


@pytest.mark.parametrize("seed", range(12))
def test_fast_form_equals_the_literal_one(seed):
    ssm = random_ssm(seed)
    assert srs_official(ssm) == pytest.approx(literal_srs(ssm, exact=False))
    assert section_recurrence(ssm) == pytest.approx(literal_srs(ssm, exact=True))


def test_the_literal_comparison_is_not_empty():
    official = [srs_official(random_ssm(seed)) for seed in range(12)]
    exact = [section_recurrence(random_ssm(seed)) for seed in range(12)]
    assert sum(official) > sum(exact) > 0.0


@pytest.mark.parametrize(("times", "score"), [(1, 0.0), (2, 0.5), (3, 1.0), (4, 1.5)])
def test_a_section_counts_once_for_each_pair_of_its_occurrences(times, score):
    ssm = ssm_of("abcdefgh" * times)
    assert section_recurrence(ssm) == score
    assert srs_official(ssm) == score


def test_four_bars_are_a_section_and_three_are_not():
    assert section_recurrence(ssm_of("abcdwxyzabcd")) == 4 / 12
    assert section_recurrence(ssm_of("abcdwxyzabce")) == 0.0
    assert srs_official(ssm_of("abcdwxyzabce")) == 0.0


def test_a_constant_song_has_no_sections():
    assert section_recurrence(ssm_of("a" * 30)) == 0.0
    assert srs_official(ssm_of("a" * 30)) == 0.0


def test_exactly_the_threshold_is_dark():
    ssm = ssm_of("abcdefgh" * 2) * 0.5
    assert section_recurrence(ssm) == srs_official(ssm) == 0.0


def line_matrix(num_bars, *lines):
    ssm = np.eye(num_bars)
    for lag, start, length in lines:
        for row in range(start, start + length):
            ssm[row, row + lag] = 1.0
    return ssm


def test_adjacent_lines_are_clusters_of_which_official_keeps_the_outermost():
    ssm = line_matrix(20, (8, 2, 6), (9, 2, 6))
    assert section_recurrence(ssm) == 0.0
    assert srs_official(ssm) == 6 / 20


def test_official_overlooks_the_cell_above_the_first_one():
    # The cell (start - 1, start + lag) lies on the next diagonal, one row before the line.
    ssm = line_matrix(20, (8, 3, 5), (9, 2, 1))
    assert srs_official(ssm) == 5 / 20
    assert section_recurrence(ssm) == 0.0


def test_bars_like_the_next_one_are_no_recurrence():
    ssm = line_matrix(20, (1, 3, 5))
    assert srs_official(ssm) == 5 / 20
    assert section_recurrence(ssm) == 0.0


def test_undefined_cases():
    assert math.isnan(srs_official(np.zeros((0, 0))))
    assert math.isnan(section_recurrence(np.ones((7, 7))))
    assert section_recurrence(ssm_of("abcd" * 2)) == 0.5
    assert srs_official(np.ones((1, 1))) == 0.0


def test_lines_are_found_where_they_were_drawn():
    lines = recurrence_lines(line_matrix(20, (8, 2, 6), (12, 0, 8), (5, 1, 3)))
    found = sorted(zip(lines.lag.tolist(), lines.start.tolist(), lines.end.tolist(), strict=True))
    assert found == [(8, 2, 8), (12, 0, 8)]


def test_bar_latents_are_the_mean_of_all_slots():
    latents = np.array([[[1.0, 0.0], [0.0, 1.0]], [[2.0, 2.0], [4.0, 0.0]]], dtype=np.float32)
    np.testing.assert_allclose(bar_latents(latents), [[0.5, 0.5], [3.0, 1.0]])
    assert bar_ssm(latents)[0, 1] == pytest.approx(2.0 / math.sqrt(0.5) / math.sqrt(10.0))


def test_a_zero_bar_resembles_nothing():
    assert cosine_matrix(np.array([[0.0, 0.0], [1.0, 0.0]])).tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_bar_features_count_sounding_steps_and_onsets():
    # A half note c over the barline into bar 1, and an e on the last sixteenth of bar 0.
    song = Song("made", 2, (Track(PIANO, (Note(36, 60, 24), Note(45, 64, 3))),))
    features = bar_features(song)
    length = math.hypot(12.0, 3.0)
    assert features.shape == (2, 28)
    assert features[0, 0] == pytest.approx(12 / length)
    assert features[0, 4] == pytest.approx(3 / length)
    assert features[0, 12 + 12] == features[0, 12 + 15] == pytest.approx(math.sqrt(0.5))
    assert features[1, 0] == 1.0
    assert features[1, 12:].sum() == 0.0


def random_song(order, seed=1):
    """Bars of random rhythm and pitch, played in the given order of bar numbers."""
    generator = np.random.default_rng(seed)
    contents = [
        [
            (3 * int(sixteenth), int(generator.integers(60, 84)))
            for sixteenth in generator.choice(16, size=5, replace=False)
        ]
        for _ in range(max(order) + 1)
    ]
    notes = sorted(
        Note(48 * bar + onset, pitch, 6)
        for bar, number in enumerate(order)
        for onset, pitch in contents[number]
    )
    return Song("made", len(order), (Track(MELODY, tuple(notes)),))


FORM = [*range(20), *range(16)]


def test_note_recurrence_sees_a_form_and_loses_it_in_shuffled_bars():
    shuffled = np.random.default_rng(4).permutation(FORM).tolist()
    assert section_recurrence(note_ssm(random_song(FORM))) == 16 / 36
    assert section_recurrence(note_ssm(random_song(shuffled))) == 0.0


def test_shuffled_latents_lose_their_recurrence():
    generator = np.random.default_rng(5)
    section = generator.normal(size=(16, 4, 32))
    latents = np.concatenate([section, generator.normal(size=(8, 4, 32)), section])
    latents += 0.2 * generator.normal(size=latents.shape)
    assert section_recurrence(bar_ssm(latents)) == 16 / 40
    shuffled = latents[generator.permutation(40)]
    assert section_recurrence(bar_ssm(shuffled)) == 0.0
    assert srs_official(bar_ssm(shuffled)) == 0.0


def test_transposing_all_of_a_song_keeps_its_recurrence():
    song = random_song(FORM)
    notes = tuple(Note(n.onset, n.pitch + 5, n.duration) for n in song.tracks[0].notes)
    higher = Song("made", song.num_bars, (Track(MELODY, notes),))
    np.testing.assert_allclose(note_ssm(song), note_ssm(higher), atol=1e-12)


def test_silent_bars_resemble_nothing():
    song = Song("made", 3, (Track(MELODY, (Note(0, 60, 12), Note(100, 62, 12))),))
    ssm = note_ssm(song)
    assert ssm[1].tolist() == [0.0, 0.0, 0.0]
    assert note_ssm(Song("made", 2, ())).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_recurrence_of_a_matrix_with_nan_is_undefined_and_not_zero():
    ssm = np.ones((12, 12))
    ssm[3, 8] = math.nan
    assert math.isnan(section_recurrence(ssm))
    assert math.isnan(srs_official(ssm))
