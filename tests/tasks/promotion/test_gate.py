"""The gate: it refuses worse models and memorising ones, and lets better ones through."""

import math
from dataclasses import replace

import numpy as np
import pytest

from phrase_models.metrics.note_matching import PhraseCounts
from phrase_models.metrics.result import MetricResult
from tasks.promotion.gate import GateRules, Measured, judge, memorised
from tasks.reports.song_values import SongValues

N = 40
RANDOM = np.random.default_rng(3)
RECURRENCE = RANDOM.uniform(0.3, 0.7, N)
BOUNDARIES = RANDOM.uniform(0.5, 0.9, N)
NOISE = RANDOM.normal(0, 0.05, 200)


def flags(count: int) -> np.ndarray:
    return np.arange(N) < count


def column(recurrence=RECURRENCE, boundaries=BOUNDARIES, num_memorised=0, names="0") -> SongValues:
    values = dict.fromkeys(("srs_notes_50", "srs_notes_70", "srs_notes_90"), recurrence)
    values |= {"boundary_f1": boundaries, "same_label_similarity_notes": boundaries}
    values |= {"mr": np.zeros(N), "mr_invariant": flags(num_memorised).astype(float)}
    ids = tuple(f"{names}-{index}" for index in range(N))
    return SongValues(ids, tuple(f"A{index + 2}" for index in range(N)), values)


def distance(value: float) -> MetricResult:
    return MetricResult("d", value, math.nan, math.nan, N, "", tuple(value + NOISE))


def model(name="version 2", f1=95, **changes) -> Measured:
    counts = {
        f"song {index}": PhraseCounts(
            num_target=1000, num_output=1000, matched_op=f1 * 10 - index % 3, num_phrases=10
        )
        for index in range(20)
    }
    measured = Measured(
        name=name,
        song_counts=counts,
        songs=column(recurrence=RECURRENCE * 0.9),
        real=column(names="real"),
        held_out=column(names="held out"),
        distances={"feature_frechet": distance(2.0), "phrase_fid": distance(3.0)},
        floors={"feature_frechet": 1.0, "phrase_fid": 1.5},
        failures=0.0,
    )
    return replace(measured, **changes)


CHAMPION = model("version 1")


def verdicts(candidate: Measured, champion: Measured | None = CHAMPION) -> list[str]:
    return [finding.verdict for finding in judge(candidate, champion).findings]


def test_a_first_model_that_keeps_the_rules_is_accepted():
    verdict = judge(model(), None)
    assert verdict.accepted
    assert [finding.verdict for finding in verdict.findings] == ["kept"] * 3
    assert verdict.sentence == (
        "Accepted: version 2 keeps all rules, and there is no champion yet."
    )


def test_an_equal_model_is_accepted():
    assert verdicts(model()) == ["kept"] * 3 + ["as good"] * 6
    assert judge(model(), CHAMPION).accepted


def test_a_model_that_is_better_by_everything_is_accepted():
    better = model(
        f1=98,
        songs=column(RECURRENCE * 0.97, BOUNDARIES + 0.05),
        distances={"feature_frechet": distance(1.5), "phrase_fid": distance(2.0)},
    )
    assert verdicts(better) == ["kept"] * 3 + ["better"] * 6
    assert judge(better, CHAMPION).sentence == (
        "Accepted: version 2 is by no criterion worse than version 1."
    )


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"f1": 94}, 3, "F1 of onset and pitch"),
        ({"songs": column(RECURRENCE * 0.7)}, 4, "Recurrence of bars"),
        ({"songs": column(RECURRENCE * 1.4)}, 4, "Recurrence of bars"),
        ({"distances": {"feature_frechet": distance(2.4), "phrase_fid": distance(3.0)}}, 5, "Dist"),
        ({"distances": {"feature_frechet": distance(2.0), "phrase_fid": distance(3.6)}}, 6, "Phra"),
        ({"songs": column(RECURRENCE * 0.9, BOUNDARIES - 0.05)}, 7, "Plan fidelity: section"),
    ],
)
def test_a_model_that_is_worse_by_one_criterion_is_refused_for_it(changes, place, words):
    verdict = judge(model(**changes), CHAMPION)
    assert not verdict.accepted
    assert verdict.findings[place].verdict == "worse"
    assert verdict.reasons[0].startswith(words)
    assert verdict.sentence.startswith(f"Refused: {words}")


