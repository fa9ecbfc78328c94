"""Songs of a model that knows form and chords: asked for, lent, varied, obeyed, released."""

import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from phrase_models.codec import DecodedSong
from phrase_models.diffusion.plan import SongPlan
from phrase_models.diffusion.pretrained import load_ldm
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.errors import ConfigurationError
from phrase_models.form.bar_lines import end_places
from phrase_models.form.form_edits import obeyed
from phrase_models.form.form_text import parse_form
from phrase_models.form.song_form import CellState, roots
from phrase_models.form.texture import NO_TEXTURE
from phrase_models.generator import SongRequest, request_from_layout
from phrase_models.generators import from_pretrained
from phrase_models.phrase_ldm import PhraseLDMGenerator
from phrase_models.score.midi import read_midi
from phrase_models.score.song import ROLE_PROGRAMS, Phrase, PhraseNote
from phrase_models.song_batch import midi_path, write_song
from phrase_models.tokens.remiz import DecodeReport
from phrase_models.tokens.song_layout import bars_to_slots, bars_to_song, song_to_bars

LAYOUT = "i2 A4 A4 o2"
FORM = """
melody . .  * * * *  =3 ~4 ^5 =6  . *
bridge * =1 . . * .  .  .  =5 .   * .
piano  * =1 * * * *  =3 =4 =5 =6  * =11
"""
OTHER_FORM = FORM.replace("=3 ~4 ^5 =6", "*  *  *  *")
SAMPLER = SamplerConfig(num_sampling_steps=3, force_silence=True)


class WordyCodec:
    """Says every latent in notes of its own: equal latents alone in equal ones, no latent silent.

    A trained VAE says silence by the latent of an empty slot alone; so does this one.
    """

    def __init__(self, empty):
        self.empty = empty

    def decode_song(self, latents, options=None, kept=None, **fields):
        bars = [
            [
                Phrase(program, self.notes(latent))
                for program, latent, empty in zip(ROLE_PROGRAMS, bar, self.empty, strict=True)
                if not np.allclose(latent, empty, atol=1e-4)
            ]
            for bar in latents
        ]
        return DecodedSong(bars_to_song(bars, **fields), [], DecodeReport())

    @staticmethod
    def reencode_songs(songs):
        return [latents + np.float32(0.25) for latents in songs]

    @staticmethod
    def notes(latent):
        pitches = np.frombuffer(latent.tobytes(), np.uint8)[:8] % 100 + 10
        return tuple(PhraseNote(6 * place, int(pitch), 3) for place, pitch in enumerate(pitches))


@pytest.fixture(scope="module")
def generator(planned_pair):
    return PhraseLDMGenerator.load(
        planned_pair.vae, planned_pair.ldm, digest="d" * 64, sampler=SAMPLER
    )


@pytest.fixture(scope="module")
def wordy(planned_pair):
    model = load_ldm(planned_pair.ldm)
    return PhraseLDMGenerator(model, WordyCodec(model.empty_slot_latents), "d" * 64, SAMPLER)


def latents(generator, **changes):
    chords = np.full((12, 2), 1)
    request = request_from_layout(LAYOUT, form=parse_form(FORM), chords=chords)
    return generator.generate(replace(request, **changes), 3, 0).latents


def test_another_form_or_other_chords_make_another_song(generator):
    song = latents(generator)
    assert np.array_equal(latents(generator), song)
    other_chords = np.full((12, 2), 1)
    other_chords[5, 1] = 38
    for changes in ({"form": parse_form(OTHER_FORM)}, {"chords": other_chords}):
        assert not np.array_equal(latents(generator, **changes), song)


@pytest.mark.parametrize("second_pass", [0.0, 0.6])
def test_a_given_form_is_obeyed_in_the_written_file_token_for_token(
    wordy, tmp_path, second_pass, monkeypatch
):
    form = parse_form(FORM)
    changes = {"second_pass": second_pass}
    monkeypatch.setattr(wordy, "sampler", SAMPLER.model_copy(update=changes))
    song = wordy.generate(request_from_layout(LAYOUT, form=form), 3, 0)
    assert song.request.form == form
    write_song(song, 5, tmp_path)
    slots = bars_to_slots(song_to_bars(read_midi(midi_path(tmp_path, song.name))), "role")
    assert obeyed(form, slots) == 1.0
    assert slots[7][2] == slots[3][2] != slots[2][2]
    # And what is not to be equal is not: every class of the form has a phrase of its own.
    playing = form.states != CellState.SILENT
    for slot in range(3):
        phrases = {tuple(slots[bar][slot]) for bar in np.flatnonzero(playing[:, slot])}
        assert len(phrases) == len(set(roots(form)[playing[:, slot], slot]))


def test_an_open_request_takes_layout_form_and_chords_of_one_training_song(generator, planned_pair):
    for index in range(3):
        request = generator.generate(SongRequest(tempo_bpm=80.0), 0, index).request
        assert request.plan in planned_pair.plans
        assert request.tempo_bpm == 80.0


