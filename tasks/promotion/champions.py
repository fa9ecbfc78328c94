"""The champion of a registry: promoted through the gate, rolled back, looked up.

Its alias says which version it is; tags of the versions say when each was it and which one was
before. A copy of the newest state is kept in the store (`storage.champions`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from phrase_models.errors import UserError
from storage.champions import StoredChampion, read_champions, write_champions
from storage.errors import MissingArtifact
from tasks.engine.model_registry import ModelRegistry, ModelVersion
from tasks.engine.registration import CANDIDATE, CHAMPION, GENERATOR, PHRASE_LDM, PHRASE_VAE
from tasks.engine.services import ServiceUnreachable
from tasks.engine.tracking import Tracking
from tasks.promotion.gate import GateRules, Measured, Verdict, judge
from tasks.promotion.versions import ARTIFACT_TAG
from tasks.reports.provenance import VAE_STAGES

TIMES_TAG, BEFORE_TAG, ROLLED_BACK_TAG = "champion_times", "champion_before", "rolled_back"
GATE_TAG, REASONS_TAG, AGAINST_TAG = "gate", "gate_reasons", "gate_against"
MAX_TAG = 4000
"""Characters of a tag."""

Measure = Callable[[ModelVersion, ModelVersion | None], Measured]
"""Measures a version, on the corpus of another one where one is named."""


@dataclass(frozen=True)
class Outcome:
    """What came of asking for a promotion.

    Attributes:
        text: for people: what was done, and the table of the gate.
        refused: whether the candidate was refused.
    """

    text: str
    refused: bool = False


def open_registry(store: Path) -> ModelRegistry:
    """The registry, with what waited for it sent.

    Raises:
        ServiceUnreachable: if MLflow does not answer, or does not take what waits.
    """
    tracking = Tracking(store)
    tracking.check()
    tracking.send_waiting()
    return ModelRegistry(store)


def promote(
    registry: ModelRegistry,
    measure: Measure,
    *,
    dry_run: bool = False,
    rules: GateRules | None = None,
) -> Outcome:
    """Let the candidate through the gate, or refuse it; the table stays with its version.

    Args:
        registry: of models.
        measure: of a version.
        dry_run: whether nothing is written.
        rules: of the gate, defaults if None.

    Raises:
        MissingArtifact: if there is no candidate, or the store lacks an artifact.
        UserError: if the candidate was rolled back before.
    """
    candidate, champion = registry.of_alias(CANDIDATE), registry.of_alias(CHAMPION)
    if candidate is None:
        message = (
            f"There is no candidate of {GENERATOR} in the registry: run the pipeline with tracking "
            "first."
        )
        raise MissingArtifact(message)
    if champion is not None and champion.number == candidate.number:
        keep_in_store(registry)
        return Outcome(f"Version {candidate.number} is the champion already.")
    if candidate.tags.get(ROLLED_BACK_TAG):
        message = (
            f"Version {candidate.number} was rolled back ({candidate.tags[ROLLED_BACK_TAG]}): "
            f"train another one, or set its tag {ROLLED_BACK_TAG} to nothing in MLflow."
        )
        raise UserError(message)
    now = measure(candidate, None)  # first: of the two the one that a store may lack
    before = None if champion is None else measure(champion, candidate)
    verdict = judge(now, before, rules)
    if dry_run:
        return Outcome(f"{verdict.markdown()}\n\nNothing was changed.", not verdict.accepted)
    _write_verdict(registry, candidate, verdict)
    if not verdict.accepted:
        return Outcome(verdict.markdown(), refused=True)
    _crown(registry, candidate, champion)
    said = f"Version {candidate.number} of {GENERATOR} is the champion now."
    return Outcome(f"{verdict.markdown()}\n\n{said}")


def rollback(registry: ModelRegistry) -> str:
    """Make the champion before this one the champion again; says which.

    Raises:
        MissingArtifact: if there is none.
    """
    champion = registry.of_alias(CHAMPION)
    number = champion.tags.get(BEFORE_TAG) if champion else None
    before = registry.version(int(number)) if number else None
    if champion is None or before is None:
        message = f"There was no other champion of {GENERATOR} before: nothing to roll back to."
        raise MissingArtifact(message)
    registry.set_tags(champion, {ROLLED_BACK_TAG: _now()})
    _crown(registry, before, champion, rolled_back=True)
    return (
        f"Version {before.number} of {GENERATOR} is the champion again, in place of version "
        f"{champion.number}."
    )


def describe(registry: ModelRegistry) -> str:
    """The champion, the candidate, and who was champion when.

    Raises:
        MissingArtifact: if no model is registered.
    """
    versions = registry.versions()
    if not versions:
        message = f"No {GENERATOR} is registered: run the pipeline with tracking first."
        raise MissingArtifact(message)
    keep_in_store(registry)
    lines = []
    for alias in (CHAMPION, CANDIDATE):
        found = next((item for item in versions if alias in item.aliases), None)
        lines.append(f"{alias:<10} {_words(found) if found else 'none'}")
    history = [
        (start, end or "now", item.number) for item in versions for start, end in _times(item)
    ]
    lines += [f"{start} to {end}: version {number}" for start, end, number in sorted(history)]
    return "\n".join(lines)


def _words(version: ModelVersion) -> str:
    tags = version.tags
    parts = [
        f"version {version.number}",
        f"preset {tags.get('preset', '?')}",
        f"latent size {tags.get('latent_dim', '?')}",
        f"commit {tags['git_commit'][:12]}" if "git_commit" in tags else "",
        f"gate: {tags[GATE_TAG]}" if GATE_TAG in tags else "",
    ]
    return ", ".join(part for part in parts if part)


def _write_verdict(registry: ModelRegistry, candidate: ModelVersion, verdict: Verdict) -> None:
    registry.describe(candidate, verdict.markdown())
    tags = {
        GATE_TAG: "accepted" if verdict.accepted else "refused",
        REASONS_TAG: " ".join(verdict.reasons)[:MAX_TAG],
        AGAINST_TAG: verdict.champion or "",
    }
    registry.set_tags(candidate, tags)


def _crown(
    registry: ModelRegistry,
    version: ModelVersion,
    former: ModelVersion | None,
    *,
    rolled_back: bool = False,
) -> None:
    """Move the alias, which comes last: what is killed before it changes nothing that is used."""
    now = _now()
    tags = {TIMES_TAG: json.dumps([*_times(version), [now, None]])}
    if former is not None:
        ended = [[start, end or now] for start, end in _times(former)]
        registry.set_tags(former, {TIMES_TAG: json.dumps(ended)})
        if not rolled_back:
            tags[BEFORE_TAG] = str(former.number)
    registry.set_tags(version, tags)
    for name, stages in ((PHRASE_VAE, VAE_STAGES), (PHRASE_LDM, ("train_diffusion",))):
        part = _part(registry, version, name, stages)
        if part is not None:
            registry.set_alias(CHAMPION, part)
    registry.set_alias(CHAMPION, version)
    keep_in_store(registry)


def _part(
    registry: ModelRegistry, generator: ModelVersion, name: str, stages: tuple[str, ...]
) -> ModelVersion | None:
    """The registered PhraseVAE or PhraseLDM that a generator is made of."""
    keys = {generator.tags.get(f"{ARTIFACT_TAG}{stage}") for stage in stages} - {None}
    found = (item for item in registry.versions(name) if item.tags.get("artifact_key") in keys)
    return next(found, None)


def _times(version: ModelVersion) -> list[list[str | None]]:
    """Pairs of times between which a version was the champion, the last one maybe open."""
    times: list[list[str | None]] = json.loads(version.tags.get(TIMES_TAG) or "[]")
    return times


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


# ------------------------------------------------------------------------------- in the store
def keep_in_store(registry: ModelRegistry) -> None:
    """Write down in the store which version is the champion, and which one was before."""
    champion = registry.of_alias(CHAMPION)
    if champion is None:
        return
    number = champion.tags.get(BEFORE_TAG)
    before = registry.version(int(number)) if number else None
    chosen = [item for item in (champion, before) if item is not None]
    write_champions(registry.store, [_stored(item) for item in chosen])


def _stored(version: ModelVersion) -> StoredChampion:
    return StoredChampion(version.name, version.number, dict(version.tags), artifact_keys(version))


def artifact_keys(version: ModelVersion) -> dict[str, str]:
    """Key of every artifact that a version names, by stage."""
    tags: Mapping[str, str] = version.tags
    return {
        name.removeprefix(ARTIFACT_TAG): key
        for name, key in tags.items()
        if name.startswith(ARTIFACT_TAG)
    }


def version_of(store: Path, alias: str) -> ModelVersion:
    """The version of the generator that has an alias.

    Where MLflow does not answer, the champion that was written down in the store last.

    Raises:
        MissingArtifact: if there is none.
        ServiceUnreachable: if MLflow does not answer, and nothing was written down.
    """
    try:
        Tracking(store).check()
        found = ModelRegistry(store).of_alias(alias)
    except ServiceUnreachable:
        known = read_champions(store) if alias == CHAMPION else []
        if not known:
            raise
        kept = known[0]
        return ModelVersion(kept.name, kept.number, kept.tags, (CHAMPION,), "")
    if found is None:
        message = (
            f"There is no {alias} of {GENERATOR} in the registry: run the pipeline with tracking, "
            "then `phraseldm promote`."
        )
        raise MissingArtifact(message)
    return found
