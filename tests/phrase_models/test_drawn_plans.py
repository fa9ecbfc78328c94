"""Songs whose plans are drawn by priors and are those of no training song."""

from dataclasses import replace

import numpy as np
import pytest

from phrase_models.diffusion.config import DenoiserConfig
from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.errors import ConfigurationError
from phrase_models.form.form_text import parse_form
from phrase_models.form.plan_priors import PRIORS_FILE, PlanPriors
from phrase_models.form.song_form import CellState
from phrase_models.generator import SongRequest, request_from_layout
from phrase_models.phrase_ldm import PhraseLDMGenerator

LAYOUT = "i2 A4 A4 o2"
FORM = parse_form("""
melody . .  * * * *  =3 ~4 ^5 =6  . *
bridge * =1 . . * .  .  .  =5 .   * .
piano  * =1 * * * *  =3 =4 =5 =6  * =11
""")
CHORDS = np.full((12, 2), 38)
DRAWN = SongRequest(plans="drawn")


@pytest.fixture(scope="module")
def generator(planned_pair, tmp_path_factory):
    path = tmp_path_factory.mktemp("priors") / PRIORS_FILE
    PlanPriors.fit(planned_pair.plans).save(path)
    sampler = SamplerConfig(num_sampling_steps=2)
    return PhraseLDMGenerator.load(
        planned_pair.vae, planned_pair.ldm, digest="d" * 64, sampler=sampler, priors_file=path
    )


def with_denoiser(generator, **changes):
    model = generator.model
    denoiser = DenoiserConfig(**(model.config.denoiser.model_dump() | changes))
    other = PhraseLDM(
        model.config.model_copy(update={"denoiser": denoiser}), model.normalizer, model.length_prior
    )
    return PhraseLDMGenerator(
        other, generator.codec, "d" * 64, generator.sampler, priors_file=generator.priors_file
    )


def asked(**changes):
    return replace(request_from_layout(LAYOUT), plans="drawn", **changes)


def test_song_k_has_a_plan_of_its_own_that_is_no_training_songs(generator, planned_pair):
    generator.check(DRAWN)
    songs = [generator.generate(DRAWN, 0, index) for index in range(4)]
    assert generator.generate(DRAWN, 0, 2).request == songs[2].request
    assert np.array_equal(generator.generate(DRAWN, 0, 2).latents, songs[2].latents)
    assert len({song.request.form for song in songs}) == 4
    known = {plan.form for plan in planned_pair.plans}
    for song in songs:
        request = song.request
        assert request.form not in known
        assert request.num_bars == request.form.num_bars == len(request.chords) <= 32
        assert sum(section.num_bars for section in request.sections) == request.num_bars
        assert song.plans == "drawn"
        assert song.provenance.endswith(", sections and form drawn")


def test_plans_of_training_songs_can_be_asked_for(generator, planned_pair):
    song = generator.generate(SongRequest(plans="training"), 0, 0)
    assert song.request.plan in planned_pair.plans
    assert song.plans == "training"
    assert not song.provenance.endswith("drawn")


def test_what_is_asked_for_is_kept(generator):
    for index in range(3):
        drawn = generator.generate(asked(), 0, index).request
        assert drawn.section_layout == LAYOUT
        assert drawn.form.num_bars == len(drawn.chords) == 12
        of_form = generator.generate(replace(DRAWN, form=FORM), 0, index).request
        assert of_form.form == FORM
        assert sum(section.num_bars for section in of_form.sections) == 12
        assert generator.generate(replace(DRAWN, num_bars=9), 0, index).request.num_bars == 9
    every = asked(form=FORM, chords=CHORDS)
    made, kept = generator.generate(every, 0, 0).request, replace(every, num_bars=12)
    assert made.texture is not None  # lent
    assert replace(made, texture=None) == replace(kept, plans=None)
    every = replace(
        every, texture=np.where(FORM.states[..., None] == CellState.SILENT, 0, 4).repeat(5, axis=2)
    )
    made, kept = generator.generate(every, 0, 0).request, replace(every, num_bars=12)
    assert made == replace(kept, plans=None)
    alone = asked(texture=every.texture)
    made = generator.generate(alone, 0, 0).request
    assert np.array_equal(made.texture, every.texture)
    assert np.array_equal(made.form.states == CellState.SILENT, FORM.states == CellState.SILENT)
    of_length = generator.generate(replace(DRAWN, texture=every.texture), 0, 0).request
    assert (of_length.num_bars, of_length.form.num_bars) == (12, 12)
    assert np.array_equal(of_length.texture, every.texture)
    with_chords = generator.generate(asked(chords=CHORDS), 0, 0).request
    assert (with_chords.chords == 38).all()
    assert with_chords.form == generator.generate(asked(), 0, 0).request.form


def test_a_drawn_form_is_varied_as_others_are(generator):
    form = generator.generate(asked(), 0, 1).request.form
    loosened = generator.generate(asked(variation=1.0), 0, 1).request.form
    assert (form.states == 2).any()
    assert not (loosened.states == 2).any()
    assert np.array_equal(loosened.sources, form.sources)


