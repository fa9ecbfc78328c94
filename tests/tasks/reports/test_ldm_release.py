"""Both models leave the store as one folder that writes the same songs without it."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from phrase_models.diffusion.pretrained import load_ldm
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.errors import ConfigurationError
from phrase_models.form.plan_priors import PlanPriors
from phrase_models.generator import SongRequest, request_from_layout
from phrase_models.phrase_ldm import PhraseLDMGenerator
from storage.errors import MissingArtifact, NotWritable
from tasks.reports import ldm_release
from tasks.reports.ldm_release import assemble_release, export_ldm

ROOT = Path(__file__).resolve().parents[3]
VAE_FILES = {"vae/config.json", "vae/model.safetensors"}
LDM_FILES = {
    "ldm/bar_lines.json", "ldm/chords.npy", "ldm/config.json", "ldm/empty_slot_latents.npy",
    "ldm/forms.npy",
    "ldm/length_prior.json", "ldm/model.safetensors", "ldm/normalizer.json", "ldm/priors.json",
    "ldm/sampler.json", "ldm/textures.npy",
}  # fmt: skip


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_release_in_fp32_writes_the_songs_of_the_store_bit_for_bit(pair_store, tmp_path):
    sentence = export_ldm(pair_store.store.root, tmp_path / "deep" / "release", "fp32")
    release = tmp_path / "deep" / "release"
    assert files(release) == {"README.md", "vae/README.md"} | VAE_FILES | LDM_FILES
    assert [path.name for path in release.parent.iterdir()] == ["release"]
    assert "in fp32, 0." in sentence
    assert " MiB in all" in sentence
    released = PhraseLDMGenerator.from_pretrained(release)
    assert released.sampler == SamplerConfig(num_sampling_steps=3, guidance_scale=1.5)
    stored = PhraseLDMGenerator.load(
        pair_store.refs["train_vae"].folder,
        pair_store.refs["train_diffusion"].folder,
        digest=released.digest,
        sampler=released.sampler,
    )
    asked = SongRequest(), request_from_layout("i2 A4 A4", variation=0.5)
    for request in (replace(each, plans="training") for each in asked):  # `stored` has no priors
        song, other = (maker.generate(request, 5, 1) for maker in (released, stored))
        assert np.array_equal(song.latents, other.latents)
        assert replace(song, latents=None) == replace(other, latents=None)
        assert song.request.form is not None


def test_in_bf16_the_weights_are_rounded_and_take_half(pair_store, tmp_path):
    for precision in ("fp32", "bf16"):
        export_ldm(pair_store.store.root, tmp_path / precision, precision)
    exact, rounded = (
        {part: load_file(tmp_path / name / part / "model.safetensors") for part in ("vae", "ldm")}
        for name in ("fp32", "bf16")
    )
    for part, weights in exact.items():
        assert {tensor.dtype for tensor in rounded[part].values()} == {torch.bfloat16}
        for name, tensor in weights.items():
            assert torch.equal(rounded[part][name], tensor.to(torch.bfloat16)), name
    loaded = load_ldm(tmp_path / "bf16" / "ldm").denoiser.state_dict()
    assert {tensor.dtype for tensor in loaded.values()} == {torch.float32}
    same = LDM_FILES - {"ldm/model.safetensors"}
    for name in same:
        assert (tmp_path / "fp32" / name).read_bytes() == (tmp_path / "bf16" / name).read_bytes()


def test_the_card_says_what_it_takes_from_a_training_song_and_what_is_known(pair_store, tmp_path):
    export_ldm(pair_store.store.root, tmp_path / "release", "bf16")
    card = (tmp_path / "release" / "README.md").read_text()
    for text in (
        "all of it is one training song's. The notes are drawn anew",
        "composed by `phrase_models.sources.synthetic`",
        "135 bars, 314 phrases and 2613 notes in all",
        "Not measured: the store holds no `evaluate_songs`",
        "| form_condition | True |",
        "| PhraseLDM | 1200 |",
        "up to 32 bars",
        "Apache-2.0",
        f"digest `{pair_store.refs['train_diffusion'].digest}`",
    ):
        assert text in card
    assert "| f1_op | 0.9877 |" in (tmp_path / "release" / "vae" / "README.md").read_text()


def test_an_earlier_release_is_replaced_and_nothing_else(pair_store, tmp_path):
    root, release = pair_store.store.root, tmp_path / "release"
    export_ldm(root, release, "fp32")
    before = (release / "ldm" / "model.safetensors").stat().st_size
    with pytest.raises(NotWritable, match=r"holds a release already \(README.md\): .* --force"):
        export_ldm(root, release, "bf16")
    export_ldm(root, release, "bf16", force=True)
    assert (release / "ldm" / "model.safetensors").stat().st_size < before
    (release / "ldm" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigurationError, match=r"holds ldm/thesis\.txt and is no release of a"):
        export_ldm(root, release, "bf16", force=True)
    assert (release / "ldm" / "thesis.txt").exists()


@pytest.mark.parametrize("name", ["README.md", "vae/config.json", "notes/a.txt"])
def test_a_folder_that_is_no_release_is_left_alone(pair_store, tmp_path, name):
    path = tmp_path / "mine" / name
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    with pytest.raises(ConfigurationError, match="is no release of a PhraseLDM"):
        export_ldm(pair_store.store.root, tmp_path / "mine", "bf16")
    assert files(tmp_path / "mine") == {name}


def test_a_release_that_is_too_large_is_not_written(pair_store, tmp_path, monkeypatch):
    kind = replace(ldm_release.LDM_RELEASE, max_bytes=2**16)
    monkeypatch.setattr(ldm_release, "LDM_RELEASE", kind)
    with pytest.raises(ConfigurationError, match=r"would take 0\.\d MiB, but it may take 0"):
        export_ldm(pair_store.store.root, tmp_path / "release", "bf16")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert ldm_release.MAX_BYTES == 64 * 2**20


def test_a_store_without_songs_has_nothing_to_release(make_vae_store, tmp_path):
    made = make_vae_store("synthetic")
    made.store.record_run("vae", {"train_vae": made.refs["train_vae"]}, {})
    with pytest.raises(MissingArtifact, match="has no stage train_diffusion"):
        export_ldm(made.store.root, tmp_path / "release", "bf16")


def test_a_release_is_assembled_of_plain_folders(planned_pair, tmp_path):
    assemble_release(planned_pair.vae, planned_pair.ldm, "# Mine\n", tmp_path / "release")
    assert files(tmp_path / "release") == {"README.md"} | VAE_FILES | LDM_FILES
    assert (tmp_path / "release" / "README.md").read_text() == "# Mine\n"
    released = PhraseLDMGenerator.from_pretrained(tmp_path / "release")
    assert released.sampler == SamplerConfig(force_silence=True)
    assert list(released.model.length_prior) == planned_pair.plans


def test_a_release_has_priors_of_the_plans_of_its_songs(planned_pair, tmp_path):
    assemble_release(planned_pair.vae, planned_pair.ldm, "", tmp_path / "release")
    PlanPriors.fit(planned_pair.plans).save(tmp_path / "expected.json")
    written = tmp_path / "release" / "ldm" / "priors.json"
    assert written.read_bytes() == (tmp_path / "expected.json").read_bytes()
    song = PhraseLDMGenerator.from_pretrained(tmp_path / "release").generate(
        SongRequest(plans="drawn"), 5, 1
    )
    assert song.request.plan not in planned_pair.plans
    shutil.copytree(planned_pair.ldm, tmp_path / "ldm")
    (tmp_path / "ldm" / "forms.npy").unlink()
    assemble_release(planned_pair.vae, tmp_path / "ldm", "", tmp_path / "release")
    assert not written.exists()


@pytest.mark.slow
def test_the_command_that_fits_priors_to_a_release(planned_pair, tmp_path):
    assemble_release(planned_pair.vae, planned_pair.ldm, "", tmp_path / "release")
    written = tmp_path / "release" / "ldm" / "priors.json"
    before = written.read_bytes()
    written.unlink()
    command = [sys.executable, "-m", "benchmarks.fit_release_priors", tmp_path / "release"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.startswith(f"{written}: {len(before):,} bytes, ")
    assert written.read_bytes() == before


def test_a_release_without_forms_does_not_force_silence(planned_pair, tmp_path):
    shutil.copytree(planned_pair.ldm, tmp_path / "ldm")
    (tmp_path / "ldm" / "empty_slot_latents.npy").unlink()
    assemble_release(planned_pair.vae, tmp_path / "ldm", "", tmp_path / "release")
    written = json.loads((tmp_path / "release" / "ldm" / "sampler.json").read_text())
    assert written["force_silence"] is False


@pytest.mark.slow
def test_the_command_that_assembles_releases(planned_pair, tmp_path):
    (tmp_path / "card.md").write_text("# Mine\n")
    (tmp_path / "sampler.json").write_text('{"guidance_scale": 1.25}')
    command = [
        *(sys.executable, "-m", "benchmarks.assemble_release"),
        *(planned_pair.vae, planned_pair.ldm, tmp_path / "release"),
        *("--card", tmp_path / "card.md", "--sampler", tmp_path / "sampler.json"),
    ]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.startswith(f"Wrote {tmp_path / 'release'}: PhraseVAE and PhraseLDM, ")
    sampler = PhraseLDMGenerator.from_pretrained(tmp_path / "release").sampler
    assert sampler == SamplerConfig(guidance_scale=1.25)
