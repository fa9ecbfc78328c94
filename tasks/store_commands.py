"""Looking through a store and clearing it: what `phraseldm store` does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from phrase_models.errors import ConfigurationError, UserError
from storage.champions import kept_artifacts
from storage.collection import MIN_KEY_LETTERS, Collection, StoredArtifact, plan_collection
from storage.errors import MissingArtifact
from storage.inventory import (
    Inventory,
    newest_run_keys,
    open_inventory,
    read_pins,
    write_pins,
)
from storage.opening import existing_store, shared_store, store_address

READERS = 8
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def list_artifacts(root: Path) -> str:
    """A line for each artifact: stage, key, size, age and mark; by stage, the newest first.

    Raises:
        MissingArtifact: if there is no store.
    """
    inventory = open_inventory(existing_store(root))
    kept = {**kept_artifacts(root), **read_pins(inventory)}
    artifacts = _by_stage(inventory.artifacts())
    now = time.time()
    rows = [("stage", "key", "size", "age", "")]
    rows += [
        (
            *item.place,
            _size(item.bytes),
            _age(now - item.committed),
            ", ".join(reason for key, reason in kept.items() if item.is_named(key)),
        )
        for item in artifacts
    ]
    total = _size(sum(item.bytes for item in artifacts))
    return f"{_table(rows)}\n{len(artifacts)} artifacts, {total}, in {store_address(root)}"


def show_artifact(root: Path, key: str) -> str:
    """What the manifest of an artifact says, what it was made of, and what was made of it.

    Args:
        root: working folder of the store.
        key: of the artifact, or its beginning.

    Raises:
        MissingArtifact: if no artifact, or more than one, has the key.
    """
    inventory = open_inventory(existing_store(root))
    artifacts = inventory.artifacts()
    item = _the_one(artifacts, key, root)
    manifest = item.manifest
    by_digest = {other.manifest.digest: other for other in reversed(_by_stage(artifacts))}
    lines = [
        f"stage     {manifest.stage}, version {manifest.version}",
        f"key       {manifest.key}",
        f"digest    {manifest.digest}",
        f"committed {_age(time.time() - item.committed)} ago, {_size(item.bytes)}",
        f"made by   {inventory.maker(item) or 'unknown'}",
    ]
    for name, digest in sorted(manifest.inputs.items()):
        made = by_digest.get(digest)
        told = f"{made.place[0]} {made.place[1]}" if made else "not in this store"
        lines.append(f"input     {name}: {told} (digest {digest[:12]})")
    users = (other for other in artifacts if manifest.digest in other.manifest.inputs.values())
    lines += [f"used by   {other.place[0]} {other.place[1]}" for other in _by_stage(users)]
    for accepted in manifest.accepted:
        lines.append(f"accepted  for other code on {accepted.date}: {accepted.why or 'no reason'}")
    lines += [
        f"file      {record.path}, {_size(record.bytes)}, sha256 {record.sha256[:12]}"
        for record in manifest.files
    ]
    lines += [f"meta      {json.dumps(manifest.meta, indent=1, ensure_ascii=False)}"]
    lines += [f"config    {json.dumps(manifest.config, indent=1, ensure_ascii=False)}"]
    return "\n".join(lines)


def verify_artifacts(root: Path, keys: Sequence[str], say: Callable[[str], None]) -> str:
    """Read every file of a store, or of some artifacts, and compare it with its digest.

    Args:
        root: working folder of the store.
        keys: of artifacts; all of them where there are none.
        say: told of each file that is damaged.

    Raises:
        DamagedStore: if one is.
    """
    inventory = open_inventory(existing_store(root))
    complaints: list[str] = []
    artifacts = inventory.artifacts(complaints)
    if keys:
        complaints.clear()
    chosen = [_the_one(artifacts, key, root) for key in keys] if keys else _by_stage(artifacts)
    with ThreadPoolExecutor(READERS) as pool:
        found = [*pool.map(inventory.damage, chosen)]
    for line in (*complaints, *(line for lines in found for line in lines)):
        say(line)
    count = len(complaints) + sum(map(bool, found))
    if count:
        message = (
            f"{count} of {len(chosen) + len(complaints)} artifacts are damaged, as said above."
        )
        raise DamagedStore(message)
    size = _size(sum(item.bytes for item in chosen))
    return f"{len(chosen)} artifacts, {size}: every file is what its manifest says."


class DamagedStore(UserError):  # noqa: N818 - named for what is wrong
    """Some of a store's files are damaged."""