def test_a_model_gets_only_the_parts_that_it_knows(generator):
    formless = with_denoiser(generator, form_condition=False)
    plan = formless.generate(asked(), 0, 0).request
    assert plan.form is None
    assert plan.chords is not None
    chordless = with_denoiser(generator, num_chords=0)
    plan = chordless.generate(asked(), 0, 0).request
    assert plan.form is not None
    assert plan.chords is None
    with pytest.raises(ConfigurationError, match="trained without chords and knows none"):
        chordless.check(asked(chords=CHORDS))
    plan = chordless.generate(SongRequest(), 0, 0).request
    assert plan.chords is None
    chordless.check(plan)
    plain = with_denoiser(generator, texture_condition=False)
    for request in (SongRequest(), request_from_layout(LAYOUT), asked(form=FORM)):
        made = plain.generate(request, 0, 0).request
        assert made.texture is None
        plain.check(made)
    with pytest.raises(ConfigurationError, match="trained without textures and knows none"):
        plain.check(replace(SongRequest(), texture=np.ones((12, 3, 5))))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_bars": 33, "sections": ()}, "at most 32"),
        (
            {"form": parse_form("melody * *\nbridge . .\npiano * *")},
            "The form has 2 bars but the song 12",
        ),
        ({"chords": np.full((12, 2), 60)}, "The chords have ids from 60 to 60"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused(generator, changes, words):
    with pytest.raises(ConfigurationError, match=words):
        generator.check(asked(**changes))


def test_without_priors_or_sections_it_is_one_sentence(generator):
    for path in (None, generator.priors_file.parent / "absent.json"):
        plain = PhraseLDMGenerator(
            generator.model, generator.codec, "d" * 64, generator.sampler, priors_file=path
        )
        plain.check(SongRequest())
        with pytest.raises(ConfigurationError, match="these models come without priors"):
            plain.check(DRAWN)
    relations = {"all_sections_bias": False, "repeat_bias": False}
    blind = with_denoiser(generator, conditioning="length", **relations)
    with pytest.raises(ConfigurationError, match="this model was trained without sections"):
        blind.check(DRAWN)


def test_chords_of_a_drawn_plan_are_those_of_one_training_song(generator, planned_pair):
    def bars(chords):
        return set(map(tuple, np.asarray(chords).tolist()))

    lendable = [bars(plan.chords) for plan in planned_pair.plans]
    for index in range(4):
        drawn = bars(generator.resolved(DRAWN, 0, index).chords)
        assert any(drawn <= song for song in lendable)


def test_without_songs_that_lend_the_priors_draw_the_chords_too(generator):
    model = generator.model
    alone = PhraseLDM(model.config, model.normalizer, ())
    plan = PhraseLDMGenerator(
        alone, generator.codec, "d" * 64, generator.sampler, priors_file=generator.priors_file
    ).resolved(DRAWN, 0, 0)
    assert plan.chords.shape == (plan.num_bars, 2)
    assert plan.texture is None


def test_plans_are_drawn_by_default_where_there_are_priors(generator, planned_pair):
    song = generator.generate(SongRequest(), 0, 1)
    assert song.plans == "drawn"
    assert song.request == generator.generate(DRAWN, 0, 1).request
    assert song.request.form not in {plan.form for plan in planned_pair.plans}
    bare = PhraseLDMGenerator(generator.model, generator.codec, "d" * 64, generator.sampler)
    song = bare.generate(SongRequest(), 0, 1)
    assert song.plans == "training"
    assert song.request.plan in planned_pair.plans


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, ", sections and form drawn"),
        ({"form": FORM}, ", sections drawn"),
        ({"sections": request_from_layout(LAYOUT).sections}, ", form drawn"),
        ({"sections": request_from_layout(LAYOUT).sections, "form": FORM}, ""),
    ],
)
def test_a_song_says_what_of_its_plan_the_priors_drew(generator, given, said):
    request = replace(DRAWN, **given)
    line = f"phraseldm seed 3 song 5 model {'d' * 12}{said}"
    assert generator.provenance(request, 3, 5) == line


def test_lent_plans_have_sections_of_the_prior_and_a_training_song_fitted_to_them(generator):
    request = SongRequest(plans="lent")
    song = generator.generate(request, 0, 1)
    assert song.plans == "lent"
    assert song.provenance.endswith(", sections drawn")
    made = song.request
    lent = generator.resolved(replace(request, sections=made.sections), 0, 1)
    assert made.plan == lent  # as where a user gives these sections
    assert len({generator.resolved(request, 0, index).sections for index in range(6)}) > 1
    assert generator.resolved(replace(request, num_bars=9), 0, 0).num_bars == 9
    given = replace(request_from_layout(LAYOUT), plans="lent")
    assert generator.resolved(given, 0, 0).section_layout == LAYOUT
    of_form = generator.resolved(replace(request, form=FORM), 0, 0)
    assert of_form.form == FORM
    assert sum(section.num_bars for section in of_form.sections) == 12


def test_lent_plans_need_priors_and_a_model_of_sections(generator):
    bare = PhraseLDMGenerator(generator.model, generator.codec, "d" * 64, generator.sampler)
    with pytest.raises(ConfigurationError, match="come without priors"):
        bare.check(SongRequest(plans="lent"))
    none = {"form_condition": False, "num_chords": 0, "texture_condition": False}
    plain = with_denoiser(
        generator, conditioning="length", repeat_bias=False, all_sections_bias=False, **none
    )
    with pytest.raises(ConfigurationError, match="trained without sections"):
        plain.check(SongRequest(plans="lent"))
