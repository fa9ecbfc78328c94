"""Which models a store's songs are made with: the champion and the one before it, on disk.

    <store>/champions.json      what the registry said last; read where the registry is away

Artifacts that it names are kept by whoever clears a store: without them neither the champion could
write songs, nor could it be rolled back.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from storage.errors import StorageError
from storage.locks import hold_lock
from storage.sealing import sealed, unsealed
from storage.writing import write_json

CHAMPIONS_NAME = "champions.json"


@dataclass(frozen=True, slots=True)
class StoredChampion:
    """A version of the registry, as it was when it was written down.

    Attributes:
        name: of the registered model.
        number: of the version.
        tags: of the version.
        artifacts: key by stage.
    """

    name: str
    number: int
    tags: dict[str, str]
    artifacts: dict[str, str]


def write_champions(root: Path, champions: Sequence[StoredChampion]) -> None:
    """Write down the champion, and after it those that it can be rolled back to."""
    with hold_lock(root / "locks" / "champions.lock", "writes down the champion"):
        write_json(root / CHAMPIONS_NAME, sealed({"champions": [asdict(one) for one in champions]}))


def read_champions(root: Path) -> list[StoredChampion]:
    """The champion first; empty where none was written down.

    Raises:
        StorageError: if the file is damaged.
    """
    path = root / CHAMPIONS_NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return [StoredChampion(**item) for item in unsealed(data, required=True)["champions"]]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = (
            f"{path} is damaged: remove it and run `phraseldm champion`, which writes it again."
        )
        raise StorageError(message) from error


def kept_artifacts(root: Path) -> dict[str, str]:
    """Why every artifact is kept that the champion, or the one before it, is made of, by its key.

    Raises:
        StorageError: as `read_champions`.
    """
    reasons: dict[str, str] = {}
    for index, champion in enumerate(read_champions(root)):
        reason = "champion" if index == 0 else "champion before"
        for key in champion.artifacts.values():
            reasons.setdefault(key, reason)
    return reasons
