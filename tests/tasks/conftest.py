"""Stages that need no model, and an MLflow database that is made once."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from storage.artifacts import ArtifactStore


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory) -> Path:
    """An empty MLflow database; making its tables takes seconds."""
    from tasks.engine.mlflow_sender import open_client

    store = tmp_path_factory.mktemp("mlflow")
    open_client(store).search_experiments()
    return store / "mlflow" / "mlflow.db"


@pytest.fixture
def tracked_store(tmp_path, migrated_database, monkeypatch) -> ArtifactStore:
    """A store whose MLflow database has its tables."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "store" / "mlflow"
    folder.mkdir(parents=True)
    shutil.copy(migrated_database, folder / "mlflow.db")
    return ArtifactStore(tmp_path / "store")


@pytest.fixture
def metric_steps() -> Callable[..., list[tuple[int, float]]]:
    """(step, value) of every point of a metric of an MLflow run."""

    def read(client, run_id: str, name: str) -> list[tuple[int, float]]:
        return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]

    return read


class VAEStore:
    """A store as a run leaves it, around a VAE that learnt nothing; no run is recorded.

    Attributes:
        vae: as it was saved.
        refs: the artifact of each stage.
    """

    FIGURES: Mapping[str, Any] = {
        "num_phrases": 57,
        "f1_op": 0.98765,
        "f1_op_interval": [0.97, 0.99],
        "f1_opd": None,
        "f1_opd_interval": [None, None],
    }

    STEPS: Mapping[str, Any] = {"steps": 1200, "best_step": 1100}

    def __init__(self, root: Path, source: str) -> None:
        import torch

        from phrase_models.vae.model import PhraseVAE
        from tasks.settings.presets import load_preset

        self.store = ArtifactStore(root)
        self.config = load_preset("smoke")
        torch.manual_seed(0)
        self.vae = PhraseVAE(self.config.vae).eval()
        self.refs: dict[str, Any] = {}
        corpus = {"POP909-Dataset": "0" * 64}
        if source == "synthetic":
            self.commit("compose_corpus", self.config.source.synthetic, {})
            corpus = {"corpus": self.refs["compose_corpus"].digest}
        self._commit_tables(source, corpus)
        self._commit_trainings()
        self.commit(
            "score_reconstruction", {}, {"vae": self.refs["train_vae"].digest}, self.FIGURES
        )

    def _commit_tables(self, source: str, corpus: Mapping[str, str]) -> None:
        ingest = {
            "source": source,
            "settings": {},
            "ingest": self.config.ingest,
            "validation_fraction": self.config.split.validation_fraction,
            "max_songs": 5,
        }
        songs = {"num_songs": 8, "num_accepted": 6, "reasons": {}}
        self.commit("ingest_songs", ingest, corpus, songs)
        counts = {"num_bars": 135, "num_phrases": 314, "num_notes": 2613}
        counts |= {"num_validation_songs": 2}
        self.commit("tokenise_songs", {}, {"songs": self.refs["ingest_songs"].digest}, counts)

    def _commit_trainings(self) -> None:
        inputs = {"tables": self.refs["tokenise_songs"].digest}
        for phase in ("infilling", "vae"):
            config = self.training(phase, "phrase")
            ref = self.commit(f"train_{phase}", config, inputs, self.STEPS)
            inputs = inputs | {"start_from": ref.digest}

    def training(self, phase: str, granularity: str) -> dict[str, Any]:
        """Configuration of a training: that of the preset, but for its seed."""
        sections = {"infilling": self.config.infilling, "decoder": self.config.decoder}
        settings = sections.get(phase, self.config.bottleneck)
        return {
            "phase": phase,
            "architecture": self.config.vae.model_copy(update={"granularity": granularity}),
            "objective": settings.objective,
            "training": settings.training.model_copy(update={"seed": 7}),
        }

    def commit(
        self,
        stage: str,
        config: Any,
        inputs: Mapping[str, str],
        meta: Mapping[str, Any] | None = None,
        key: str = "a" * 64,
    ) -> Any:
        """One more artifact; those of the trainings hold the weights."""
        from phrase_models.vae.pretrained import save_vae

        with self.store.lock(stage, key):
            work = self.store.work(stage, key)
            (work.output / "name.txt").write_text(f"{stage} {key}")  # so that no digests are equal
            if stage.startswith(("train_", "tune_")):
                save_vae(self.vae, stage.partition("_")[2], work.output)
            self.refs[stage] = self.store.commit(
                stage, key, config=config, inputs=inputs, code={}, version=1, meta=meta or {}
            )
        return self.refs[stage]


@pytest.fixture
def make_vae_store(tmp_path) -> Callable[[str], VAEStore]:
    """A store with a VAE, by the source of its songs."""
    return lambda source: VAEStore(tmp_path / "store", source)


@pytest.fixture
def pair_store(make_vae_store, planned_ldm) -> VAEStore:
    """A store of a run with both models, of which the diffusion model knows form and chords."""
    import json

    made = make_vae_store("synthetic")
    key = "d" * 64
    with made.store.lock("train_diffusion", key):
        work = made.store.work("train_diffusion", key)
        planned_ldm(work.output, made.config.vae.latent_dim)
        config = json.loads((work.output / "config.json").read_text())["config"]
        training = {"training": made.config.diffusion, "denoiser": config["denoiser"]}
        made.refs["train_diffusion"] = made.store.commit(
            "train_diffusion", key, config=training, inputs={"vae": made.refs["train_vae"].digest},
            code={}, version=1, meta=VAEStore.STEPS,
        )  # fmt: skip
    generation = {"sampler": {"num_sampling_steps": 3, "guidance_scale": 1.5}}
    refs = {name: made.refs[name] for name in ("train_vae", "train_diffusion")}
    made.store.record_run("smoke", refs, {"generation": generation})
    return made
