"""Models in the registry: registered, through outages too, promoted, rolled back, used."""

import json
from pathlib import Path

import pytest

from phrase_models.errors import UserError
from storage.champions import kept_artifacts, read_champions, write_champions
from storage.errors import MissingArtifact, StorageError
from tasks.engine import mlflow_sender
from tasks.engine.mlflow_sender import open_client
from tasks.engine.model_registry import ModelRegistry
from tasks.engine.registration import GENERATOR, PHRASE_LDM, PHRASE_VAE
from tasks.engine.services import ServiceUnreachable
from tasks.engine.tracking import Sent, Tracking
from tasks.promotion.champions import describe, promote, rollback, version_of

pytestmark = pytest.mark.slow


@pytest.fixture
def registry(tracked_store) -> ModelRegistry:
    return ModelRegistry(tracked_store.root)


@pytest.fixture
def away(monkeypatch):
    """Functions that take MLflow away and bring it back."""

    def refuse(_):
        raise ConnectionError("no route to MLflow")

    def leave():
        monkeypatch.setattr(mlflow_sender, "open_client", refuse)

    return leave, lambda: monkeypatch.setattr(mlflow_sender, "open_client", open_client)


def numbers(registry: ModelRegistry) -> dict[str, int | None]:
    found = {alias: registry.of_alias(alias) for alias in ("candidate", "champion")}
    return {alias: item.number if item else None for alias, item in found.items()}


# ------------------------------------------------------------------------------- registration
def test_the_models_of_a_run_are_registered_as_candidates(register, registry, pair_store):
    register()
    refs = pair_store.refs
    for name, ref in ((PHRASE_VAE, refs["train_vae"]), (PHRASE_LDM, refs["train_diffusion"])):
        version = registry.of_alias("candidate", name)
        assert version.number == 1
        assert version.tags["artifact_key"] == ref.key
        assert version.tags["artifact_digest"] == ref.digest
    version = registry.of_alias("candidate")
    assert version.tags["artifact.train_diffusion"] == refs["train_diffusion"].key
    assert (version.tags["latent_dim"], version.tags["preset"]) == ("16", "smoke")
    assert version.tags["git_commit"].rstrip("+").isalnum()
    assert len(version.tags["artifact_key"]) == 64


def test_the_generator_goes_along_whole_pinned_and_without_pickle(register, registry):
    register()
    client = registry.client
    made = client.get_model_version(GENERATOR, "1")
    folder = Path(client.download_artifacts(made.run_id, f"models/{GENERATOR}"))
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"python_env.yaml", "requirements.txt", "MLmodel", "generator_pyfunc.py"} <= files
    weights = {name.split("/")[-2] for name in files if name.endswith(".safetensors")}
    assert weights == {"vae", "ldm"}
    assert "code/phrase_models/phrase_ldm.py" in files
    assert not {name for name in files if name.endswith((".pkl", ".pickle", ".pt", ".pyc"))}
    pinned = (folder / "requirements.txt").read_text().split()
    assert all("==" in line and "+" not in line for line in pinned)
    assert {line.partition("==")[0] for line in pinned} >= {"torch", "mlflow", "numpy"}


def test_the_same_models_are_one_version_and_their_run_one_run(register, registry):
    register()
    register(1)
    assert numbers(registry)["candidate"] == 2
    register()  # everything cached: the candidate is the newest run's again, and nothing is new
    assert numbers(registry)["candidate"] == 1
    assert len(registry.versions()) == 2
    assert len(registry.versions(PHRASE_VAE)) == 1
    experiment = registry.client.get_experiment_by_name("phrase-ldm/pipeline")
    assert len(registry.client.search_runs([experiment.experiment_id])) == 2


def test_registration_waits_while_mlflow_is_away_and_comes_once(
    register, registry, tracked_store, away
):
    leave, come_back = away
    leave()
    register()
    come_back()
    assert registry.versions() == []
    tracking = Tracking(tracked_store.root)
    assert tracking.send_waiting() == Sent(sent=1, left=0)
    assert tracking.send_waiting() == Sent(sent=0, left=0)
    assert numbers(registry) == {"candidate": 1, "champion": None}
    assert len(registry.versions()) == len(registry.versions(PHRASE_LDM)) == 1


def test_what_is_sent_late_does_not_take_the_alias_back(register, registry, tracked_store, away):
    leave, come_back = away
    leave()
    register()
    come_back()
    register(1)
    newest = numbers(registry)["candidate"]
    Tracking(tracked_store.root).send_waiting()
    assert len(registry.versions()) == 2
    assert numbers(registry)["candidate"] == newest


def test_an_untracked_run_registers_nothing(register, registry):
    register(enabled=False)
    assert registry.versions() == []


# ---------------------------------------------------------------------------------- promotion
def test_a_better_model_is_promoted_a_worse_and_a_memorising_one_are_not(
    register, registry, measured_model
):
    models = {1: {}, 2: {"f1": 0.8}, 3: {"num_memorised": 4}, 4: {"f1": 0.95}}
    outcomes = {}

    def measure(version, _):
        return measured_model(f"version {version.number}", **models[version.number])

    for number in models:
        register(number)
        dry = promote(registry, measure, dry_run=True)
        assert dry.text.endswith("Nothing was changed.")
        assert "gate" not in registry.version(number).tags
        outcomes[number] = promote(registry, measure)
        assert dry.refused == outcomes[number].refused
    assert {number: item.refused for number, item in outcomes.items()} == {
        1: False,
        2: True,
        3: True,
        4: False,
    }
    assert numbers(registry) == {"candidate": 4, "champion": 4}
    worse, memorising, better = (registry.version(number) for number in (2, 3, 4))
    assert worse.tags["gate"] == memorising.tags["gate"] == "refused"
    assert worse.tags["gate_reasons"].startswith("F1 of onset and pitch, held-out songs: 0.8000")
    assert memorising.tags["gate_reasons"].startswith("4 of its 20 songs are memorised")
    assert (better.tags["gate"], better.tags["gate_against"]) == ("accepted", "version 1")
    assert "| 0.9500 | 0.9000 | -0.0500 [-0.0500, -0.0500] | better |" in better.description
    assert registry.of_alias("champion", PHRASE_VAE).number == 1
    assert promote(registry, measure).text == "Version 4 is the champion already."