def test_a_layout_is_lent_the_form_of_a_similar_one_and_its_chords_unless_some_are_asked_for(
    generator,
):
    request = request_from_layout(LAYOUT)
    drawn = [generator.generate(request, 0, index).request for index in range(8)]
    assert all(found.form.num_bars == len(found.chords) == 12 for found in drawn)
    assert len({found.form for found in drawn}) > 1
    assert generator.generate(request, 0, 5).request == drawn[5]
    chords = np.full((12, 2), 38)
    asked = generator.generate(replace(request, chords=chords), 0, 0).request
    assert (asked.chords == 38).all()
    assert asked.form == drawn[0].form


def test_a_form_that_is_asked_for_borrows_chords_that_repeat_as_it_does(generator):
    request = request_from_layout(LAYOUT, form=parse_form(FORM))
    made = generator.generate(request, 0, 0).request
    assert made.form == request.form
    first = roots(made.form)[:, 2]
    assert np.array_equal(made.chords, made.chords[first])
    asked = replace(request, chords=np.ones_like(made.chords))
    assert (generator.generate(asked, 0, 0).request.chords == 1).all()


@pytest.mark.parametrize(("variation", "left"), [(0.0, 10), (1.0, 0)])
def test_variation_loosens_the_repetitions(generator, variation, left):
    form = parse_form(FORM)
    request = request_from_layout(LAYOUT, form=form, variation=variation)
    made = generator.generate(request, 0, 0).request
    assert (made.form.states == CellState.REPEATS).sum() == left
    assert np.array_equal(made.form.sources, form.sources)
    assert made.variation == 0.0  # the form says it already


def test_a_variation_between_depends_on_seed_and_index_alone(generator):
    request = request_from_layout(LAYOUT, form=parse_form(FORM), variation=0.5)
    forms = [generator.generate(request, 0, index).request.form for index in (0, 1, 2, 3, 2)]
    assert forms[2] == forms[4]
    assert len(set(forms)) > 2


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (SongRequest(form=parse_form("melody *\nbridge *\npiano *"), num_bars=9),
         "The form has 1 bars but the song 9; make them agree."),
        (request_from_layout("A4", chords=np.ones((3, 2), int)),
         "There are chords for 3 bars but the song has 4"),
        (SongRequest(texture=np.ones((40, 3, 5))), "A song of 40 bars was asked for"),
        (SongRequest(form=parse_form(FORM), texture=np.ones((12, 3, 5))),
         "Bar 1 of the melody is silent in the form but has a texture"),
        (SongRequest(4, chords=np.full((4, 2), 50)), "knows -1 (left open) to 48"),
        (request_from_layout("A4", variation=1.5), "it goes from 0 to 1"),
    ],
)  # fmt: skip
def test_a_plan_that_contradicts_itself_is_refused(generator, request_, words):
    with pytest.raises(ConfigurationError) as caught:
        generator.check(request_)
    assert words in str(caught.value)


def test_a_model_without_forms_cannot_vary_them(toy_corpus):
    plain = toy_corpus.generator("phrase_ldm")
    assert plain.generate(request_from_layout("A4 B4"), 0, 0).request.form is None
    with pytest.raises(ConfigurationError, match="there is no form to vary"):
        plain.check(request_from_layout("A4 B4", variation=0.5))


@pytest.mark.parametrize("name", ["training_copies", "phrase_markov", "bar_shuffle"])
def test_baselines_refuse_what_they_cannot_follow(toy_corpus, name):
    baseline = toy_corpus.generator(name)
    for request in (
        SongRequest(form=parse_form(FORM)),
        SongRequest(chords=np.ones((12, 2), int)),
        SongRequest(texture=np.ones((12, 3, 5), int)),
        SongRequest(variation=0.5),
    ):
        with pytest.raises(ConfigurationError, match="form, chords and texture from its songs"):
            baseline.check(request)


def test_a_form_alone_gives_the_length(generator):
    song = generator.generate(SongRequest(form=parse_form(FORM)), 0, 0)
    assert song.request.num_bars == len(song.request.form.states) == 12


@pytest.mark.parametrize("num_bars", [11, 8])  # of a training song; of none
@pytest.mark.parametrize("part", ["chords", "texture"])
def test_a_texture_or_chords_alone_give_the_length_and_are_kept(
    generator, planned_pair, part, num_bars
):
    known = {plan.num_bars for plan in planned_pair.plans}
    assert (num_bars in known) == (num_bars == 11)
    values = {"chords": np.ones((num_bars, 2)), "texture": np.full((num_bars, 3, 5), 4)}[part]
    found = generator.generate(SongRequest(**{part: values}), 0, 1).request
    assert found.num_bars == num_bars
    assert np.array_equal(getattr(found, part), values)


@pytest.mark.parametrize(("layout", "num_bars"), [("", 11), (LAYOUT, 12)])
def test_a_lent_form_obeys_the_texture_that_was_asked_for(generator, layout, num_bars):
    texture = np.full((num_bars, 3, 5), 4)
    texture[:, 1] = NO_TEXTURE
    texture[:, 2, :4] = np.arange(1, 1 + num_bars)[:, None]
    request = replace(request_from_layout(layout), texture=texture)
    for index in range(3):
        found = generator.generate(request, 0, index).request
        assert np.array_equal(found.texture, texture)
        assert (found.form.states[:, 1] == CellState.SILENT).all()
        assert (found.form.states[:, 2] == CellState.NEW).all()
        assert (found.form.states[:, 0] > CellState.NEW).any()


