"""Checkpoints of a training under way, published so that another machine can go on with them."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from phrase_models.training.generations import DIGESTS_FILE
from storage.errors import StorageError
from storage.fingerprint import digest_file

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext

logger = logging.getLogger(__name__)
CHECKPOINT = "checkpoint"
BESIDE = ("metrics.jsonl", "seconds.json", "mlflow_run_id")
"""What goes on with a checkpoint: its learning curves, its time, its tracked run."""
STOP_SECONDS = 1.0


@contextmanager
def sharing_checkpoints(context: StageContext) -> Iterator[None]:
    """Publish the newest checkpoint every so often, where the store has other machines.

    A thread of its own does it, and what goes wrong is said and ends nothing.
    """
    if context.share_state is None:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_share, args=(context, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(STOP_SECONDS)  # one that still uploads publishes nothing by halves


def _share(context: StageContext, ended: threading.Event) -> None:
    published = ""
    while not ended.wait(context.runtime.share_state_every):
        try:
            published = share_newest(context, published)
        except (StorageError, OSError) as error:
            logger.warning("The checkpoint of %s is not published: %s", context.stage, error)


def share_newest(context: StageContext, published: str) -> str:
    """Publish the newest checkpoint unless it is the one that was published last.

    Args:
        context: of the stage, whose store shares states.
        published: what this returned for the last one, or "".

    Returns:
        What identifies the checkpoint.
    """
    aside = context.state.with_name("shared")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        newest = snapshot(context.state, aside)
        if newest and newest != published and context.share_state is not None:
            context.share_state(aside)
            return newest
        return published
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def snapshot(state: Path, target: Path) -> str:
    """Copy the newest whole checkpoint of a training that goes on meanwhile.

    Args:
        state: of the training.
        target: folder to be made.

    Returns:
        The text of the checkpoint's digests; "" where there is none, or a newer one took its place
        just now.
    """
    source = state / CHECKPOINT
    (target / CHECKPOINT).mkdir(parents=True)
    try:
        told = (source / DIGESTS_FILE).read_text()
        digests: dict[str, str] = json.loads(told)
        for name, digest in digests.items():
            # Files of a checkpoint are never changed, so that a second name for them is enough.
            os.link(source / name, target / CHECKPOINT / name)
            if digest_file(target / CHECKPOINT / name) != digest:
                return ""
    except (OSError, ValueError):
        return ""
    (target / CHECKPOINT / DIGESTS_FILE).write_text(told)
    for name in BESIDE:
        if (state / name).is_file():
            shutil.copyfile(state / name, target / name)
    return told
