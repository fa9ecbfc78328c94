"""The whole pipeline at smoke size: the same from scratch, killed and resumed, one song or many."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.thousand_artifacts import thousand

pytestmark = pytest.mark.slow
COMMAND = [sys.executable, "-m", "flows", "run", "--plain", "--preset", "smoke", "--workers", "1"]
ROOT = Path(__file__).resolve().parents[2]
KILLED_STAGES = (
    "train_infilling",
    "train_autoencoder",
    "train_vae",
    "tune_decoder",
    "score_reconstruction",
    "encode_latents",
    "train_diffusion",
    "generate_songs",
    "evaluate_songs",
)


def environment(**changes: str) -> dict[str, str]:
    return os.environ | {"PHRASELDM_TRACKING": "off", "OMP_WAIT_POLICY": "PASSIVE"} | changes


def run_to_the_end(store: Path, **changes: str) -> dict[str, str]:
    """Digest of every artifact of a run."""
    command = [*COMMAND, "--store", str(store)]
    subprocess.run(command, cwd=ROOT, env=environment(**changes), check=True, capture_output=True)
    return digests(store)


def digests(store: Path) -> dict[str, str]:
    return {
        path.parent.parent.name: json.loads(path.read_text())["digest"]
        for path in (store / "artifacts").glob("*/*/manifest.json")
    }


def kill_during(store: Path, stage: str) -> bool:
    """Start the run and kill it, hard, once the stage is at work; whether it was."""
    process = subprocess.Popen(
        [*COMMAND, "--store", str(store)],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    work = store / "work" / stage
    sign = "checkpoint" if stage.startswith("train") else "*"
    while process.poll() is None:
        if list(work.glob(f"*/state/{sign}" if sign != "*" else "*/output")):
            process.send_signal(signal.SIGKILL)
            process.wait()
            return True
        time.sleep(0.005)
    return False


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    store = tmp_path_factory.mktemp("whole") / "store"
    return store, run_to_the_end(store)


def test_every_stage_left_an_artifact(whole):
    from tasks.stages.registry import STAGES

    assert set(whole[1]) == {kind.name for kind in STAGES if not kind.side}


def test_another_run_from_scratch_gives_the_same_digests(whole, tmp_path):
    assert run_to_the_end(tmp_path / "store", PYTHONHASHSEED="7") == whole[1]


def test_killed_in_every_stage_and_resumed_it_ends_the_same(whole, tmp_path):
    store = tmp_path / "store"
    killed = {stage: kill_during(store, stage) for stage in KILLED_STAGES}
    assert killed == dict.fromkeys(KILLED_STAGES, True)
    assert run_to_the_end(store) == whole[1]


def test_song_k_is_the_same_however_many_are_made(whole, tmp_path):
    from tasks.music.songs import generate

    request = {
        "key": "G",
        "sampling": {"num_sampling_steps": 4},
        "seed": 3,
    }
    request |= {"num_bars": None, "sections": "i4 A8 B4 o2", "tempo_bpm": 92.0}
    generate(whole[0], tmp_path / "one", num_songs=1, **request)
    generate(whole[0], tmp_path / "many", num_songs=16, **request)
    name = "midi/song-000.mid"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()
    songs = json.loads((tmp_path / "many" / "songs.json").read_text())
    assert [song["num_bars"] for song in songs] == [18] * 16
    contents = {path.read_bytes() for path in (tmp_path / "many" / "midi").iterdir()}
    assert len(contents) == 16


def test_plans_are_drawn_from_the_priors_of_the_run(whole, tmp_path):
    from phrase_models.form.plan_priors import PlanPriors
    from tasks.music.songs import generate

    priors = PlanPriors.load(next((whole[0] / "artifacts" / "fit_priors").glob("*/priors.json")))
    assert priors.chords is not None
    request = {"num_songs": 2, "audio_seconds": 0.2, "plans": "drawn"}
    generate(whole[0], tmp_path, sampling={"num_sampling_steps": 2}, **request)
    songs = json.loads((tmp_path / "songs.json").read_text())
    assert [song["plans"] for song in songs] == ["drawn"] * 2
    assert songs[0]["requested_layout"] != songs[1]["requested_layout"]


def test_what_is_written_reads_back_with_its_sections(whole):
    from phrase_models.score.midi import read_midi

    generated = next((whole[0] / "artifacts" / "generate_songs").iterdir())
    for item in json.loads((generated / "songs.json").read_text()):
        song = read_midi(generated / "midi" / f"{item['name']}.mid")
        assert song.num_bars == item["num_bars"]
        assert song.num_notes == item["num_notes"]
    page = (generated / "gallery.html").read_text()
    assert page.count("data:audio/wav") == 2
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_the_dataset_has_the_form_and_the_chords_of_every_song(whole):
    from phrase_models.diffusion.dataset import read_dataset

    dataset = read_dataset(next((whole[0] / "artifacts" / "collect_songs").iterdir()))
    assert len(dataset.songs) == 6
    for song in dataset.songs:
        assert song.plan.form.states.shape == (song.plan.num_bars, 3)
        assert song.plan.chords.shape == (song.plan.num_bars, 2)
        # Cells of one class are equal phrases, and so are their latents.
        silent = song.plan.form.states == 0
        assert len(np.unique(song.latents[silent], axis=0)) <= 1


def test_the_tuned_decoder_leaves_encoder_and_embedding_as_they_were(whole):
    from safetensors.torch import load_file

    before, after = (
        load_file(next((whole[0] / "artifacts" / stage).glob("*/model.safetensors")))
        for stage in ("train_vae", "tune_decoder")
    )
    assert before.keys() == after.keys()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed
    assert {name.split(".")[0] for name in changed} <= {"decoder", "from_latent"}


def test_the_scores_stand_side_by_side(whole):
    folder = next((whole[0] / "artifacts" / "score_reconstruction").iterdir())
    figures = json.loads((folder / "reconstruction.json").read_text())
    for score in ("f1_op", "f1_opd", "exact_phrase_rate"):
        assert figures[score] <= figures[f"{score}_refined"] <= 1
        assert figures[f"{score}_tuned"] <= figures[f"{score}_tuned_refined"] <= 1
    for sigma in (0.1, 0.2, 0.3, 0.4, 0.5):
        assert f"f1_op_relative_noise_{sigma}" in figures
        assert f"f1_op_relative_noise_{sigma}_tuned" in figures
    for classes in ("by_num_notes", "by_instrument"):
        counted = [row["num_phrases"] for row in figures[classes].values()]
        assert sum(counted) == figures["num_phrases"]
    assert "seconds_per_song_refined" in (folder / "log" / "seconds.json").read_text()
    assert "seconds" not in str(figures.keys())  # they would make every artifact another


def test_explain_says_what_a_changed_setting_redoes(whole):
    command = [sys.executable, "-m", "flows", "explain", "train_vae", "--store", str(whole[0])]
    command += ["--set", "bottleneck.objective.kl_weight=0.02"]
    result = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    assert "kl_weight: 0.01 -> 0.02" in result.stdout


def test_explain_among_a_thousand_artifacts_takes_under_two_seconds(whole, tmp_path, monkeypatch):
    from flows.road import run_until
    from storage import code_digest, module_code_cache
    from tasks.commands import explain_stage, launch_run
    from tasks.stages.registry import STAGES

    store = tmp_path / "store"
    shutil.copytree(whole[0], store)
    thousand(store, [kind.name for kind in STAGES][:10])
    said = ["evaluate_songs: up to date"]

    def seconds() -> float:
        """Of a new process, which knows no module's code."""
        code_digest._read_module.cache_clear()
        begun = time.thread_time()
        launched = launch_run("smoke", None, None, store, None, orchestrated=False)
        assert explain_stage(launched, "evaluate_songs", run_until) == said
        return time.thread_time() - begun

    seconds()
    # Once parsed, code is never parsed again on this machine.
    monkeypatch.setattr(module_code_cache, "module_code", None)
    assert min(seconds() for _ in range(3)) < 1.0  # the command's own start takes another


