import pytest

from phrase_models.metrics.copied_runs import CopiedRun, build_copy_index, longest_copied_run
from phrase_models.metrics.memorisation import build_training_melodies
from phrase_models.tokens.vocabulary import END_OF_BAR, duration_id, onset_id, pitch_id, program_id


def tokens_of(bars):
    """Melody tokens of bars, each a list of pitches on the beats."""
    tokens = []
    for pitches in bars:
        if pitches:
            tokens.append(program_id(13))
        for beat, pitch in enumerate(pitches):
            tokens += [onset_id(12 * beat), pitch_id(pitch), duration_id(12)]
        tokens.append(END_OF_BAR)
    return tokens


def higher(bars, semitones):
    return [[pitch + semitones for pitch in bar] for bar in bars]


SONG = [[60, 62], [64, 65], [], [67, 69, 71], [72], [60, 64], [], [55, 57]]
OTHER = [[50], [51], [52], [53]]


def find(melody_bars, *training_bars, ignores_key=False, exclude=None, groups=None):
    training = build_training_melodies(
        {f"{index:03d}": tokens_of(bars) for index, bars in enumerate(training_bars)}, groups
    )
    index = build_copy_index(training, ignores_key=ignores_key)
    return longest_copied_run(tokens_of(melody_bars), index, exclude_song_id=exclude)


def test_a_quoted_passage_is_found_with_its_places():
    melody = [[40], [41], *SONG[1:5], [42]]
    assert find(melody, OTHER, SONG) == CopiedRun(4, 2, "001", 1, 0)


def test_a_whole_copy_is_as_long_as_the_song():
    assert find(SONG, OTHER, SONG).num_bars == len(SONG)


def test_rests_count_inside_a_run_but_not_at_its_ends():
    assert find([[], [], *SONG[5:6], [], [30]], SONG).num_bars == 1
    assert find([*SONG[5:8], []], SONG).num_bars == 3
    assert find([[], [], []], [[], [], []]).num_bars == 0


def test_runs_do_not_cross_from_one_training_song_to_the_next():
    assert find([*SONG[6:8], *OTHER[:2]], SONG, OTHER).num_bars == 2


def test_a_transposed_copy_is_found_only_when_the_key_is_ignored():
    melody = [[40], *higher(SONG, 3)]
    assert find(melody, SONG).num_bars < 2
    assert find(melody, OTHER, SONG, ignores_key=True) == CopiedRun(8, 1, "001", 0, 3)


def test_a_run_keeps_one_transposition():
    melody = [*higher(SONG[:2], 2), *SONG[2:5]]
    assert find(melody, SONG, ignores_key=True) == CopiedRun(2, 0, "000", 0, 2)
    assert find([*SONG[3:5], *higher(SONG[5:6], 1)], SONG, ignores_key=True).num_bars == 2


@pytest.mark.parametrize("ignores_key", [False, True])
def test_a_song_can_be_left_out_with_its_duplicates(ignores_key):
    groups = {"000": "a", "002": "a"}
    run = find(SONG, SONG, OTHER, SONG, ignores_key=ignores_key, exclude="000", groups=groups)
    assert run.num_bars <= 1
    assert run.song_id in {"", "001"}


def test_nothing_to_compare_with():
    assert find(SONG) == CopiedRun(0, 0, "", 0, 0)
    assert find([], SONG) == CopiedRun(0, 0, "", 0, 0)
