"""The rules in their order, each at its threshold."""

from dataclasses import replace

import pytest
from pydantic import ValidationError

from phrase_models.sources.acceptance_rules import Facts, IngestConfig, judge

GOOD = Facts(
    beats_per_measure=2,
    quavers_per_beat=2,
    match_near=0.97,
    chord_agreement=0.70,
    unlabelled_melody_notes=4,
    empty_end_bars=1,
    num_bars=128,
    loss_fraction=0.08,
    off_grid_fraction=0.25,
)
BROKEN = {
    "triple_meter": {"beats_per_measure": 3},
    "compound_meter": {"quavers_per_beat": 3},
    "melody_mismatch": {"match_near": 0.9699},
    "chord_conflict": {"chord_agreement": 0.6999},
    "label_short": {"unlabelled_melody_notes": 5},
    "label_long": {"empty_end_bars": 2},
    "too_long": {"num_bars": 129},
    "too_short": {"num_bars": 15},
    "content_loss": {"loss_fraction": 0.0801},
    "off_grid16": {"off_grid_fraction": 0.2501},
}


def test_a_song_at_every_threshold_is_accepted():
    assert judge(GOOD, IngestConfig()) == ("ok", "")
    assert judge(replace(GOOD, num_bars=16), IngestConfig()) == ("ok", "")


@pytest.mark.parametrize("code", BROKEN)
def test_one_step_beyond_a_threshold_is_its_reason(code):
    reason, sentence = judge(replace(GOOD, **BROKEN[code]), IngestConfig())
    assert reason == code
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize("first", range(len(BROKEN)))
def test_the_first_broken_rule_wins(first):
    # Too long and too short exclude each other; the later of the two stays as it is.
    broken: dict[str, float] = {}
    for code in list(BROKEN)[first:]:
        broken = BROKEN[code] | broken
    assert judge(replace(GOOD, **broken), IngestConfig())[0] == list(BROKEN)[first]


def test_the_sixteenth_rule_holds_on_the_sixteenth_grid_only():
    facts = replace(GOOD, off_grid_fraction=0.9)
    assert judge(facts, IngestConfig(grid=48))[0] == "ok"
    assert judge(facts, IngestConfig(grid=16))[0] == "off_grid16"


def test_thresholds_come_from_the_configuration():
    config = IngestConfig(max_bars=40, min_bars=30)
    assert judge(replace(GOOD, num_bars=41), config)[0] == "too_long"
    assert judge(replace(GOOD, num_bars=29), config)[0] == "too_short"


@pytest.mark.parametrize("bad", [{"grid": 24}, {"min_match": 1.5}, {"max_bar": 3}])
def test_impossible_configurations_are_refused(bad):
    with pytest.raises(ValidationError):
        IngestConfig(**bad)
