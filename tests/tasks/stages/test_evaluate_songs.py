"""Which real songs stand beside generated ones, and how the table says what gives ours away."""

import math

from phrase_models.metrics.result import MetricResult
from tasks.stages.evaluate_songs import (
    chosen_sentence,
    headline,
    held_out_songs,
    metrics_table,
    reference_order,
)

LAYOUTS = ("A4 B4", "i4 A4", "A4 A4", "i4 A4", "B4", "C4", "D4", "E4")
SONGS = {f"{index:03}": layout for index, layout in enumerate(LAYOUTS)}


def result(name: str, value: float, note: str = "") -> MetricResult:
    return MetricResult(name, value, value - 0.25, value + 0.25, 10, note)


def test_songs_whose_sections_were_asked_for_come_first():
    order = reference_order(SONGS, {"i4 A4", "B4"}, seed=1)
    assert sorted(order) == [*SONGS]
    assert set(order[:3]) == {"001", "003", "004"}
    unasked = reference_order(SONGS, (), seed=1)
    assert unasked != sorted(unasked)
    # Within both groups the random order stays.
    assert order[3:] == [song_id for song_id in unasked if song_id in order[3:]]
    assert order[:3] == [song_id for song_id in unasked if song_id in order[:3]]


def test_of_many_held_out_songs_some_are_chosen_by_the_seed_and_it_is_said():
    assert held_out_songs(SONGS, 8, seed=1) == tuple(SONGS)
    assert chosen_sentence(8, 8) == ""
    some = held_out_songs(SONGS, 3, seed=1)
    assert len(set(some)) == 3
    assert list(some) == sorted(some)
    assert some == held_out_songs(SONGS, 3, seed=1)
    assert len({held_out_songs(SONGS, 3, seed=seed) for seed in range(20)}) > 10
    assert chosen_sentence(3, 8) == (
        "\nOf 8 held-out songs, 3 chosen at random are measured: evaluation.num_held_out_songs "
        "says how many.\n"
    )


def test_the_table_has_all_three_columns_and_what_gives_songs_away_in_words():
    higher = "notes a bar: ours higher (weight +1.20, difference +0.85 deviations)"
    lower = "polyphony: ours lower (weight -0.50, difference -0.20 deviations)"
    told = result("two_sample_auc_songs", 0.75, f"against 9 real songs; {higher}; {lower}")
    silent = MetricResult("srs", math.nan, math.nan, math.nan, 0, "undefined for 9 of 9 songs")
    columns = {
        "generated": [told, silent],
        "real": [result("two_sample_auc_songs", 0.5), result("srs", 0.5)],
        "held_out": [result("two_sample_auc_songs", 0.625)],
    }
    assert metrics_table(columns) == (
        "| metric | generated | real songs (training) | real songs (held-out) |\n"
        "|---|---|---|---|\n"
        "| two_sample_auc_songs | 0.750 [0.500, 1.000] | 0.500 [0.250, 0.750] "
        "| 0.625 [0.375, 0.875] |\n"
        "| srs | undefined: for 9 of 9 songs | 0.500 [0.250, 0.750] |  |\n"
        f"\nWhat gives generated songs away:\n\n- {higher}\n- {lower}\n"
    )


def test_the_headline_has_real_songs_beside_it_where_both_are_there():
    columns = {
        "generated": [result("srs_notes_50", 0.25), result("polyphony", 4.0)],
        "real": [result("srs_notes_50", 0.5), result("polyphony", 3.0)],
    }
    assert headline(columns) == {"srs_notes_50": 0.25, "srs_notes_50_real": 0.5, "polyphony": 4.0}