def test_another_texture_makes_another_song(generator):
    texture = np.where(parse_form(FORM).states[..., None] == CellState.SILENT, 0, 4).repeat(5, 2)
    song = latents(generator, texture=texture)
    assert np.array_equal(latents(generator, texture=texture), song)
    assert not np.array_equal(latents(generator, texture=np.where(texture, 5, 0)), song)


def test_what_a_texture_leaves_open_the_form_says(generator):
    form = parse_form(FORM)
    texture = np.full((12, 3, 5), -1)
    texture[0, 2] = 7
    request = request_from_layout(LAYOUT, form=form)
    made = generator.generate(replace(request, texture=texture), 0, 0).request.texture
    assert (made[form.states == CellState.SILENT] == NO_TEXTURE).all()
    assert (made[:2, 2] == 7).all()  # bar 2 repeats bar 1
    assert (made[2, 2] == -1).all()


@pytest.mark.parametrize("bias", [4.0, -4.0])
def test_a_duration_bias_decodes_the_same_latents_to_other_durations(generator, bias):
    biased = generator.with_sampler(SAMPLER.model_copy(update={"duration_bias": bias}))
    request = request_from_layout(LAYOUT)
    plain, other = (one.generate(request, 3, 0) for one in (generator, biased))
    num_bars = min(plain.song.num_bars, other.song.num_bars)
    assert np.array_equal(plain.latents[:num_bars], other.latents[:num_bars])
    means = [
        np.mean([note.duration for track in made.song.tracks for note in track.notes])
        for made in (plain, other)
    ]
    assert np.sign(means[1] - means[0]) == np.sign(bias)


@pytest.mark.parametrize("bias", [4.0, -4.0])
def test_a_bias_of_gaps_decodes_the_same_latents_to_fewer_or_more_notes(generator, bias):
    biased = generator.with_sampler(SAMPLER.model_copy(update={"onset_gap_bias": bias}))
    request = request_from_layout(LAYOUT)
    plain, other = (one.generate(request, 3, 0) for one in (generator, biased))
    assert np.array_equal(plain.latents, other.latents)
    notes = [sum(len(track.notes) for track in made.song.tracks) for made in (plain, other)]
    assert np.sign(notes[0] - notes[1]) == np.sign(bias)


def test_lines_go_on_by_smaller_intervals_where_that_counts(generator):
    joined = generator.with_sampler(SAMPLER.model_copy(update={"bar_line_weight": 100.0}))
    request, leaps = request_from_layout(LAYOUT), []
    plain, other = (one.generate(request, 3, 0) for one in (generator, joined))
    assert np.array_equal(plain.latents, other.latents)
    for made in (plain, other):
        slots = bars_to_slots(song_to_bars(made.song), "role")
        ends = [[end_places(bar[slot]) for bar in slots] for slot in (0, 1)]
        leaps.append(
            sum(
                min(13, abs(slots[bar + 1][slot][after[0]] - slots[bar][slot][before[1]]))
                for slot, line in enumerate(ends)
                for bar, (before, after) in enumerate(pairwise(line))
                if before and after
            )
        )
    assert leaps[1] < 0.8 * leaps[0]
    assert plain.song.tracks[2:] == other.song.tracks[2:]


def test_a_request_is_a_plan_with_equality_by_value():
    chords = np.array([[1, -1]])
    request = SongRequest(1, chords=chords)
    assert request == SongRequest(1, chords=chords.copy())
    assert hash(request) == hash(SongRequest(1, chords=chords.copy()))
    for other in (SongRequest(1), replace(request, tempo_bpm=91.0), replace(request, variation=1)):
        assert request != other
    assert request.plan == SongPlan(1, chords=chords)


def test_a_folder_of_both_models_is_a_generator(generator, planned_pair, tmp_path):
    shutil.copytree(planned_pair.vae, tmp_path / "vae")
    shutil.copytree(planned_pair.ldm, tmp_path / "ldm")
    loaded = PhraseLDMGenerator.from_pretrained(tmp_path, SAMPLER)
    assert np.array_equal(latents(loaded), latents(generator))
    assert from_pretrained(tmp_path).sampler == SamplerConfig()
    (tmp_path / "ldm" / "sampler.json").write_text('{"num_sampling_steps": 3}')
    assert from_pretrained(tmp_path).sampler.num_sampling_steps == 3
    (tmp_path / "ldm" / "sampler.json").write_text('{"steps": 3}')
    with pytest.raises(ConfigurationError, match=r"sampler\.json cannot be used: steps is"):
        from_pretrained(tmp_path)
    shutil.rmtree(tmp_path / "ldm")
    with pytest.raises(ConfigurationError, match="is no release of PhraseLDM"):
        from_pretrained(tmp_path)