def clear_store(root: Path, *, last: int, delete: bool, cache: bool = False) -> str:
    """Say what may go from a store, or remove it; champions and pins stay.

    Args:
        root: working folder of the store.
        last: how many of each stage stay at least.
        delete: whether it is removed.
        cache: whether of a shared store only this machine's copies are meant.

    Returns:
        A line for each artifact that goes, those that stay counted by reason, and the bytes.
    """
    store = existing_store(root)
    inventory = open_inventory(store, working_store=cache)
    plan = plan_collection(
        inventory.artifacts(),
        keep={**kept_artifacts(root), **read_pins(open_inventory(store))},
        newest_run=newest_run_keys(store),
        last=last,
        in_use=inventory.in_use(certain=delete),
    )
    leftovers = inventory.leftovers()
    lines = [*_told_plan(plan)]
    size = sum(item.bytes for item in plan.dropped) + sum(size for _, size in leftovers)
    if leftovers:
        lines.append(f"{len(leftovers)} files that belong to no artifact")
    if not delete:
        count = len(plan.dropped)
        lines.append(f"{count} artifacts, {_size(size)}, would go: --delete removes them.")
        return "\n".join(lines)
    removed, busy = _remove(inventory, plan)
    inventory.remove_leftovers()
    freed = sum(item.bytes for item in removed) + sum(size for _, size in leftovers)
    lines.append(f"{len(removed)} artifacts, {_size(freed)}, were removed.")
    if busy:
        lines.append(f"{len(busy)} stay, as they are in use now or nowhere else.")
    return "\n".join(lines)


def _remove(
    inventory: Inventory, plan: Collection
) -> tuple[list[StoredArtifact], list[StoredArtifact]]:
    """Remove the artifacts of a plan; what of them went, and what could not."""
    removed: list[StoredArtifact] = []
    busy: list[StoredArtifact] = []
    for item in plan.dropped:
        (removed if inventory.remove(item) else busy).append(item)
    return removed, busy


def sync_store(root: Path, *, pull: bool) -> str:
    """Publish what only this machine has of a shared store, or fetch what it lacks.

    Raises:
        StorageError: if the store is a folder.
    """
    store = shared_store(root)
    if pull:
        listed = _by_stage(open_inventory(store).artifacts())
        here = {item.place for item in open_inventory(store, working_store=True).artifacts()}
        missing = [item for item in listed if item.place not in here]
        for item in missing:
            store.find(item.manifest.stage, item.manifest.key)
        size = _size(sum(item.bytes for item in missing))
        return f"{len(missing)} artifacts, {size}, were fetched from {store_address(root)}."
    local = _by_stage(open_inventory(store, working_store=True).artifacts())
    sent = [item for item in local if store.publish(item.manifest.stage, item.manifest.key)]
    size = _size(sum(item.bytes for item in sent))
    return f"{len(sent)} artifacts, {size}, were published to {store_address(root)}."


def pin_artifact(root: Path, key: str, reason: str) -> str:
    """Have clearing keep an artifact, with all that it was made of.

    Raises:
        MissingArtifact: if no artifact, or more than one, has the key.
    """
    inventory = open_inventory(existing_store(root))
    item = _the_one(inventory.artifacts(), key, root)
    write_pins(inventory, {**read_pins(inventory), item.manifest.key: reason})
    return f"{item.place[0]} {item.place[1]} is kept: {reason}."


def unpin_artifact(root: Path, key: str) -> str:
    """Take pins back.

    Raises:
        MissingArtifact: if none has the key.
    """
    inventory = open_inventory(existing_store(root))
    pins = read_pins(inventory)
    left = {pinned: reason for pinned, reason in pins.items() if not pinned.startswith(key)}
    if len(left) == len(pins):
        message = f"Nothing is pinned under {key} in {store_address(root)}."
        raise MissingArtifact(message)
    write_pins(inventory, left)
    return f"{len(pins) - len(left)} pins were taken back."


def _told_plan(plan: Collection) -> list[str]:
    now = time.time()
    lines = [f"{key} is to be kept and is not in this store." for key in plan.unknown]
    rows = [(*item.place, _size(item.bytes), _age(now - item.committed)) for item in plan.dropped]
    if rows:
        lines.append(_table(rows))
    size = _size(sum(item.bytes for item, _ in plan.kept))
    return [*lines, f"{len(plan.kept)} artifacts, {size}, stay."]


def _by_stage(artifacts: Iterable[StoredArtifact]) -> list[StoredArtifact]:
    return sorted(
        artifacts,
        key=lambda item: (item.manifest.stage, -item.committed, item.manifest.key),
    )


def _the_one(artifacts: Sequence[StoredArtifact], key: str, root: Path) -> StoredArtifact:
    if len(key) < MIN_KEY_LETTERS:
        message = f"{key!r} is no key: write at least its first {MIN_KEY_LETTERS} letters."
        raise ConfigurationError(message)
    found = [item for item in artifacts if item.is_named(key)]
    if len(found) != 1:
        many = "more than one artifact" if found else "no artifact"
        message = (
            f"There is {many} with the key {key} in {store_address(root)}: see "
            "`phraseldm store ls`."
        )
        raise MissingArtifact(message)
    return found[0]


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _size(count: float) -> str:
    for unit in _UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {_UNITS[-1]}"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
