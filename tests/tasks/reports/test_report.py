"""Which trained model stands in which row of the report."""

from collections.abc import Mapping
from dataclasses import replace

from phrase_models.metrics.note_matching import PhraseCounts
from tasks.reports.measurements import Measurement
from tasks.reports.report import latent_table, report_table
from tasks.reports.report_tables import NOT_RUN


def measured(
    f1: float,
    *,
    stage: str = "score_reconstruction",
    steps: int = 100,
    pretrained: bool = True,
    latent_noise: float = 0.0,
    seed: int = 0,
    **architecture: object,
) -> Measurement:
    whole: Mapping[str, object] = {
        "model_dim": 256,
        "num_encoder_layers": 1,
        "granularity": "phrase",
        "bottleneck": "multi_query",
        "num_queries": 4,
        "latent_dim": 64,
    } | architecture
    training = {
        "architecture": whole,
        "objective": {"latent_noise": latent_noise},
        "training": {"num_steps": steps, "batch_size": 10, "seed": seed},
    }
    first = [{**training, "phase": "infilling"}] if pretrained else []
    return Measurement(
        stage=stage,
        key=f"key{f1}",
        scores={
            "f1_op": f1,
            "num_phrases": 300,
            "num_bars": 100,
            "num_songs": 7,
        },
        trainings=(*first, {**training, "phase": "vae"}),
        seconds=(60.0,) * (len(first) + 1),
        pictures=(),
        song_counts={song: counts_of(f1 + spread) for song, spread in SPREAD.items()},
    )


SPREAD = {"easy": 0.01, "plain": 0.0, "hard": -0.01}
"""How much better or worse than the model's F1 each song comes back."""


def counts_of(f1: float) -> PhraseCounts:
    """1000 notes in and out, of which the share `f1` matches, and .1 less with durations."""
    right = round(1000 * f1)
    return PhraseCounts(
        num_target=1000, num_output=1000, matched_op=right, matched_opd=right - 100, num_phrases=100
    )


def row(table, label):
    return next(line for line in table.rows if line[0] == label)


def test_a_row_shows_both_scores_units_size_and_budget():
    table = report_table(3, [measured(0.9)], {"key0.9": "0123456789"})
    line = row(table, "PhraseVAE, 64 numbers")
    assert line[1] == "- / 98.4 %"
    assert line[2].startswith("90.00 % [89.00 %, 90.")
    assert line[3].startswith("80.00 % [79.00 %, 80.")
    assert line[4:] == (
        "",
        "1",
        "300 of 7 songs",
        "64 x 3.00 = 192",
        "100 x 10 + 100 x 10, 2.0 min",
        "01234567",
    )
    assert row(table, "BarVAE, 512 numbers")[2] == NOT_RUN


def test_rows_are_taken_from_the_budget_that_most_share():
    found = [
        measured(0.99, steps=9000),
        measured(0.8),
        measured(0.7, latent_dim=32),
        measured(0.6, latent_dim=16),
        measured(0.95, latent_dim=128, steps=9000),
    ]
    table = report_table(2, found, {})
    assert row(table, "64 numbers")[2].startswith("80.00 %")
    assert row(table, "32 numbers")[2].startswith("70.00 %")
    # Only trained at another budget: shown, and marked.
    assert row(table, "128 numbers")[2].startswith("95.00 %")
    assert row(table, "128 numbers")[-2].endswith("+")


def test_of_equal_budgets_the_row_is_by_the_recipe_that_most_rows_share():
    found = [
        measured(0.99, latent_noise=0.2),
        measured(0.98, model_dim=512),
        measured(0.8),
        measured(0.7, latent_dim=32),
        measured(0.6, latent_dim=16),
        measured(0.75, latent_dim=128, latent_noise=0.2),
    ]
    for order in (found, found[::-1]):
        table = report_table(2, order, {})
        assert row(table, "64 numbers")[2].startswith("80.00 %")
        # By another recipe, but on as many tokens.
        assert row(table, "128 numbers")[2].startswith("75.00 %")
        assert row(table, "128 numbers")[-2] == "100 x 10 + 100 x 10, 2.0 min"


def test_table_1_is_about_autoencoders_of_bars():
    of_bars = {"stage": "score_autoencoder", "granularity": "bar"}
    found = [
        measured(0.6, **of_bars, bottleneck="pooling"),
        measured(0.5, **of_bars, bottleneck="single_query"),
        measured(0.8, **of_bars),
        measured(0.7, **of_bars, pretrained=False),
        measured(0.99, stage="score_autoencoder"),  # of phrases
        measured(0.98, **of_bars, num_queries=8),
    ]
    scores = {line[0]: line[2][:2] for line in report_table(1, found, {}).rows}
    assert scores == {
        "pooling": "60",
        "one query": "50",
        "four query tokens": "80",
        "four query tokens, without span infilling": "70",
    }


def test_a_difference_is_of_the_same_songs_and_so_narrower_than_either_score():
    table = report_table(2, [measured(0.9), measured(0.85, latent_dim=32)], {})
    assert row(table, "64 numbers")[4] == ""  # nothing measured above it
    assert row(table, "32 numbers")[4] == "-5.00 % [-5.00 %, -5.00 %]"
    other = replace(measured(0.85, latent_dim=32), song_counts={"another": counts_of(0.85)})
    table = report_table(2, [measured(0.9), other], {})
    assert row(table, "32 numbers")[4] == ""


def test_repetitions_under_other_seeds_count_together():
    found = [measured(0.8), measured(0.84, seed=1), measured(0.88, seed=2), measured(0.7, steps=50)]
    runs = {"key0.8": "aaaaaaaaaa", "key0.84": "bbbbbbbbbb", "key0.88": "cccccccccc"}
    for order in (found, found[::-1]):
        line = row(report_table(2, order, runs), "64 numbers")
        assert line[2].startswith("84.00 % [")
        assert line[5] == "3: 80.00 % to 88.00 %"
        assert line[-1] == "aaaaaaaa, bbbbbbbb, cccccccc"


def test_latents_are_described_by_what_was_measured_of_them():
    item = measured(0.9)
    scores = {"latent_std_min": 0.5, "latent_std_max": 1.25, "interpolation_detour": None}
    scores |= {"f1_op_relative_noise_0.2": 0.75, "f1_opd_relative_noise_0.2": 0.5}
    table = latent_table(replace(item, scores={**item.scores, **scores}))
    assert table.rows == (
        ("with noise of 0.2 deviations", "0.75 / 0.5"),
        ("deviation of a dimension: least / most", "0.5 / 1.25"),
    )
