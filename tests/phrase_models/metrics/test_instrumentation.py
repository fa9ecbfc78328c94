import math

import pytest

from phrase_models.metrics.instrumentation import (
    InstrumentationChange,
    bar_programs,
    instrumentation_change,
)
from phrase_models.score.song import (
    BRIDGE,
    MELODY,
    PIANO,
    Note,
    Section,
    Song,
    Track,
    parse_section_layout,
)


def test_programs_of_a_bar_are_ordered_by_mean_pitch_with_the_tie_rule():
    song = Song(
        "made",
        4,
        (
            Track(MELODY, (Note(0, 60, 3), Note(48, 60, 3), Note(108, 60, 3))),
            Track(BRIDGE, (Note(12, 70, 3), Note(51, 60, 3), Note(96, 60, 3))),
            Track(PIANO, (Note(0, 60, 3), Note(48, 60, 3))),
        ),
    )
    assert bar_programs(song) == [
        (BRIDGE, MELODY, PIANO),
        (MELODY, PIANO, BRIDGE),
        (BRIDGE, MELODY),
        (),
    ]


def test_counts_follow_the_papers_definitions():
    bars = [(0,), (0,), (13, 0), (0, 13), ()]
    sections = parse_section_layout("i2 A2 o1")
    counts = instrumentation_change(bars, sections)
    # Boundaries: nothing -> bar 0, bar 1 -> 2, bar 3 -> 4. Inside: every bar -> the next one, the
    # last one -> nothing; bars 2 -> 3 differ in order alone, and nothing follows the empty bar 4.
    assert counts == InstrumentationChange(
        num_boundary=3, boundary=3, boundary_set=3, num_inside=5, inside=3, inside_set=2
    )
    assert counts.rates() == {
        "boundary": 1.0,
        "inside": 3 / 5,
        "boundary_set": 1.0,
        "inside_set": 2 / 5,
    }


def test_counts_add_over_songs_and_nothing_has_no_rate():
    one = instrumentation_change([(0,)], [Section("A", 0, 1)])
    assert (one + one).num_boundary == 2
    assert all(math.isnan(rate) for rate in InstrumentationChange().rates().values())


@pytest.mark.slow
def test_popular_songs_give_the_papers_figures(pop909_root):
    pop909 = pytest.importorskip("phrase_models.sources.pop909.songs")
    total = InstrumentationChange()
    for entry in pop909.list_songs(pop909_root):
        ingested = pop909.ingest_song(pop909_root, entry, pop909.IngestConfig())
        if ingested.accepted:
            song = ingested.song
            total += instrumentation_change(bar_programs(song), song.sections)
    assert total.rates() == pytest.approx(
        {"boundary": 0.6011, "inside": 0.3380, "boundary_set": 0.4949, "inside_set": 0.2257},
        abs=0.01,
    )
