"""Small JSON files that carry the digest of their own content, so that a changed digit shows."""

from collections.abc import Mapping
from typing import Any

from storage.fingerprint import digest_json

SEAL = "sha256_of_the_rest"


def sealed(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Plain values with the digest of them all beside them."""
    return {**plain, SEAL: digest_json(plain)}


def unsealed(data: Mapping[str, Any], *, required: bool) -> dict[str, Any]:
    """The values that were sealed.

    Args:
        data: what a file says.
        required: whether it was written by a version of the program that seals; files of earlier
            ones are taken at their word.

    Raises:
        ValueError: if the values are not those that were sealed.
    """
    plain = {name: value for name, value in data.items() if name != SEAL}
    seal = data.get(SEAL)
    if seal is None and not required:
        return plain
    if seal != digest_json(plain):
        raise ValueError("the content is not what was sealed")
    return plain
