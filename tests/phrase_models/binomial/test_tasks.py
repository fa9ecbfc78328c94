"""Holes in songs and variations: what stays, what makes way, what is open."""

from dataclasses import replace

import numpy as np
import pytest

from phrase_models.binomial.config import BinomialSamplerConfig, RollConfig
from phrase_models.binomial.rolls import song_to_roll
from phrase_models.binomial.tasks import (
    BinomialTasks,
    hole_places,
    known_outside,
    make_way,
    with_given,
)
from phrase_models.errors import ConfigurationError
from phrase_models.metrics.song_tasks import distance, kept_share
from phrase_models.score.song import BRIDGE, MELODY, PIANO, Note, Song, Track
from phrase_models.song_tasks import ACCOMPANIMENT, Hole, SongTasks, melody_alone

ROLL = RollConfig(lowest_pitch=48, num_pitches=32, segment_bars=4)
SAMPLER = BinomialSamplerConfig(num_sampling_steps=4)
MELODY_NOTES = (
    Note(1, 72, 10, 80),  # between sixteenths
    Note(12, 74, 5, 70),
    Note(48, 76, 60),  # over a barline
    Note(100, 90, 12),  # higher than the roll
)
SONG = Song(
    "song",
    4,
    (
        Track(MELODY, MELODY_NOTES),
        Track(BRIDGE, (Note(0, 60, 12, 50), Note(96, 60, 12))),
        Track(PIANO, (Note(0, 48, 48), Note(48, 52, 24), Note(144, 55, 48))),
    ),
    (),
    77.0,
)


@pytest.fixture
def tasks(restless) -> BinomialTasks:
    return BinomialTasks(restless, "0" * 64, SAMPLER)


def notes_of(song: Song, program: int) -> tuple[Note, ...]:
    return next((track.notes for track in song.tracks if track.program == program), ())


def test_binomial_diffusion_has_the_tasks_of_the_protocol(tasks):
    model: SongTasks = tasks
    assert (model.name, model.max_bars) == ("binomial", 128)


def test_harmonising_keeps_the_melody_to_the_note(tasks):
    start = melody_alone(SONG)
    variants = [tasks.fill(start, ACCOMPANIMENT, 3, index) for index in range(2)]
    for variant in variants:
        assert notes_of(variant.song, MELODY) == MELODY_NOTES
        assert variant.given == start
        assert variant.num_written > 0
        assert (variant.song.tempo_bpm, variant.song.num_bars) == (77.0, 4)
    assert variants[0].song != variants[1].song
    assert tasks.fill(start, ACCOMPANIMENT, 3, 0) == variants[0]


@pytest.mark.parametrize(
    ("hole", "num_given"),
    [
        (Hole(bars=(1, 2)), 7),
        (Hole(bars=(1, 2), programs=(PIANO,)), 8),
        (Hole(pitches=(60, 72)), 6),
        (Hole(bars=(0, 1), pitches=(60, 72)), 7),
        (Hole(programs=(BRIDGE, PIANO)), 4),
        (Hole(), 1),  # what is outside of the roll cannot be written anew
    ],
)
def test_completing_keeps_the_notes_outside_of_the_hole(tasks, hole, num_given):
    filled = tasks.fill(SONG, hole, 0, 0)
    assert filled.given.num_notes == num_given
    assert kept_share(filled.given, filled.song) == 1
    first, end = hole.bars or (0, 4)
    low, high = hole.pitches or (0, 127)
    for track in filled.song.tracks:
        for note in set(track.notes) - set(notes_of(SONG, track.program)):
            assert 48 * first <= note.onset < 48 * end
            assert low <= note.pitch <= high
            assert not hole.programs or track.program in hole.programs


def test_places_by_chance_are_those_of_the_seed():
    places = hole_places(SONG, Hole(share=0.3), ROLL, 5)
    assert places.shape == (3, 64, 32)
    assert places.mean() == pytest.approx(0.3, abs=0.02)
    assert (places == hole_places(SONG, Hole(share=0.3), ROLL, 5)).all()
    assert (places != hole_places(SONG, Hole(share=0.3), ROLL, 6)).any()


