import numpy as np
import pytest

from phrase_models.metrics.boundaries import (
    find_boundaries,
    line_ends,
    novelty_curve,
    texture_change,
    texture_features,
)
from phrase_models.metrics.plan_fidelity import boundary_f1, section_boundaries
from phrase_models.score.song import (
    BRIDGE,
    MELODY,
    PIANO,
    Note,
    Song,
    Track,
    parse_section_layout,
)


def compose(layout, seed=0):
    """Sections of equal label are equal; lower-case ones have no melody."""
    generator = np.random.default_rng(seed)
    sections = parse_section_layout(layout)
    tracks = {MELODY: [], BRIDGE: [], PIANO: []}
    contents = {}
    for section in sections:
        for bar in range(section.num_bars):
            key = (section.label, bar)
            if key not in contents:
                contents[key] = [
                    (program, 3 * int(sixteenth), int(generator.integers(50, 80)))
                    for program in (MELODY, BRIDGE, PIANO)
                    if program == PIANO or (section.label.isupper() and program == MELODY)
                    for sixteenth in generator.choice(16, size=5, replace=False)
                ]
            for program, onset, pitch in contents[key]:
                start = 48 * (section.start_bar + bar) + onset
                tracks[program].append(Note(start, pitch, 6))
    return Song(
        "made",
        sum(section.num_bars for section in sections),
        tuple(Track(program, tuple(sorted(notes))) for program, notes in tracks.items()),
        sections,
    )


def test_texture_features_of_a_bar():
    song = Song("made", 2, (Track(BRIDGE, (Note(0, 65, 3), Note(0, 77, 3), Note(3, 65, 3))),))
    table = texture_features(song).reshape(2, 3, 19)
    assert table[0, 1, :3] == pytest.approx([1.0, np.log(4.0), 1 / 3])
    assert table[0, 1, 3:5] == pytest.approx([2 / 5**0.5, 1 / 5**0.5])
    assert np.count_nonzero(table) == 5


def test_texture_change_compares_two_bars_with_two():
    features = np.array([[0.0], [0.0], [4.0], [4.0], [4.0]])
    assert texture_change(features).tolist() == [0.0, 2.0, 4.0, 2.0, 0.0]


def test_line_ends_mark_both_occurrences():
    ssm = np.eye(24)
    for bar in range(2, 8):
        ssm[bar, bar + 12] = 1.0
    expected = np.zeros(24)
    expected[[2, 8, 14, 20]] = 1.0
    assert line_ends(ssm).tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_sections_of_a_composed_song_are_found(seed):
    song = compose("i4 A8 B8 b4 A8 B8 o2", seed)
    assert boundary_f1(find_boundaries(song), section_boundaries(song.sections)) >= 0.8


def test_shuffled_bars_lose_the_boundaries():
    song = compose("i4 A8 B8 b4 A8 B8 o2")
    order = np.random.default_rng(1).permutation(song.num_bars)
    moved = tuple(
        Track(
            track.program,
            tuple(
                sorted(
                    Note(48 * int(order[note.onset // 48]) + note.onset % 48, note.pitch, 6)
                    for note in track.notes
                )
            ),
        )
        for track in song.tracks
    )
    shuffled = Song("made", song.num_bars, moved)
    assert boundary_f1(find_boundaries(shuffled), section_boundaries(song.sections)) < 0.7


@pytest.mark.parametrize("num_bars", [0, 1, 2, 3, 10])
def test_silent_and_short_songs_have_no_boundaries(num_bars):
    assert find_boundaries(Song("made", num_bars, ())) == []


def test_novelty_has_one_entry_a_bar():
    song = compose("A8 B8")
    assert novelty_curve(song).shape == (16,)
