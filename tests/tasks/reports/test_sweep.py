"""Sweeps: their axes, what their points share, and where their figures end up."""

import pytest

from flows.sweep import run_sweep
from phrase_models.errors import ConfigurationError
from storage.artifacts import ArtifactStore
from tasks.engine.mlflow_sender import open_client
from tasks.launch import Request
from tasks.reports.measurements import find_measurements, score_text
from tasks.reports.report import write_report
from tasks.reports.sweep import parse_axes, sweep_points, sweep_table, sweep_title

SHORT = {
    f"{section}.training.{field}": "4"
    for section in ("infilling", "autoencoder", "bottleneck")
    for field in ("num_steps", "validate_every")
}


def test_axes_are_read_and_make_a_grid(tmp_path):
    axes = parse_axes(["vae.latent_dim=16, 32", "vae.num_queries=1,4"])
    assert axes == {"vae.latent_dim": ["16", "32"], "vae.num_queries": ["1", "4"]}
    points = sweep_points(Request(store=str(tmp_path)), axes, orchestrated=False)
    assert [point.name for point in points] == [
        "latent_dim 16, num_queries 1",
        "latent_dim 16, num_queries 4",
        "latent_dim 32, num_queries 1",
        "latent_dim 32, num_queries 4",
    ]
    assert [point.launched.config.vae.latent_dim for point in points] == [16, 16, 32, 32]
    assert not any(point.launched.recorded for point in points)


def test_a_seed_is_that_of_every_training_and_of_generation(tmp_path):
    request = Request(store=str(tmp_path), overrides={"infilling": "null", "diffusion.seed": "7"})
    points = sweep_points(request, {"seed": ["1", "2"]}, orchestrated=False)
    assert [point.name for point in points] == ["seed 1", "seed 2"]
    config = points[1].launched.config
    assert config.infilling is None
    assert config.autoencoder.training.seed == config.bottleneck.training.seed == 2
    assert config.pianotree.training.seed == config.generation.seed == 2
    assert config.diffusion.seed == 7  # named by itself
    with pytest.raises(ConfigurationError, match="seed = 'x' does not do"):
        sweep_points(Request(store=str(tmp_path)), {"seed": ["x"]}, orchestrated=False)


def test_sweeps_of_different_models_have_different_titles(tmp_path):
    def title(**overrides: str) -> str:
        fixed = {name.replace("__", "."): value for name, value in overrides.items()}
        request = Request(store=str(tmp_path), overrides=fixed)
        axes = {"vae.latent_dim": ["16", "32"]}
        titles = {
            sweep_title(point, "vae") for point in sweep_points(request, axes, orchestrated=False)
        }
        assert len(titles) == 1
        return titles.pop()

    assert title() == "vae.latent_dim (vae, smoke)"
    bars = "vae.latent_dim (vae, smoke, vae.granularity=bar)"
    assert title(vae__granularity="bar") == bars
    many = {name.replace(".", "__"): value for name, value in SHORT.items()}
    cut, other = title(**many), title(**{**many, "infilling__training__num_steps": "8"})
    assert cut.startswith("vae.latent_dim (vae, smoke, autoencoder.training.num_steps=4, ... ")
    assert cut != other


@pytest.mark.parametrize("axis", ["vae.latent_dim", "vae.latent_dim=", "=3", "vae.latent_dim=,"])
def test_an_axis_without_values_is_refused(axis):
    with pytest.raises(ConfigurationError, match="is not of the form"):
        parse_axes([axis])


def test_every_point_is_checked_before_the_first_one_trains(tmp_path):
    with pytest.raises(ConfigurationError, match="latent_dim = 'many' does not do"):
        sweep_points(
            Request(store=str(tmp_path)), {"vae.latent_dim": ["16", "many"]}, orchestrated=False
        )
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigurationError, match="needs at least one --over"):
        sweep_points(Request(store=str(tmp_path)), {}, orchestrated=False)


@pytest.mark.slow
def test_points_share_what_does_not_differ_and_can_be_compared(tmp_path):
    request = Request(store=str(tmp_path), overrides=SHORT)
    axes = {"vae.latent_dim": ["32", "64"]}
    points = sweep_points(request, axes, orchestrated=False)
    rows = run_sweep(points, "vae")
    cached = [
        {name for name, result in point.launched.results.items() if result.cached}
        for point in points
    ]
    assert cached[0] == set()
    assert cached[1] == set(points[1].launched.results) - {
        *("train_vae", "tune_decoder", "score_reconstruction"),
    }
    assert [line.split(":")[0] for line in sweep_table(rows).splitlines()] == [
        "latent_dim 32",
        "latent_dim 64",
    ]
    assert "; F1_op against the first: " in sweep_table(rows).splitlines()[1]
    # Again: nothing is trained, and MLflow has no point twice.
    run_sweep(sweep_points(request, axes, orchestrated=False), "vae")
    client = open_client(tmp_path)
    experiment = client.get_experiment_by_name(
        f"phrase-ldm/sweep of {sweep_title(points[0], 'vae')}"
    )
    runs = client.search_runs([experiment.experiment_id])
    # What the compare page and the charts open on.
    assert {min(run.data.metrics) for run in runs} == {"all/f1_op"}
    paths = {item.path for run in runs for item in client.list_artifacts(run.info.run_id)}
    assert {"train_vae", "tune_decoder"} <= paths  # their curves
    assert sorted(run.data.params["latent_dim"] for run in runs) == ["32", "64"]
    assert all(0 <= run.data.metrics["final/f1_op"] <= 1 for run in runs)
    # MLflow shows figures without a section before all others.
    assert [name for run in runs for name in run.data.metrics if "/" not in name] == []

    markdown, folder = write_report(tmp_path, (1, 2))
    lines = {line.split("|")[1].strip(): line for line in markdown.splitlines() if "|" in line}
    assert score_text(rows[1], "f1_op") in lines["64 numbers"]
    assert "4 x 512 + 4 x 512 + 4 x 512" in lines["64 numbers"]
    assert "not run" in lines["128 numbers"]
    assert "not run" in lines["pooling"]
    page = (folder / "report.html").read_text()
    assert page.count("<table>") == 3  # the two asked for, and that of the latents
    assert "data:image/png;base64" in page
    # A sweep is not what the other commands take for the newest run.
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").iterdir())
    assert len(find_measurements(ArtifactStore(tmp_path))) == 2


def test_scores_without_songs_to_compare_have_no_interval():
    assert score_text({"f1": 0.5, "f1_interval": [float("nan"), float("nan")]}, "f1") == "50.00 %"
    assert score_text({"f1": None, "f1_interval": [None, None]}, "f1") == "undefined"
    assert score_text({"f1": float("nan"), "f1_interval": [None, None]}, "f1") == "undefined"
    assert (
        score_text({"f1": 0.98765, "f1_interval": [0.97, 0.99]}, "f1")
        == "98.77 % [97.00 %, 99.00 %]"
    )


def test_a_setting_that_is_swept_over_has_no_value_beside(tmp_path):
    request = Request(store=str(tmp_path), overrides={"vae.latent_dim": "many"})
    with pytest.raises(ConfigurationError, match=r"vae.latent_dim is both set and swept over"):
        sweep_points(request, {"vae.latent_dim": ["8", "16"]}, orchestrated=False)