def test_a_difference_within_chance_is_no_reason():
    mixed = RANDOM.permutation(BOUNDARIES) - 0.01
    assert verdicts(model(songs=column(RECURRENCE * 0.9, mixed)))[7] == "as good"


def test_a_note_in_a_thousand_may_be_lost_and_two_may_not():
    def shifted(notes: int) -> Measured:
        counts = {
            name: replace(count, matched_op=count.matched_op - notes)
            for name, count in CHAMPION.song_counts.items()
        }
        return model(song_counts=counts)

    assert judge(shifted(1), CHAMPION).accepted
    assert not judge(shifted(2), CHAMPION).accepted
    assert not judge(shifted(1), CHAMPION, GateRules(f1_tolerance=0.0)).accepted


# ---------------------------------------------------------------------------- absolute rules
@pytest.mark.parametrize(
    ("ours", "real", "kept"),
    [(0, 0, True), (1, 0, True), (3, 0, False), (2, 2, True), (3, 2, True), (8, 2, False)],
)
@pytest.mark.parametrize("champion", [None, CHAMPION])
def test_more_memorised_songs_than_real_ones_have_are_refused_outright(ours, real, kept, champion):
    songs = column(RECURRENCE * 0.9, num_memorised=ours)
    real_songs = {
        "real": column(names="real", num_memorised=real),
        "held_out": column(names="held out", num_memorised=real),
    }
    verdict = judge(model(songs=songs, **real_songs), champion)
    assert verdict.accepted == kept
    if not kept:
        assert verdict.reasons == (
            f"{ours} of its 40 songs are memorised from the training songs, and "
            f"{2 * real} of 80 real songs are as near to others.",
        )


def test_within_the_margin_chance_decides():
    many = SongValues(("x",) * 400, ("",) * 400, {"mr": (np.arange(400) < 12).astype(float)})
    real = SongValues(("x",) * 400, ("",) * 400, {"mr": np.zeros(400)})
    # 3 % is within the margin of 5 %, but 12 of 400 beside 0 of 800 are no chance.
    verdict = judge(model(songs=many, real=real, held_out=real), None)
    assert [finding.verdict for finding in verdict.findings] == ["kept", "kept", "broken"]


def test_a_song_is_memorised_by_either_measure_and_unknown_by_none():
    songs = SongValues(
        tuple("abcd"), ("",) * 4,
        {"mr": np.array([1, 0, math.nan, 0]), "mr_invariant": np.array([0, 1, math.nan, 0])},
    )  # fmt: skip
    assert memorised(songs) == (2, 3)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"f1": 40}, "The F1 of its PhraseVAE is 0.399"),
        ({"song_counts": {}}, "The F1 of its PhraseVAE was not measured."),
        ({"failures": 0.1}, "10.0% of its songs are silent"),
        ({"songs": SongValues((), (), {})}, "Whether its songs are memorised was not measured."),
    ],
)
def test_a_first_model_that_breaks_a_rule_is_refused(changes, reason):
    verdict = judge(model(**changes), None)
    assert len(verdict.reasons) == 1
    assert verdict.reasons[0].startswith(reason)


# ----------------------------------------------------------------------- what cannot be compared
def test_a_figure_that_only_the_candidate_lacks_is_a_reason():
    verdict = judge(model(distances={"phrase_fid": distance(3.0)}), CHAMPION)
    assert verdict.reasons == (
        "Distance of song features, in those of real songs: undefined, and the champion has 2.00.",
    )


def test_a_figure_that_both_lack_is_named_and_is_no_reason():
    without = {"distances": {}, "floors": {}}
    verdict = judge(model(**without), model("version 1", **without))
    assert verdict.accepted
    assert [item.verdict for item in verdict.findings][5:7] == ["not compared"] * 2


def test_songs_of_other_plans_are_compared_without_pairs():
    slightly = model(songs=column(RECURRENCE * 0.9, BOUNDARIES - 0.02))
    assert verdicts(slightly)[7] == "worse"
    elsewhere = replace(slightly, songs=replace(slightly.songs, layouts=("B8",) * N))
    assert verdicts(elsewhere)[7] == "as good"


def test_the_table_says_it_all():
    text = judge(model(f1=94), CHAMPION).markdown()
    assert text.startswith("Refused: F1 of onset and pitch, held-out songs: 0.9391 against 0.9490")
    assert "| 0.9391 | 0.9490 | +0.0100 [+0.0100, +0.0100] | worse |" in text
    assert text.count("\n| ") == 10
