"""Songs around kept instruments: what is kept stays, what is said of them is true."""

from dataclasses import replace

import numpy as np
import pytest

from phrase_models.accompaniment import accompany, kept_song
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.errors import ConfigurationError
from phrase_models.form.form_extraction import form_of_slots
from phrase_models.form.texture import UNKNOWN_TEXTURE
from phrase_models.generator import SongRequest
from phrase_models.phrase_ldm import PhraseLDMGenerator
from phrase_models.score.song import (
    BRIDGE,
    MELODY,
    PIANO,
    Note,
    Song,
    Track,
    parse_section_layout,
)
from phrase_models.tokens.song_layout import bars_to_slots, song_to_bars

SECTIONS = parse_section_layout("A4 A4")


@pytest.fixture(scope="module")
def generator(planned_pair):
    sampler = SamplerConfig(num_sampling_steps=2, force_silence=True)
    return PhraseLDMGenerator.load(
        planned_pair.vae, planned_pair.ldm, digest="d" * 64, sampler=sampler
    )


@pytest.fixture
def song() -> Song:
    melody = tuple(Note(48 * bar, 60 + bar % 4, 12, 80 + bar) for bar in range(8) if bar != 3)
    piano = tuple(Note(48 * bar + 3, 48, 24) for bar in range(8))
    return Song("x", 8, (Track(MELODY, melody), Track(PIANO, piano)), SECTIONS, 110.0)


@pytest.mark.parametrize("roles", [{MELODY}, {PIANO}, {MELODY, PIANO}])
def test_what_is_kept_comes_back_to_the_note_and_its_form_is_its_own(generator, song, roles):
    made = accompany(generator, song, roles, SongRequest(), seed=1, index=2)
    kept = {track.program: track for track in kept_song(song, roles).tracks}
    for track in made.song.tracks:
        if track.program in roles:
            assert track == kept[track.program]
    assert roles <= {track.program for track in made.song.tracks}
    assert (made.song.num_bars, made.song.tempo_bpm) == (8, 110.0)
    assert made.request.sections == made.song.sections == SECTIONS
    real = form_of_slots(bars_to_slots(song_to_bars(song), "role"), SECTIONS)
    for slot, role in enumerate((MELODY, BRIDGE, PIANO)):
        if role in roles:
            assert (made.request.form.states[:, slot] == real.states[:, slot]).all()
            assert (made.request.form.sources[:, slot] == real.sources[:, slot]).all()
    names = {MELODY: "melody", PIANO: "piano"}
    said = " and ".join(names[role] for role in (MELODY, PIANO) if role in roles)
    assert made.provenance.endswith(f"seed 1 song 2 model dddddddddddd, {said} given")


def test_what_is_kept_is_not_joined_across_bar_lines(generator, song):
    joined = generator.with_sampler(generator.sampler.model_copy(update={"bar_line_weight": 100}))
    for roles in ({MELODY}, {PIANO}):
        made = accompany(joined, song, roles, SongRequest(), seed=1, index=2)
        plain = accompany(generator, song, roles, SongRequest(), seed=1, index=2)
        assert made.song != plain.song
        tracks = {track.program: track for track in made.song.tracks}
        for track in kept_song(song, roles).tracks:
            assert tracks[track.program] == track


def test_the_same_seed_is_the_same_song_and_given_latents_come_back(generator, song):
    first = accompany(generator, song, {MELODY}, SongRequest(), 1, 0)
    again = accompany(generator, song, {MELODY}, SongRequest(), 1, 0)
    other = accompany(generator, song, {MELODY}, SongRequest(), 2, 0)
    assert first.song == again.song
    assert not np.array_equal(first.latents, other.latents)
    slots = bars_to_slots(song_to_bars(kept_song(song, {MELODY})), "role")
    given = generator.codec.encode_phrases([bar[0] for bar in slots])
    assert np.array_equal(first.latents[:, 0], given)


def test_chords_are_those_asked_for_or_heard_in_all_instruments(generator, song):
    chords = np.full((8, 2), 29)
    asked = accompany(generator, song, {MELODY}, SongRequest(chords=chords), 0, 0)
    assert (asked.request.chords == 29).all()
    thirds = tuple(Note(48 * b, p, 48) for b in range(8) for p in (48, 52, 55, 60))
    major = replace(song, tracks=(song.tracks[0], Track(PIANO, thirds)))
    heard = accompany(generator, major, {MELODY}, SongRequest(), 0, 0)
    assert (heard.request.chords == 1).mean() > 0.8


def test_a_texture_is_of_the_instruments_that_are_written(generator, song):
    lent = accompany(generator, song, {MELODY}, SongRequest(), 0, 0).request.texture
    asked = SongRequest(texture=np.full((8, 3, 5), 4))
    made = accompany(generator, song, {MELODY}, asked, 0, 0).request.texture
    for texture in (lent, made):
        assert (texture[:, 0] == UNKNOWN_TEXTURE).all()
    assert (made[:, 1:] == 4).all()
    assert (lent[:, 1:] != UNKNOWN_TEXTURE).any()


def test_a_song_without_sections_gets_a_plan_of_its_length(generator, song):
    made = accompany(generator, replace(song, sections=()), {MELODY}, SongRequest(), 0, 0)
    assert made.request.num_bars == 8
    assert made.song.tracks[0] == song.tracks[0]


@pytest.mark.parametrize(
    ("changes", "roles", "request_", "words"),
    [
        ({}, {BRIDGE}, {}, "There is no bridge to keep in the file"),
        ({}, {MELODY, BRIDGE, PIANO}, {}, "There is no bridge to keep"),
        ({}, set(), {}, "Keep one or two of melody, bridge and piano"),
        ({"num_bars": 40, "sections": ()}, {MELODY}, {}, "The file has 40 bars, but this model"),
        ({}, {MELODY}, {"sections": parse_section_layout("A9")}, "has 9 bars but 8 were asked for"),
        (
            {},
            {MELODY},
            {"sections": parse_section_layout("A1000000000 A1000000000")},
            "has 2000000000 bars but 8 were asked for",
        ),
        ({}, {MELODY}, {"chords": np.zeros((3, 2))}, "There are chords for 3 bars"),
    ],
)
def test_what_cannot_be_written_is_a_sentence(generator, song, changes, roles, request_, words):
    with pytest.raises(ConfigurationError) as error:
        accompany(generator, replace(song, **changes), roles, SongRequest(**request_), 0, 0)
    assert words in str(error.value)