def test_reconstruct_sends_a_song_through_the_vae(whole, tmp_path):
    from tasks.commands import reconstruct_file

    source = next((whole[0] / "artifacts" / "generate_songs").glob("*/midi/*.mid"))
    sentence = reconstruct_file(whole[0], source, tmp_path / "back.mid")
    assert "F1_op" in sentence
    assert re.search(r"\d+ of \d+ phrases refined in \d+\.\d s; wrote", sentence)
    plain = reconstruct_file(whole[0], source, tmp_path / "plain.mid", refine=False)
    assert "not refined; wrote" in plain
    assert (tmp_path / "back.mid").exists()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"sections": "A100 B100"}, "at most 128"),
        ({"sections": "verse, chorus"}, "is not a list of letters with numbers of bars"),
        ({"sections": "A8", "num_bars": 9}, "has 8 bars but 9 were asked for"),
        ({"num_bars": 500}, "at most 128"),
        ({"key": "H"}, "There is no major key 'H'"),
    ],
)
def test_a_song_that_cannot_be_made_is_refused_with_a_sentence(whole, tmp_path, request_, words):
    from phrase_models.errors import ConfigurationError
    from tasks.music.songs import generate

    request = {
        "key": "C",
        "seed": 0,
    }
    request |= {"num_bars": None, "sections": None, "num_songs": 1} | request_
    with pytest.raises(ConfigurationError) as caught:
        generate(whole[0], tmp_path / "out", **request)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