def test_a_note_of_the_hole_leaves_its_tail_open_and_a_kept_one_reaches_into_the_hole():
    piano = Track(PIANO, (Note(36, 50, 24), Note(84, 52, 24)))  # over both barlines of bar 2
    places = hole_places(replace(SONG, tracks=(piano,)), Hole(bars=(1, 2)), ROLL, 0)
    given, known = known_outside(replace(SONG, tracks=(piano,)), places, ROLL)
    assert given.tracks == (Track(PIANO, (Note(36, 50, 24),)),)
    onset, hold = known.mask[4], known.mask[5]
    values = song_to_roll(given, ROLL)[0]
    assert known.kept_in(values)
    assert hold[16:20, 2].all()  # the kept note's steps in bar 2
    assert not hold[20:32, 2].any()
    assert not (onset | hold)[16:36, 4].any()  # bar 2, and the tail of the note that is gone
    assert (onset & hold)[36:, 4].all()


def test_what_is_new_makes_way():
    given = [Note(10, 60, 20), Note(50, 60, 10)]
    new = [Note(0, 60, 30), Note(12, 60, 3), Note(30, 60, 40), Note(12, 61, 3)]
    assert make_way(new, given) == [Note(0, 60, 10), Note(30, 60, 20), Note(12, 61, 3)]


def test_given_notes_are_put_back_whatever_the_roll_says():
    roll = np.ones((6, 64, 32), np.bool_)
    song = with_given(SONG, roll, ROLL)
    assert kept_share(SONG, song) == 1
    assert song.num_notes > 5000


def test_varying_by_nothing_gives_the_song_back(tasks):
    variation = tasks.vary(SONG, 0.0, 0, 0)
    assert variation.song == SONG
    assert variation.given == SONG
    assert variation.num_written == 0


def test_the_distance_grows_with_the_amount(model):
    """Of weights that say nothing of a cell but what its noise does; the mean of some seeds."""
    tasks = BinomialTasks(model, "0" * 64, SAMPLER)
    distances = [
        np.mean([distance(SONG, tasks.vary(SONG, amount, seed, 0).song) for seed in range(8)])
        for amount in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert distances[4] > 0.8


def test_a_variation_says_which_notes_are_still_the_same(tasks):
    variation = tasks.vary(SONG, 0.3, 0, 0)
    assert kept_share(variation.given, SONG) == 1
    assert kept_share(variation.given, variation.song) == 1
    assert Note(100, 90, 12) in notes_of(variation.given, MELODY)


def test_what_the_model_does_not_see_is_said(tasks):
    assert tasks.remarks(SONG) == (
        "The model sees 1 note outside of its pitches 48 to 79 not at all; kept ones are written "
        "as they were.",
        "The model sees 2 notes rounded to sixteenths only; kept ones are written as they were.",
    )
    assert tasks.remarks(replace(SONG, tracks=SONG.tracks[1:])) == ()


@pytest.mark.parametrize(
    ("hole", "words"),
    [
        (Hole(bars=(3, 5)), "Bars 4-5 are not in a song of 4 bars."),
        (Hole(pitches=(100, 110)), "it knows those from 48 to 79"),
        (Hole(pitches=(70, 60)), "Pitches 70-60 are no range"),
        (Hole(share=0.0), "A share of 0 is no hole"),
    ],
)
def test_a_hole_that_cannot_be_filled_is_refused(tasks, hole, words):
    with pytest.raises(ConfigurationError, match=words.replace(".", r"\.")):
        tasks.fill(SONG, hole, 0, 0)


def test_an_amount_out_of_range_is_refused(tasks):
    with pytest.raises(ConfigurationError, match="give a number from 0 to 1"):
        tasks.vary(SONG, 1.5, 0, 0)


def test_a_song_without_a_melody_cannot_be_harmonised():
    with pytest.raises(ConfigurationError, match="song has no melody"):
        melody_alone(replace(SONG, tracks=SONG.tracks[1:]))


def test_a_hole_in_words():
    assert Hole().in_words() == "everything"
    hole = Hole(bars=(8, 16), pitches=(60, 72), programs=(BRIDGE, PIANO), share=0.3)
    assert hole.in_words() == "bars 9-16, pitches 60-72, bridge and piano, 30% of the places"
