import os
import subprocess
import sys

import numpy as np
import pytest

from phrase_models.diffusion.plan import (
    LETTERS,
    ROLES,
    SongPlan,
    check_plan,
    label_ids,
    permuted_letters,
    plan_features,
    plan_from_layout,
)
from phrase_models.errors import ConfigurationError
from phrase_models.score.song import Section


def features(layout):
    plan = plan_from_layout(layout)
    return plan_features(plan.num_bars, plan.sections)


def test_every_bar_is_described():
    described = features("i1 A2 B1 A3")
    intro, sung, a, b = ROLES.index("i"), ROLES.index("sung"), LETTERS.index("A"), 2
    assert described.bars.tolist() == [
        [intro, 0, 1, 1, 1],
        [sung, a, 1, 2, 1],
        [sung, a, 2, 1, 1],
        [sung, b, 1, 1, 1],
        [sung, a, 1, 3, 2],
        [sung, a, 2, 2, 2],
        [sung, a, 3, 1, 2],
    ]
    assert described.matching_bar.tolist() == [-1, -1, -1, -1, 1, 2, -1]
    assert described.prompt.tolist() == [
        [intro, 0, 1, 0],
        [sung, a, 2, 1],
        [sung, b, 1, 3],
        [sung, a, 3, 4],
    ]


def test_matching_bars_are_of_the_latest_section_of_the_label():
    assert features("A2 A2 A1 A2").matching_bar.tolist() == [-1, -1, 0, 1, 2, 4, -1]


def test_long_sections_and_many_occurrences_are_clamped():
    long = features("A40").bars
    assert long[:, 2].max() == 32
    assert long[0, 3] == 32
    many = features(" ".join(["A1"] * 12)).bars
    assert many[:, 4].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8]


def test_unknown_labels_share_an_id():
    assert label_ids("Q") == label_ids("Z") == (ROLES.index("sung"), LETTERS.index("other"))
    assert label_ids("q") == (ROLES.index("other"), 0)
    assert label_ids("X") == (ROLES.index("X"), 0)


def test_permuting_letters_keeps_everything_but_names():
    table = permuted_letters(np.random.default_rng(1))
    assert sorted(table.tolist()) == list(range(len(LETTERS)))
    assert table[0] == 0
    assert table[-1] == len(LETTERS) - 1
    assert table.tolist() != list(range(len(LETTERS)))


def test_a_plan_that_is_too_long_is_refused_in_one_sentence():
    with pytest.raises(ConfigurationError, match=r"132 bars was asked for.*at most 128"):
        check_plan(plan_from_layout("A64 B68"), 128)
    with pytest.raises(ConfigurationError, match="has 8 bars but 9"):
        plan_from_layout("A8", 9)
    with pytest.raises(ConfigurationError, match="not a list of letter"):
        plan_from_layout("A8 B")
    with pytest.raises(ConfigurationError, match="at least 1"):
        check_plan(SongPlan(0), 128)


def test_length_follows_from_the_sections():
    plan = SongPlan(sections=(Section("A", 0, 8), Section("o", 8, 2)))
    assert check_plan(plan, 128).num_bars == 10
    assert plan.section_layout == "A8 o2"


def test_ids_do_not_depend_on_the_hash_seed():
    code = (
        "from phrase_models.diffusion.plan import plan_features, plan_from_layout as p;"
        "plan = p('i2A4B4x1A4b2X1C2o2q1');"
        "f = plan_features(plan.num_bars, plan.sections);"
        "print(f.bars.tolist(), f.matching_bar.tolist(), f.prompt.tolist(), "
        "f.section_classes.tolist())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    described = features("i2A4B4x1A4b2X1C2o2q1")
    assert outputs == {
        f"{described.bars.tolist()} {described.matching_bar.tolist()} {described.prompt.tolist()} "
        f"{described.section_classes.tolist()}\n"
    }
