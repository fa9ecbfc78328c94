"""Which stages run, and in which order, without running any."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from flows.road import (
    PARTS,
    prepare,
    run_until,
    train_baseline,
    train_binomial_diffusion,
    train_up_to_autoencoder,
)
from phrase_models.errors import ConfigurationError
from storage.artifacts import ArtifactRef
from tasks.engine.stage import Stage
from tasks.launch import Launch, Request, launch
from tasks.stages.registry import STAGES

DATA = ["compose_corpus", "ingest_songs", "tokenise_songs"]
VAE = [
    *("collect_phrases", "train_infilling", "train_autoencoder", "train_vae"),
    *("tune_decoder", "score_reconstruction"),
]
DIFFUSION = ["encode_latents", "collect_songs", "train_diffusion"]


@dataclass
class Recorder:
    """A runner that notes what it is given."""

    names: list[str] = field(default_factory=list)
    inputs: dict[str, set[str]] = field(default_factory=dict)

    def run(self, stage: Stage) -> ArtifactRef:
        self.names.append(stage.name)
        self.inputs[stage.name] = {ref.stage for ref in stage.inputs.values()}
        return ArtifactRef(stage.name, "k" * 64, "d" * 64, Path(stage.name))


def launched(**overrides: str) -> Launch:
    settings = {name.replace("__", "."): value for name, value in overrides.items()}
    return launch(Request(overrides=settings), orchestrated=False)


@pytest.mark.parametrize(
    ("until", "more"),
    [
        ("data", []),
        ("vae", VAE),
        ("latents", [*VAE, "encode_latents"]),
        ("diffusion", [*VAE, *DIFFUSION]),
        ("songs", [*VAE, *DIFFUSION, "fit_priors", "generate_songs"]),
    ],
)
def test_the_road_ends_at_the_part_that_is_named(until, more):
    runner = Recorder()
    run_until(runner, launched(), until)
    assert runner.names == DATA + more


def test_the_whole_road_is_every_stage_that_is_not_beside_it_each_after_what_it_reads():
    runner = Recorder()
    run_until(runner, launched())
    assert set(runner.names) == {kind.name for kind in STAGES if not kind.side}
    for place, name in enumerate(runner.names):
        assert runner.inputs[name] <= set(runner.names[:place])


def test_beside_the_road_are_the_baseline_and_the_scores_of_the_autoencoder():
    runner, road = Recorder(), Recorder()
    run_until(road, launched())
    corpus = prepare(runner, launched())
    train_up_to_autoencoder(runner, launched(), corpus)
    train_baseline(runner, launched(), corpus)
    train_binomial_diffusion(runner, launched(), corpus)
    assert {*runner.names} - {*road.names} == {kind.name for kind in STAGES if kind.side}
    assert runner.inputs["score_autoencoder"] == {"tokenise_songs", "train_autoencoder"}


def test_binomial_diffusion_writes_the_songs_of_a_run_that_asks_for_it():
    runner = Recorder()
    run_until(runner, launched(generation__generator="binomial"))
    assert runner.inputs["train_binomial"] == {"collect_rolls"}
    assert runner.inputs["generate_songs"] == {"train_binomial"}
    assert runner.names[-1] == "evaluate_songs"


def test_trainings_that_are_null_are_left_out():
    runner = Recorder()
    run_until(runner, launched(infilling="null", autoencoder="null"), "vae")
    assert "train_infilling" not in runner.names
    assert "train_autoencoder" not in runner.names
    assert runner.inputs["train_vae"] == {"collect_phrases"}


def test_a_tuned_decoder_serves_all_that_comes_after_the_vae():
    tuned, plain = Recorder(), Recorder()
    run_until(tuned, launched(), "songs")
    run_until(plain, launched(decoder="null"), "songs")
    assert tuned.inputs["tune_decoder"] == {"collect_phrases", "train_vae"}
    assert tuned.inputs["score_reconstruction"] - plain.inputs["score_reconstruction"] == {
        "tune_decoder"
    }
    assert "tune_decoder" not in plain.names
    for name in ("encode_latents", "collect_songs", "generate_songs"):
        assert tuned.inputs[name] - plain.inputs[name] == {"tune_decoder"}
        assert plain.inputs[name] - tuned.inputs[name] == {"train_vae"}


def test_priors_are_fitted_to_the_dataset_and_read_where_they_draw_the_plans():
    trained, drawn, pitches = Recorder(), Recorder(), Recorder()
    run_until(trained, launched(), "songs")
    assert trained.inputs["fit_priors"] == {"collect_songs"}
    run_until(drawn, launched(generation__plans="drawn"), "songs")
    assert drawn.names == trained.names
    more = drawn.inputs["generate_songs"] - trained.inputs["generate_songs"]
    assert more == {"fit_priors"}
    run_until(pitches, launched(latents__layout="pitch_order"), "songs")
    assert "fit_priors" not in pitches.names  # it has no forms


def test_only_a_generator_that_draws_plans_is_asked_to():
    words = "Generator bar_shuffle draws no plans; phrase_ldm does"
    with pytest.raises(ConfigurationError, match=words):
        launched(generation__plans="drawn", generation__generator="bar_shuffle")


def test_latents_of_bars_end_after_the_vae():
    runner = Recorder()
    bars = launched(vae__granularity="bar")
    run_until(runner, bars, "vae")
    assert runner.names[-1] == "score_reconstruction"
    for part in PARTS[PARTS.index("latents") :]:
        untouched = Recorder()
        with pytest.raises(ConfigurationError, match="writes latents of phrases"):
            run_until(untouched, bars, part)
        assert untouched.names == []
