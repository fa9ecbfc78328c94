"""Why a stage must be built again."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from storage.artifacts import ArtifactStore
from storage.code_digest import WIRING
from storage.fingerprint import canonical_json, plain_value
from storage.manifest import Acceptance

UP_TO_DATE = "up to date"
_ABSENT = object()
_SHORT_DIGEST = 12  # letters shown


def explain(
    store: ArtifactStore,
    stage: str,
    key: str,
    *,
    config: Any,
    inputs: Mapping[str, str],
    code: Mapping[str, str],
    version: int,
) -> list[str]:
    """Say what differs between the artifact wanted and the one built last for the same stage.

    Args:
        store: where to look.
        stage: name of the stage.
        key: full fingerprint wanted.
        config: settings in the key.
        inputs: input name to digest.
        code: module name to digest.
        version: version of the stage.

    Returns:
        Plain lines such as "config latent_dim: 64 -> 32"; ["up to date"] if it need not be built.

    Raises:
        DamagedArtifact: if the artifact wanted is damaged.
    """
    if store.refresh_pending(stage, key):
        return ["a refresh was asked for and is not finished"]
    found = store.find(stage, key)
    if found is not None:
        accepted = store.manifest(found).acceptance(key)
        return [_accepted_line(accepted) if accepted else UP_TO_DATE]
    manifests = store.manifests(stage)
    if not manifests:
        return ["never built in this store"]
    last = manifests[0]
    lines = list(_config_lines(last.config, plain_value(config, "config")))
    lines.extend(_input_lines(last.inputs, inputs))
    lines.extend(_code_lines(last.code, code))
    if last.version != version:
        lines.append(f"stage version: {last.version} -> {version}")
    return lines or ["built last under another key from the same parts"]


def _accepted_line(accepted: Acceptance) -> str:
    why = f": {accepted.why}" if accepted.why else ""
    return f"{UP_TO_DATE} (accepted on {accepted.date}{why})"


def _config_lines(old: Any, new: Any) -> Iterator[str]:
    before, after = dict(_flatten(old)), dict(_flatten(new))
    for name in sorted(before.keys() | after.keys()):
        left, right = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if _show(left) != _show(right):
            yield f"config {name}: {_show(left)} -> {_show(right)}"


def _flatten(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _flatten(item, f"{prefix}.{name}" if prefix else name)
    elif prefix:
        yield prefix, value


def _show(value: Any) -> str:
    return "not set" if value is _ABSENT else canonical_json(value)


def _input_lines(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            yield f"input {name} is new"
        elif name not in new:
            yield f"input {name} is no longer read"
        elif old[name] != new[name]:
            left, right = old[name][:_SHORT_DIGEST], new[name][:_SHORT_DIGEST]
            yield f"input {name}: digest {left} -> {right}"


def _code_lines(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    """Modules whose content only one side has; a module that has moved is no difference."""
    before, after = _contents_without(old, new), _contents_without(new, old)
    if not (before or after) and old.get(WIRING) != new.get(WIRING):
        yield "code: imports lead to other modules than before"
    for name in sorted(before | after):
        if name not in old:
            yield f"code module {name} is new"
        elif name not in new:
            yield f"code module {name} is no longer used"
        else:
            yield f"code module {name} changed"


def _contents_without(these: Mapping[str, str], others: Mapping[str, str]) -> set[str]:
    """Names of modules whose content the other side has under no name."""
    spare = Counter(digest for name, digest in others.items() if name != WIRING)
    left: set[str] = set()
    # Those that kept their name first: of two equal files the one that went is then named.
    for name in sorted(these, key=lambda name: (these[name] != others.get(name), name)):
        if name == WIRING:
            continue
        if spare[these[name]]:
            spare[these[name]] -= 1
        else:
            left.add(name)
    return left
