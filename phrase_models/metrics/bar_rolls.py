"""Piano rolls of single bars as rows of numbers, for classifiers of bars."""

import numpy as np

from phrase_models.score.song import ROLE_PROGRAMS, SIXTEENTH, STEPS_PER_BAR, Song

_NUM_SIXTEENTHS = STEPS_PER_BAR // SIXTEENTH
_NUM_COUNTS = 6
_MIDDLE_PITCH, _OCTAVE = 65.0, 12.0
NUM_BAR_FEATURES = len(ROLE_PROGRAMS) * (12 * _NUM_SIXTEENTHS + _NUM_COUNTS)


def bar_roll_features(song: Song) -> np.ndarray:
    """What each role plays in each bar that sounds, `(N, 594)` for N bars.

    Columns of a role: onsets of each pitch class on each sixteenth (12 times 16, the sixteenth
    running fastest); notes; onsets; off-sixteenth notes; mean pitch in octaves around F4; span of
    pitches in octaves; mean duration in beats; 0 where the role is silent. Bars in which no note
    begins are left out: that a bar is silent is a matter of form.
    """
    rolls = np.zeros((song.num_bars, len(ROLE_PROGRAMS), 12, _NUM_SIXTEENTHS))
    counts = np.zeros((song.num_bars, len(ROLE_PROGRAMS), _NUM_COUNTS))
    for track in song.tracks:
        if track.program not in ROLE_PROGRAMS:
            continue
        role = ROLE_PROGRAMS.index(track.program)
        table = np.array(
            [(note.onset, note.pitch, note.duration) for note in track.notes], dtype=np.int64
        ).reshape(-1, 3)
        bars = table[:, 0] // STEPS_PER_BAR
        inside = (bars >= 0) & (bars < song.num_bars)
        table, bars = table[inside], bars[inside]
        steps = table[:, 0] % STEPS_PER_BAR
        np.add.at(rolls[:, role], (bars, table[:, 1] % 12, steps // SIXTEENTH), 1.0)
        for bar in np.unique(bars):
            rows, in_bar = table[bars == bar], steps[bars == bar]
            counts[bar, role] = (
                len(rows),
                len(np.unique(in_bar)),
                np.count_nonzero(in_bar % SIXTEENTH),
                (rows[:, 1].mean() - _MIDDLE_PITCH) / _OCTAVE,
                (rows[:, 1].max() - rows[:, 1].min()) / _OCTAVE,
                rows[:, 2].mean() / 12.0,
            )
    flat = rolls.reshape(song.num_bars, len(ROLE_PROGRAMS), 12 * _NUM_SIXTEENTHS)
    features = np.concatenate((flat, counts), axis=2).reshape(song.num_bars, NUM_BAR_FEATURES)
    return features[counts[:, :, 0].sum(axis=1) > 0.0]
