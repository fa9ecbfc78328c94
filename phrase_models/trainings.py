"""Every kind of training: its specification, read from JSON, and the module that trains it.

Only the network that is asked for is imported.
"""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from phrase_models.baselines.pianotree.specification import PianoTreeTrainingSpecification
from phrase_models.binomial.specification import BinomialTrainingSpecification
from phrase_models.diffusion.specification import DiffusionTrainingSpecification
from phrase_models.errors import ConfigurationError
from phrase_models.vae.specification import VAETrainingSpecification

AnySpecification = Annotated[
    VAETrainingSpecification
    | PianoTreeTrainingSpecification
    | DiffusionTrainingSpecification
    | BinomialTrainingSpecification,
    Field(discriminator="kind"),
]
SPECIFICATIONS: TypeAdapter[AnySpecification] = TypeAdapter(AnySpecification)
TRAINERS: Mapping[str, str] = {
    "vae": "phrase_models.vae.trainer",
    "pianotree": "phrase_models.baselines.pianotree.trainer",
    "diffusion": "phrase_models.diffusion.trainer",
    "binomial": "phrase_models.binomial.trainer",
}
"""Module of each kind, whose `train` takes (specification, state, output)."""


def read_specification(path: Path) -> AnySpecification:
    """A specification of any kind.

    Raises:
        ConfigurationError: naming the first field that does not do.
    """
    try:
        return SPECIFICATIONS.validate_json(path.read_bytes())
    except FileNotFoundError as error:
        message = f"There is no specification {path}."
        raise ConfigurationError(message) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        message = f"The specification {path} does not do: {where}: {first['msg']}."
        raise ConfigurationError(message) from error


def train(spec: AnySpecification, state: Path, output: Path) -> dict[str, Any]:
    """Train what is asked for, or go on training it.

    Args:
        spec: of any kind.
        state: folder that survives a kill.
        output: folder that gets the model.

    Returns:
        What the training loop says of it (see `phrase_models.training.loop.fit`).
    """
    output.mkdir(parents=True, exist_ok=True)
    result: dict[str, Any] = import_module(TRAINERS[spec.kind]).train(spec, state, output)
    from phrase_models.training.division import leave_processes  # and torch, which is loaded now

    leave_processes()
    return result
