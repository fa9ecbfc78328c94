import numpy as np

from phrase_models.metrics.bar_rolls import NUM_BAR_FEATURES, bar_roll_features
from phrase_models.score.song import BRIDGE, MELODY, PIANO, Note, Song, Track

ROLE_FEATURES = 12 * 16 + 6


def test_values_of_one_bar():
    # Bar 0 is silent; bar 1 has a C on its third sixteenth and an E a step after the fourth beat.
    melody = (Note(48 + 6, 60, 6), Note(48 + 37, 76, 18))
    song = Song("x", 3, (Track(MELODY, melody), Track(99, (Note(100, 60, 6),))))
    features = bar_roll_features(song)
    assert features.shape == (1, NUM_BAR_FEATURES) == (1, 3 * ROLE_FEATURES)
    roll = features[0, : 12 * 16].reshape(12, 16)
    assert sorted(zip(*np.nonzero(roll), strict=True)) == [(0, 2), (4, 12)]
    assert roll.sum() == 2.0
    counts = features[0, 12 * 16 : ROLE_FEATURES]
    np.testing.assert_allclose(counts, [2, 2, 1, (68 - 65) / 12, 16 / 12, 1.0])
    assert not features[0, ROLE_FEATURES:].any()


def test_roles_have_their_own_columns_and_chords_count_each_note():
    chord = tuple(Note(0, pitch, 12) for pitch in (48, 60, 64))
    song = Song("x", 1, (Track(BRIDGE, chord[:1]), Track(PIANO, chord)))
    features = bar_roll_features(song)[0]
    assert not features[:ROLE_FEATURES].any()
    bridge, piano = features[ROLE_FEATURES:].reshape(2, ROLE_FEATURES)
    assert (bridge[0], piano[0], piano[4 * 16]) == (1.0, 2.0, 1.0)
    np.testing.assert_allclose(piano[-6:-3], [3, 1, 0])


def test_a_silent_song_has_no_bars():
    assert bar_roll_features(Song("x", 4, ())).shape == (0, NUM_BAR_FEATURES)
    assert bar_roll_features(Song("x", 0, ())).shape == (0, NUM_BAR_FEATURES)
