"""The training process: `python -m phrase_models.train --spec FILE --state DIR --output DIR`.

Reads a specification in JSON, by the model that wrote it, and needs no orchestrator, tracker or
table format, so it runs on a bare GPU machine. Only the network that is asked for is imported.
"""

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from phrase_models.baselines.pianotree.specification import PianoTreeTrainingSpecification
from phrase_models.binomial.specification import BinomialTrainingSpecification
from phrase_models.diffusion.specification import DiffusionTrainingSpecification
from phrase_models.errors import ConfigurationError, UserError
from phrase_models.training.watchdog import exit_with_parent
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


LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
"""Whoever started the training looks for the word WARNING."""


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
    return result


def main() -> int:
    """Train by specification; exit code 2 and one sentence for what the user can mend."""
    parser = argparse.ArgumentParser(description="Train one model by a specification file.")
    parser.add_argument("--spec", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True, help="survives a kill; resumed from")
    parser.add_argument("--output", type=Path, required=True, help="gets the finished model")
    parser.add_argument("--parent", type=int, help="process to end with")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    if arguments.parent:
        exit_with_parent(arguments.parent)
    try:
        result = train(read_specification(arguments.spec), arguments.state, arguments.output)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    (arguments.output / "result.json").write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
