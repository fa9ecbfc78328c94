"""Which models a store's songs are made with: the champion and the one before it, on disk.

    <store>/champions.json      what the registry said last; read where the registry is away

Artifacts that it names are kept by whoever clears a store: without them neither the champion could
write songs, nor could it be rolled back. Of a shared store it is an object, for every machine that
may clear it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from storage.errors import StorageError
from storage.inventory import open_inventory
from storage.opening import open_store, store_address
from storage.sealing import sealed, unsealed
from storage.writing import json_text

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
    content = json_text(sealed({"champions": [asdict(one) for one in champions]}))
    open_inventory(open_store(root)).write_file(CHAMPIONS_NAME, content.encode())


def read_champions(root: Path) -> list[StoredChampion]:
    """The champion first; empty where none was written down.

    Raises:
        StorageError: if the file is damaged.
    """
    content = open_inventory(open_store(root)).read_file(CHAMPIONS_NAME)
    if not content:
        return []
    try:
        data = json.loads(content)
        return [StoredChampion(**item) for item in unsealed(data, required=True)["champions"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        message = (
            f"{store_address(root)}/{CHAMPIONS_NAME} is damaged: remove it and run "
            "`phraseldm champion`, which writes it again."
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
