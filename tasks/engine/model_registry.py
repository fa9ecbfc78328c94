"""MLflow's registry of models: versions are written from journals, and aliases and tags moved."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import phrase_models
from tasks.engine import mlflow_sender
from tasks.engine.registration import (
    CANDIDATE,
    GENERATOR,
    IDENTITY_TAG,
    REGISTERED_MODELS,
    TIME_TAG,
)
from tasks.engine.services import ServiceUnreachable

if TYPE_CHECKING:
    from mlflow.models import ModelSignature
    from mlflow.tracking import MlflowClient

REQUIREMENTS = (
    "mlflow",
    "numpy",
    "mido",
    "pydantic",
    "safetensors",
    "scipy",
    "torch",
    "transformers",
)
"""What the generator needs; pinned to what it was registered with."""
MODEL_FILE = Path(__file__).with_name("generator_pyfunc.py")
MAX_DESCRIPTION = 20_000
"""Characters of a description; MLflow takes 100,000 of a tag."""


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model.

    Attributes:
        name: of the registered model.
        number: of the version.
        tags: of the version.
        aliases: that it has.
        description: of the version.
    """

    name: str
    number: int
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    description: str


class ModelRegistry:
    """The registry of the MLflow of a store, or of the one that is named.

    Every method raises `ServiceUnreachable` where MLflow does not answer.

    Args:
        store: folder of the store.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        with _answering():
            self.client = mlflow_sender.open_client(store)

    def versions(self, name: str = GENERATOR) -> list[ModelVersion]:
        """All versions, the newest first."""
        with _answering():
            found = _search_versions(self.client, name)
            return [self._read(name, item.version) for item in found]

    def version(self, number: int, name: str = GENERATOR) -> ModelVersion | None:
        """One version, None where there is none."""
        return next((item for item in self.versions(name) if item.number == number), None)

    def of_alias(self, alias: str, name: str = GENERATOR) -> ModelVersion | None:
        """The version of an alias, None where there is none."""
        with _answering():
            number = _alias(self.client, name, alias)
            return None if number is None else self._read(name, number)

    def set_alias(self, alias: str, version: ModelVersion) -> None:
        """Move an alias to a version."""
        with _answering():
            self.client.set_registered_model_alias(version.name, alias, str(version.number))

    def set_tags(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        with _answering():
            _set_tags(self.client, version.name, version.number, tags)

    def describe(self, version: ModelVersion, text: str) -> None:
        """Replace the description of a version."""
        with _answering():
            self.client.update_model_version(
                version.name, str(version.number), text[:MAX_DESCRIPTION]
            )

    def _read(self, name: str, number: Any) -> ModelVersion:
        item = self.client.get_model_version(name, str(number))
        return ModelVersion(
            name, int(item.version), dict(item.tags), tuple(item.aliases), item.description or ""
        )


@contextmanager
def _answering() -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        where = mlflow_sender.named_uri() or "the store"
        message = f"The registry of models in MLflow ({where}) does not answer: {error}"
        raise ServiceUnreachable(" ".join(message.split())) from error


# ------------------------------------------------------------------- what journals become
def register(client: MlflowClient, run_id: str, folder: Path, content: Mapping[str, Any]) -> None:
    """Make a version of what a journal says, or find it, and make it the candidate.

    An alias that a later registration has taken stays where it is: journals may be sent late.

    Args:
        client: of MLflow.
        run_id: run that keeps the files.
        folder: files that go along.
        content: name, identity, tags and settings of a `Registration`.
    """
    name, tags = content["name"], dict(content["tags"])
    _ensure_model(client, name)
    number = _find(client, name, content["identity"])
    if number is None:
        place = f"models/{name}"
        with TemporaryDirectory() as scratch:
            logged = folder
            if content["settings"] is not None:
                logged = Path(scratch) / name
                save_generator(folder, logged, content["settings"])
            client.log_artifacts(run_id, str(logged), place)
        source = f"{client.get_run(run_id).info.artifact_uri}/{place}"
        made = client.create_model_version(
            name, source, run_id, tags={**tags, IDENTITY_TAG: content["identity"]}
        )
        number = int(made.version)
    else:
        _set_tags(client, name, number, tags)
    standing = _alias(client, name, CANDIDATE)
    if standing is not None and standing != number:
        rival = client.get_model_version(name, str(standing)).tags.get(TIME_TAG, "")
        if rival > tags[TIME_TAG]:
            return
    client.set_registered_model_alias(name, CANDIDATE, str(number))


def save_generator(models: Path, folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the generator as MLflow loads it: weights, code and pinned requirements; no pickle.

    Args:
        models: folder of both models, as a release (see `phrase_models.phrase_ldm`).
        folder: to write.
        settings: `digest` of the diffusion model, by which songs name it.
    """
    import mlflow.pyfunc

    code = Path(phrase_models.__file__).parent
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an example of an input would be run, for minutes maybe
        mlflow.pyfunc.save_model(
            path=str(folder),
            python_model=str(MODEL_FILE),
            artifacts={"models": str(models)},
            model_config=dict(settings),
            signature=signature(),
            pip_requirements=pinned_requirements(),
            code_paths=[str(code)],
        )


def pinned_requirements() -> list[str]:
    """Packages of the generator with the versions that run here; of torch without its build."""
    return [f"{name}=={installed_version(name).partition('+')[0]}" for name in REQUIREMENTS]


def signature() -> ModelSignature:
    """A row a song, by its number; parameters as the options of `phraseldm generate`."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    params = (
        ("seed", "long", 0),
        ("num_bars", "long", None),
        ("sections", "string", None),
        ("form", "string", None),
        ("chords", "string", None),
        ("texture", "string", None),
        ("key", "string", "C"),
        ("tempo", "double", 90.0),
        ("plans", "string", None),
        ("variation", "double", 0.0),
        ("steps", "long", None),
        ("guidance", "double", None),
    )
    columns = (
        ("song", "long"),
        ("midi_base64", "string"),
        ("num_bars", "long"),
        ("num_notes", "long"),
        ("sections", "string"),
    )
    return ModelSignature(
        inputs=Schema([ColSpec("long", "song")]),
        outputs=Schema([ColSpec(kind, name) for name, kind in columns]),
        params=ParamSchema([ParamSpec(name, kind, usual) for name, kind, usual in params]),
    )


def _ensure_model(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        try:
            client.create_registered_model(name, description=REGISTERED_MODELS[name])
        except MlflowException as other:
            if other.error_code != "RESOURCE_ALREADY_EXISTS":  # another process was quicker
                raise


def _search_versions(client: MlflowClient, name: str) -> list[Any]:
    found: list[Any] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(
            f"name = '{name}'", order_by=["version_number DESC"], page_token=token
        )
        found += page
        token = page.token
        if not token:
            return found


def _find(client: MlflowClient, name: str, identity: str) -> int | None:
    for item in _search_versions(client, name):
        if item.tags.get(IDENTITY_TAG) == identity:
            return int(item.version)
    return None


def _alias(client: MlflowClient, name: str, alias: str) -> int | None:
    from mlflow.exceptions import MlflowException

    try:
        aliases = client.get_registered_model(name).aliases
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return int(aliases[alias]) if alias in aliases else None


def _set_tags(client: MlflowClient, name: str, number: int, tags: Mapping[str, str]) -> None:
    for tag, value in tags.items():
        client.set_model_version_tag(name, str(number), tag, value)
