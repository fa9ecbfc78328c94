"""Which store is meant: by an option, a parameter of a flow, or the environment."""

import os
from pathlib import Path

from storage.opening import working_folder

STORE_VARIABLE = "PHRASE_LDM_STORE"
DEFAULT_STORE = "store"


def asked_store(address: str | None) -> Path:
    """The folder of this machine for a store.

    Args:
        address: a path, file:///folder or s3://bucket/prefix; None for what PHRASE_LDM_STORE
            names, else the folder "store".

    Raises:
        UnusablePath: for an address that is none of a store.
    """
    return working_folder(address or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)
