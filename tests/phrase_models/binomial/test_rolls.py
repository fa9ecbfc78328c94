"""Songs into rolls and back: exact on the grid, and every loss counted."""

import numpy as np
import pytest

from phrase_models.binomial.config import RollConfig
from phrase_models.binomial.rolls import (
    RollReport,
    pack_bars,
    roll_to_song,
    song_to_roll,
    unpack_bars,
)
from phrase_models.errors import ConfigurationError
from phrase_models.score.song import BRIDGE, MAX_DURATION, MELODY, PIANO, Note, Song, Track
from phrase_models.sources.acceptance_rules import IngestConfig
from phrase_models.sources.pop909.songs import ingest_song, list_songs
from phrase_models.sources.synthetic.composer import SyntheticConfig, compose_song

CONFIG = RollConfig()


def song(*tracks: Track, num_bars: int = 4) -> Song:
    return Song("s", num_bars, tracks)


def there_and_back(original: Song, config: RollConfig = CONFIG) -> Song:
    return roll_to_song(song_to_roll(original, config)[0], config)[0]


def test_planes_are_onsets_and_holds_of_each_role():
    notes = Track(BRIDGE, (Note(3, 60, 9), Note(12, 60, 3)))
    roll, report = song_to_roll(song(notes), CONFIG)
    assert roll.shape == (6, 64, 72)
    assert report == RollReport(2)
    assert report.sentence(CONFIG) == ""
    onsets, holds = roll[2, :, 60 - 28], roll[3, :, 60 - 28]
    assert np.flatnonzero(onsets).tolist() == [1, 4]
    assert np.flatnonzero(holds).tolist() == [2, 3]
    assert roll.sum() == 4


def test_repeated_notes_held_notes_and_the_longest_note_come_back():
    melody = Track(MELODY, (Note(0, 72, 3), Note(3, 72, 3), Note(6, 72, MAX_DURATION, 96)))
    piano = Track(PIANO, (Note(0, 40, 126), Note(0, 72, 48), Note(45, 41, 24)))
    original = song(melody, piano)
    assert there_and_back(original).tracks == original.tracks


@pytest.mark.parametrize("index", range(3))
def test_a_composed_song_comes_back_note_for_note(index):
    original = compose_song(SyntheticConfig(num_songs=3, min_bars=20, max_bars=24), index).song
    back = there_and_back(original)
    places = [[(n.onset, n.pitch, n.duration) for n in t.notes] for t in original.tracks]
    assert [[(n.onset, n.pitch, n.duration) for n in t.notes] for t in back.tracks] == places
    assert [t.program for t in back.tracks] == [t.program for t in original.tracks]


def test_one_plane_fuses_repeated_notes_and_says_so():
    config = RollConfig(cells="sounding")
    original = song(Track(PIANO, (Note(0, 60, 3), Note(3, 60, 3), Note(9, 60, 3))))
    roll, report = song_to_roll(original, config)
    assert roll.shape == (3, 64, 72)
    assert report.num_merged == 1
    assert roll_to_song(roll, config)[0].tracks[0].notes == (Note(0, 60, 6), Note(9, 60, 3))


def test_flattened_voices_come_back_as_a_piano():
    config = RollConfig(voices="flattened")
    original = song(Track(MELODY, (Note(0, 72, 6),)), Track(PIANO, (Note(3, 72, 12),)))
    roll, report = song_to_roll(original, config)
    assert roll.shape == (2, 64, 72)
    assert report.num_merged == 1
    assert roll_to_song(roll, config)[0].tracks == (
        Track(PIANO, (Note(0, 72, 3), Note(3, 72, 12))),
    )


def test_what_does_not_fit_is_counted_and_said():
    notes = (Note(0, 27, 3), Note(0, 100, 3), Note(1, 60, 3), Note(6, 61, 4), Note(192, 62, 3))
    roll, report = song_to_roll(song(Track(PIANO, notes)), CONFIG)
    assert report == RollReport(5, num_outside=2, num_beyond=1, num_moved=2)
    assert report.sentence(CONFIG) == (
        "Of 5 notes: 2 outside the pitches 28 to 99 dropped, 1 after the last bar dropped, "
        "2 moved to a sixteenth."
    )
    assert roll_to_song(roll, CONFIG)[0].tracks[0].notes == (Note(0, 60, 3), Note(6, 61, 3))


def test_held_cells_without_an_onset_are_ignored_and_counted():
    roll = np.zeros((6, 16, 72), np.bool_)
    roll[1, 2:5, 30] = True  # held from nowhere
    roll[0, 8, 30] = roll[1, 8:10, 30] = True  # an onset that is also held
    back, ignored = roll_to_song(roll, CONFIG)
    assert ignored == 3
    assert back.tracks == (Track(MELODY, (Note(24, 58, 6),)),)


def test_any_roll_is_a_song():
    rng = np.random.default_rng(0)
    for config in (CONFIG, RollConfig(voices="flattened", cells="sounding")):
        roll = rng.random((config.num_planes, 64, 72)) < 0.3
        back, _ = roll_to_song(roll, config)
        again, report = song_to_roll(back, config)
        assert report.num_moved == report.num_outside == 0
        assert roll_to_song(again, config) == (back, 0)


def test_bits_of_bars_come_back():
    rng = np.random.default_rng(1)
    roll = rng.random((6, 5 * 16, 72)) < 0.2
    rows = pack_bars(roll)
    assert rows.shape == (5, 6 * 16 * 9)
    assert (unpack_bars(rows, CONFIG) == roll).all()
    assert (unpack_bars(rows[1:3], CONFIG) == roll[:, 16:48]).all()


def test_pitches_beyond_midi_and_shapes_of_other_rolls_are_refused():
    with pytest.raises(ConfigurationError, match="72 pitches from 80 on reach beyond 127"):
        RollConfig(lowest_pitch=80)
    with pytest.raises(ValueError, match="has not the planes"):
        roll_to_song(np.zeros((2, 16, 72), np.bool_), CONFIG)


@pytest.mark.parametrize("song_id", ["001", "905"])
def test_songs_of_pop909_come_back_but_for_pitches_out_of_range(pop909_root, song_id):
    (entry,) = [entry for entry in list_songs(pop909_root) if entry.song_id == song_id]
    original = ingest_song(pop909_root, entry, IngestConfig()).song
    assert original is not None
    roll, report = song_to_roll(original, CONFIG)
    assert report.num_moved == report.num_merged == 0
    back, ignored = roll_to_song(roll, CONFIG)
    assert ignored == 0
    end = original.num_bars * 48
    for track in original.tracks:
        kept = [n for n in track.notes if 28 <= n.pitch < 100]
        want = [(n.onset, n.pitch, min(n.duration, end - n.onset)) for n in kept]
        (got,) = [t for t in back.tracks if t.program == track.program]
        assert [(n.onset, n.pitch, n.duration) for n in got.notes] == want


def test_reports_add_up():
    both = RollReport(3, 1) + RollReport(4, 0, 2)
    assert both == RollReport(7, 1, 2)
