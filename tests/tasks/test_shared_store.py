"""A store that a group shares: files follow the umask, and what may not be read is a sentence."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from phrase_models.errors import ConfigurationError
from phrase_models.form.plan_priors import PlanPriors
from phrase_models.generator import GeneratedSong, SongRequest
from phrase_models.model_files import read_json_object
from phrase_models.normalizer import LatentNormalizer
from phrase_models.score.song import Song
from phrase_models.song_batch import write_descriptions
from phrase_models.training.checkpoint import save_state
from phrase_models.training.weights import load_module, save_weights
from storage.artifacts import ArtifactStore
from storage.errors import DamagedArtifact, NotReadable
from storage.latents import read_latents, write_latents
from storage.tables import read_songs
from tasks.engine.mlflow_sender import open_client
from tasks.errors import plain_sentence

KEY = "a" * 64
NOBODY = 65534


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that everyone may enter; the test's own one is its owner's alone."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def someone_else() -> Iterator[None]:
    """Whom permissions hold for: they do not for root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def write_everything(root: Path, priors: PlanPriors) -> None:
    """By every writer that does not simply open a file."""
    song = GeneratedSong(
        index=0,
        request=SongRequest(),
        song=Song("s", 1, ()),
        provenance="by hand",
        latents=np.zeros((1, 3, 4), np.float32),
    )
    store = ArtifactStore(root)
    with store.lock("train", KEY):
        work = store.work("train", KEY)
        module = torch.nn.Linear(2, 1)
        optimizer = torch.optim.AdamW(module.parameters())
        save_state(root / "state" / "checkpoint", module, optimizer, {}, b"best", {"step": 1})
        save_weights(module.state_dict(), work.output / "model.safetensors")
        write_descriptions([song], "by hand", 0, work.output)
        LatentNormalizer(np.zeros((1, 4)), np.ones((1, 4))).write(work.output / "normalizer.json")
        priors.save(work.output / "priors.json")
        rows = [{"song_id": "s", "split": "train", "first_row": 0, "num_bars": 1}]
        latents = np.zeros((3, 4), np.float32)
        write_latents(
            work.output, latents, rows, layout="role", slots_per_bar=3, vae_digest="0" * 64
        )
        parts = {"config": {}, "inputs": {}, "code": {}, "version": 1, "meta": {}}
        ref = store.commit("train", KEY, **parts)
    store.record_run("demo", {"train": ref}, {})
    open_client(root)


@pytest.mark.parametrize(("mask", "mode"), [(0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
def test_every_file_of_a_store_has_the_mode_that_the_umask_gives(
    tmp_path, planned_pair, mask, mode
):
    with umask(mask):
        write_everything(tmp_path / "store", PlanPriors.fit(planned_pair.plans))
    files = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert {"model.safetensors", "latents.safetensors", "latents.arrow", "priors.json"} <= {
        path.name for path in files
    }
    modes = {path.relative_to(tmp_path).as_posix(): path.stat().st_mode & 0o777 for path in files}
    assert modes == dict.fromkeys(modes, mode)


def test_what_may_not_be_read_is_said_and_not_taken_for_damage(shared):
    with umask(0o022):
        store = ArtifactStore(shared / "store")
        work = store.work("train", KEY)
        (work.output / "a.json").write_text("{}")
        parts = {"config": {}, "inputs": {}, "code": {}, "version": 1, "meta": {}}
        ref = store.commit("train", KEY, **parts)
        save_weights({"weight": torch.zeros(1, 2)}, shared / "model.safetensors")
        pl.DataFrame({"song_id": ["s"]}).write_parquet(shared / "songs.parquet")
        rows = [{"song_id": "s", "split": "train", "first_row": 0, "num_bars": 1}]
        write_latents(
            shared,
            np.zeros((3, 4), np.float32),
            rows,
            layout="role",
            slots_per_bar=3,
            vae_digest="0" * 64,
        )
    private = (
        *(ref.folder / "a.json", shared / "model.safetensors"),
        *(shared / "songs.parquet", shared / "latents.arrow"),
    )
    for path in private:
        path.chmod(0o000)
    reads = {
        private[0]: lambda: store.find("train", KEY),
        private[2]: lambda: read_songs(private[2]),
        private[3]: lambda: read_latents(shared),
    }
    for path, read in reads.items():
        with someone_else(), pytest.raises((PermissionError, NotReadable)) as caught:
            read()
        sentence = plain_sentence(caught.value)
        assert sentence is not None
        assert sentence.startswith(f"You may not open {path}: ask whoever made it")
    build = lambda: torch.nn.Linear(2, 1, bias=False)  # noqa: E731
    with someone_else(), pytest.raises(ConfigurationError, match="you may not read it"):
        load_module(build, private[1])
    private[0].chmod(0o644)
    private[0].write_text("[]")
    with someone_else(), pytest.raises(DamagedArtifact):
        store.find("train", KEY)
    with someone_else():
        assert read_json_object(ref.folder / "manifest.json").plain["stage"] == "train"
