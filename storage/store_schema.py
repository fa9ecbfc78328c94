"""What stands in the `store.json` of a store, in a folder or in an object store."""

import json
from pathlib import Path

from storage.errors import StorageError
from storage.manifest import refuse_newer

STORE_SCHEMA_VERSION = 1
STORE_NAME = "store.json"
STORE_DESCRIPTION = {"schema_version": STORE_SCHEMA_VERSION}


def check_store_schema(content: bytes, place: Path | str) -> None:
    """See that this program can use a store.

    Args:
        content: of its description.
        place: of the description, for people.

    Raises:
        NewerSchema: if a newer version of the program wrote it.
        StorageError: if it is no description of a store.
    """
    try:
        version = int(json.loads(content)["schema_version"])
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{place} is not a store's description: move the file away or use another folder."
        ) from error
    refuse_newer(place, "store", version, STORE_SCHEMA_VERSION)
