"""The training process: `python -m phrase_models.train --spec FILE --state DIR --output DIR`.

Reads a specification in JSON, by the model that wrote it, and needs no orchestrator, tracker or
table format, so it runs on a bare GPU machine. It watches its parent before it imports what trains,
which may take as long as a minute on a busy machine.
"""

import argparse
import json
import logging
import os
import sys
from pathlib import Path

from phrase_models.errors import UserError
from phrase_models.training.local_processes import (
    LOST_CODE,
    RENDEZVOUS,
    LostProcessError,
    process_rank,
    run_processes,
    started_together,
)
from phrase_models.training.watchdog import exit_with_parent

LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"
"""Whoever started the training looks for the word WARNING."""


def main() -> int:
    """Train by specification; exit code 2 and one sentence for what the user can mend."""
    parser = argparse.ArgumentParser(description="Train one model by a specification file.")
    parser.add_argument("--spec", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True, help="survives a kill; resumed from")
    parser.add_argument("--output", type=Path, required=True, help="gets the finished model")
    parser.add_argument("--parent", type=int, help="process to end with")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    if arguments.parent or started_together():
        exit_with_parent(arguments.parent or os.getppid())
    from phrase_models.trainings import read_specification, train

    try:
        spec = read_specification(arguments.spec)
        if spec.hardware.num_processes > 1 and not started_together():
            command = [sys.executable, "-m", "phrase_models.train", *sys.argv[1:]]
            command += ["--parent", str(os.getpid())]
            return run_processes(command, spec.hardware.num_processes)
        result = train(spec, arguments.state, arguments.output)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except LostProcessError as error:
        if RENDEZVOUS not in os.environ:  # else who started it knows more
            sys.stderr.write(f"{error}\n")
        return LOST_CODE
    if process_rank() == 0:
        (arguments.output / "result.json").write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
