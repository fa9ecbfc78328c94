"""The prior of forms, on made-up songs with a plain way of repeating."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.form.form_decisions import Temperament, walk
from phrase_models.form.form_prior import FormPrior, FormsFile, _Scorer
from phrase_models.form.section_modes import (
    SILENT_MODE,
    bars_that_lead_to,
    is_reachable,
    mode_of,
    mode_of_counts,
)
from phrase_models.form.song_form import NO_SOURCE, CellState, SongForm
from phrase_models.score.song import parse_section_layout

LAYOUT = parse_section_layout("i4 A8 B8 A8 B8")
MELODY, BRIDGE, PIANO = range(3)


def made_up(seed):
    """No melody in the intro; in every second song the second A and B are copies as wholes."""
    rng = np.random.default_rng(seed)
    states, sources = np.full((36, 3), CellState.NEW), np.full((36, 3), NO_SOURCE)
    states[:4, MELODY] = CellState.SILENT
    if seed % 2:
        states[20:] = CellState.REPEATS
        sources[20:] = np.arange(4, 20)[:, None]
    else:
        for bar in range(8, 36):
            if rng.random() < 0.3:
                states[bar, PIANO], sources[bar, PIANO] = CellState.VARIES_RHYTHM, bar - 4
    return SongForm(states, sources)


@pytest.fixture(scope="module")
def prior():
    return FormPrior.fit([(LAYOUT, made_up(seed)) for seed in range(24)])


def test_held_out_is_likelier_than_by_chance_and_a_wrong_form(prior):
    scores = [prior.log_likelihood(LAYOUT, made_up(seed)) for seed in (101, 102)]
    tables = {name: table.emptied() for name, table in prior.tables.items()}
    uniform = replace(prior, tables=tables)
    for seed, score in zip((101, 102), scores, strict=True):
        assert score > uniform.log_likelihood(LAYOUT, made_up(seed)) / 2
    for slots in ([PIANO, BRIDGE, MELODY], [BRIDGE, MELODY, PIANO]):
        wrong = SongForm(made_up(101).states[:, slots], made_up(101).sources[:, slots])
        assert prior.log_likelihood(LAYOUT, wrong) < scores[0]


def test_probabilities_of_all_forms_sum_to_one_at_most(prior):
    layout, temperament = parse_section_layout("A1 A1"), Temperament((1, 1, 1), 1, 1)
    slot_forms = [((a, b), (-1, -1)) for a in (0, 1) for b in (0, 1)]
    slot_forms += [((1, kind), (-1, 0)) for kind in (2, 3, 4)]
    total = 0.0
    for slots in itertools.product(slot_forms, repeat=3):
        states, sources = (np.array([s[i] for s in slots]).T for i in (0, 1))
        scorer = _Scorer(prior._weights)
        walk(layout, temperament, scorer, SongForm(states, sources))
        total += math.exp(scorer.total)
    assert 0.3 < total <= 1.0 + 1e-9


def test_scores_and_draws_walk_alike(prior):
    layout, temperament = parse_section_layout("A1"), Temperament((1, 1, 1), 1, 1)
    rng = np.random.default_rng(0)
    count = 2000
    drawn = [prior.sample(layout, rng, temperament) for _ in range(count)]
    form = SongForm(np.array([[1, 1, 1]]), np.full((1, 3), -1))
    scorer = _Scorer(prior._weights)
    walk(layout, temperament, scorer, form)
    # Modes that want a repeat where nothing came before end in the same forms, so draws have more.
    assert drawn.count(form) / count >= math.exp(scorer.total) - 0.05


def test_draws_have_one_temperament_and_copy_wholes(prior):
    shares = []
    for seed in range(40):
        form = prior.sample(LAYOUT, np.random.default_rng(seed))
        assert (form.states[:4, MELODY] == CellState.SILENT).mean() > 0.7
        exact = (form.states[20:] == CellState.REPEATS).mean(axis=0)
        shares.append(exact)
    shares = np.array(shares)
    extreme = ((shares < 0.2).all(axis=1) | (shares > 0.8).all(axis=1)).mean()
    assert extreme > 0.8
    assert 0.25 < (shares > 0.8).all(axis=1).mean() < 0.75


def test_free_draws_copy_sections_as_often_as_the_songs(prior):
    forms = [prior.sample(LAYOUT, np.random.default_rng(seed)) for seed in range(100)]
    copied = [(form.sources[20:] == np.arange(4, 20)[:, None]).all(axis=0) for form in forms]
    assert np.abs(np.mean(copied, axis=0) - 0.5).max() < 0.15
    assert ((prior.copy_odds > 0) & np.isfinite(prior.copy_odds)).all()


def test_any_layout_gets_a_form(prior):
    for text in ("A1", "x3 A2 A9 A2", "B5 B5 B20 q3 X40 B5"):
        layout = parse_section_layout(text)
        form = prior.sample(layout, np.random.default_rng(0))
        assert form.states.shape == (sum(s.num_bars for s in layout), 3)
        assert math.isfinite(prior.log_likelihood(layout, form))


def test_json_gives_the_same_draws(prior):
    again = FormPrior.from_file(FormsFile.model_validate_json(json.dumps(prior.to_json())))
    for seed in range(4):
        draws = [p.sample(LAYOUT, np.random.default_rng(seed)) for p in (prior, again)]
        assert draws[0] == draws[1]
    form = made_up(7)
    assert again.log_likelihood(LAYOUT, form) == prior.log_likelihood(LAYOUT, form)


def test_refusals(prior):
    with pytest.raises(ConfigurationError, match="at least one training song"):
        FormPrior.fit([])
    with pytest.raises(ConfigurationError, match="4 bars, but its form has 36 bars"):
        prior.log_likelihood(parse_section_layout("A4"), made_up(0))


# ------------------------------------------------------------------ modes
def test_modes_by_hand():
    of = [mode_of(np.array(s)) for s in ([0, 0], [1, 1], [0, 1], [2, 2], [2, 1], [2, 0], [2, 4, 3])]
    assert of == [SILENT_MODE, 2, 1, 8, 4, 7, 4]


def test_reachable_modes_are_those_of_some_ending():
    for mode in range(9):
        for counts in itertools.product(range(3), repeat=3):
            endings = itertools.product(range(3), repeat=2)
            expected = any(
                mode_of_counts(tuple(np.add(counts, np.bincount(end, minlength=3)))) == mode
                for end in endings
            )
            assert is_reachable(mode, counts, 2) == expected


def test_bars_that_lead_to_a_mode():
    assert bars_that_lead_to(SILENT_MODE, (3, 0, 0), 0) == (True, False, False)
    assert bars_that_lead_to(8, (0, 3, 0), 0) == (False, True, False)
    assert bars_that_lead_to(SILENT_MODE, (0, 1, 0), 5) == (True, True, True)