def test_rollback_goes_back_through_the_champions(register, registry, measured_model):
    def measure(version, _):
        return measured_model(f"version {version.number}", f1=0.6 + 0.1 * version.number)

    for number in (1, 2, 3):
        register(number)
        promote(registry, measure)
    assert rollback(registry) == (
        f"Version 2 of {GENERATOR} is the champion again, in place of version 3."
    )
    assert numbers(registry) == {"candidate": 3, "champion": 2}
    with pytest.raises(UserError, match="Version 3 was rolled back"):
        promote(registry, measure)
    rollback(registry)
    assert numbers(registry)["champion"] == 1
    with pytest.raises(MissingArtifact, match="nothing to roll back to"):
        rollback(registry)
    times = {item.number: json.loads(item.tags["champion_times"]) for item in registry.versions()}
    assert {number: len(spans) for number, spans in times.items()} == {1: 2, 2: 2, 3: 1}
    assert [end is None for _, end in times[1]] == [False, True]
    said = describe(registry)
    assert said.splitlines()[0].startswith("champion   version 1, preset smoke, latent size 16")
    assert said.splitlines()[1].startswith("candidate  version 3")
    assert len(said.splitlines()) == 2 + 5


def test_the_store_remembers_champions_for_outages_and_for_clearing(
    register, registry, measured_model, tracked_store, away
):
    def measure(version, _):
        return measured_model(f"version {version.number}", f1=0.7 + 0.1 * version.number)

    with pytest.raises(MissingArtifact, match="There is no champion"):
        version_of(tracked_store.root, "champion")
    for number in (1, 2):
        register(number)
        promote(registry, measure)
    assert [item.number for item in read_champions(tracked_store.root)] == [2, 1]
    keys = {item.tags["artifact.ingest_songs"] for item in registry.versions()}
    kept = kept_artifacts(tracked_store.root)
    assert keys <= kept.keys()
    assert set(kept.values()) <= {"champion", "champion before"}
    leave, _ = away
    leave()
    assert version_of(tracked_store.root, "champion").number == 2
    with pytest.raises(ServiceUnreachable):
        version_of(tracked_store.root, "candidate")


def test_a_damaged_record_of_champions_is_one_sentence(tmp_path):
    write_champions(tmp_path, [])
    assert read_champions(tmp_path) == []
    (tmp_path / "champions.json").write_text("{}")
    with pytest.raises(StorageError, match=r"champions.json is damaged: remove it"):
        read_champions(tmp_path)


def test_a_candidate_that_cannot_be_measured_costs_no_measuring_of_the_champion(
    register, registry, measured_model
):
    register(1)
    promote(registry, lambda *_: measured_model("x"))
    register(2)
    asked = []

    def measure(version, _):
        asked.append(version.number)
        raise MissingArtifact("It is gone.")

    with pytest.raises(MissingArtifact):
        promote(registry, measure)
    assert asked == [2]


def test_without_a_candidate_it_is_one_sentence(registry, measured_model):
    with pytest.raises(MissingArtifact, match="There is no candidate"):
        promote(registry, lambda *_: measured_model("x"))
    with pytest.raises(MissingArtifact, match="is registered"):
        describe(registry)


# --------------------------------------------------------------------------------------- songs
def test_the_loaded_model_writes_the_bytes_of_the_command_line(
    register, registry, measured_model, tracked_store, tmp_path, capsys, monkeypatch
):
    import base64

    import mlflow
    import pandas as pd
    from mlflow.exceptions import MlflowException

    from tasks.music.songs import generate

    register()
    promote(registry, lambda *_: measured_model("x"))
    root = tracked_store.root
    monkeypatch.chdir(tmp_path)  # MLflow's own functions make a database where they are called
    mlflow.set_registry_uri(f"sqlite:///{root}/mlflow/mlflow.db")
    model = mlflow.pyfunc.load_model(f"models:/{GENERATOR}@champion")
    request = {"sections": "A4 B2", "seed": 5}
    texture = "? . 13aac\n" * 6
    (tmp_path / "texture.txt").write_text(texture)
    table = model.predict(
        pd.DataFrame({"song": [1]}),
        params={**request, "guidance": 2.0, "tempo": 101.5, "texture": texture},
    )
    generate(
        root, tmp_path / "out", model=Path("champion"), num_songs=2, audio_seconds=0.2,
        sampling={"guidance_scale": 2.0}, tempo_bpm=101.5, texture=tmp_path / "texture.txt",
        **request,
    )  # fmt: skip
    written = (tmp_path / "out" / "midi" / "song-001.mid").read_bytes()
    assert base64.b64decode(table["midi_base64"][0]) == written
    assert (table["num_bars"][0], table["sections"][0]) == (6, "A4 B2")
    said = capsys.readouterr().out.replace("\n", " ")
    assert f"Songs by version 1 of {GENERATOR} (champion): train_vae/{'a' * 20}" in said
    with pytest.raises(MlflowException, match="is not a list of letters"):
        model.predict(pd.DataFrame({"song": [0]}), params={"sections": "verse"})
    with pytest.raises(MlflowException, match="At most 64 songs"):
        model.predict(pd.DataFrame({"song": range(65)}))
