"""Which artifacts of a store stay, and which may go, when room is made.

What stays: artifacts that are named, those of the newest run, the last few of each stage, what is
in use now; and with each of them all that it was made of.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain

from storage.artifacts import KEY_LETTERS
from storage.manifest import Manifest

MIN_KEY_LETTERS = 8
"""Of a key that is named by its beginning."""


@dataclass(frozen=True, slots=True)
class StoredArtifact:
    """One artifact of a store.

    Attributes:
        manifest: of it.
        committed: when, in seconds since 1970.
    """

    manifest: Manifest
    committed: float

    @property
    def place(self) -> tuple[str, str]:
        """Stage and the key's first letters, which no two artifacts share."""
        return self.manifest.stage, self.manifest.key[:KEY_LETTERS]

    @property
    def bytes(self) -> int:
        """Of all its files."""
        return sum(record.bytes for record in self.manifest.files)

    def is_named(self, key: str) -> bool:
        """Whether a key, or the beginning of one, means it."""
        keys = (self.manifest.key, *(item.key for item in self.manifest.accepted))
        return len(key) >= MIN_KEY_LETTERS and any(own.startswith(key) for own in keys)


@dataclass(frozen=True, slots=True)
class InUse:
    """What processes work on now.

    Attributes:
        places: stage and key's first letters of what is being made, to who does it.
        reads: digests of what it is made of.
    """

    places: Mapping[tuple[str, str], str] = field(default_factory=dict)
    reads: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Collection:
    """What a clearing comes to.

    Attributes:
        kept: artifacts that stay, with the reason.
        dropped: artifacts that may go, those first that nothing else was made of.
        unknown: keys to be kept that no artifact has.
    """

    kept: list[tuple[StoredArtifact, str]]
    dropped: list[StoredArtifact]
    unknown: list[str]


def plan_collection(
    artifacts: Sequence[StoredArtifact],
    *,
    keep: Mapping[str, str],
    newest_run: Iterable[str] = (),
    last: int,
    in_use: InUse,
) -> Collection:
    """Decide what stays.

    Args:
        artifacts: all of a store.
        keep: keys that stay (or beginnings of at least eight letters), with the reason, such as
            "champion of phrase-ldm".
        newest_run: keys of the newest recorded run.
        last: how many of each stage stay at least, the most recently committed.
        in_use: what processes work on now.

    Returns:
        The decision. Of artifacts with one content the most recently committed stands for what
        was made of that content, as everywhere in the program.
    """
    ordered = sorted(artifacts, key=lambda item: (item.committed, item.manifest.key), reverse=True)
    by_digest = {item.manifest.digest: item for item in reversed(ordered)}
    reasons: dict[tuple[str, str], str] = {}
    waiting: list[StoredArtifact] = []

    def stay(item: StoredArtifact | None, reason: str) -> None:
        if item is not None and item.place not in reasons:
            reasons[item.place] = reason
            waiting.append(item)

    for item, reason in chain(
        _named(ordered, keep), _in_use(ordered, in_use), _newest(ordered, {*newest_run}, last)
    ):
        stay(item, reason)
    for digest in sorted(in_use.reads):
        stay(by_digest.get(digest), "read by what is made now")
    while waiting:
        user = waiting.pop()
        for digest in user.manifest.inputs.values():
            stay(by_digest.get(digest), f"needed by {user.manifest.stage} {user.place[1]}")
    kept = [(item, reasons[item.place]) for item in ordered if item.place in reasons]
    dropped = [item for item in ordered if item.place not in reasons]
    unknown = [key for key in keep if not any(item.is_named(key) for item in ordered)]
    return Collection(kept, dropped, unknown)


def _named(
    ordered: Sequence[StoredArtifact], keep: Mapping[str, str]
) -> Iterator[tuple[StoredArtifact, str]]:
    for item in ordered:
        for key, reason in keep.items():
            if item.is_named(key):
                yield item, reason


def _in_use(
    ordered: Sequence[StoredArtifact], in_use: InUse
) -> Iterator[tuple[StoredArtifact, str]]:
    for item in ordered:
        if item.place in in_use.places:
            yield item, f"in use by {in_use.places[item.place]}"


def _newest(
    ordered: Sequence[StoredArtifact], run_keys: Set[str], last: int
) -> Iterator[tuple[StoredArtifact, str]]:
    """Artifacts of the newest run, and the last few of each stage."""
    seen = Counter[str]()
    for item in ordered:
        stage = item.manifest.stage
        seen[stage] += 1
        if any(item.is_named(key) for key in run_keys):
            yield item, "of the newest run"
        if seen[stage] <= last:
            yield item, f"one of the last {last} of {stage}"
