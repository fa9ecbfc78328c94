"""A trained model on its way into the registry: what its version says, and which files go along."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.fingerprint import digest_json

PHRASE_VAE, PHRASE_LDM, GENERATOR = "phrase-vae", "phrase-ldm", "phraseldm-generator"
REGISTERED_MODELS: Mapping[str, str] = {
    PHRASE_VAE: (
        "PhraseVAE, one phrase of one instrument as one latent. A version names its artifact in "
        "the store and holds no weights."
    ),
    PHRASE_LDM: (
        "PhraseLDM, diffusion over the latents of whole songs. A version names its artifact in the "
        "store and holds no weights."
    ),
    GENERATOR: (
        "Both models as one that writes songs, with weights and code. *candidate*: of the newest "
        "run. *champion*: what `phraseldm promote` let through its gate; its verdict is in the "
        "description of each version."
    ),
}
"""Their descriptions by name."""
CANDIDATE, CHAMPION = "candidate", "champion"
"""Aliases of versions."""
IDENTITY_TAG, TIME_TAG = "identity", "registered_at"


@dataclass(frozen=True)
class Registration:
    """What becomes a version of a registered model.

    Attributes:
        name: of the registered model.
        identity: digest of what it is made of; models of one identity are one version.
        tags: of the version.
        files: what goes along, path in the version to file; nothing for a mere reference.
        texts: likewise, path to content.
        settings: of the model as it is loaded; None for a mere reference.
    """

    name: str
    identity: str
    tags: Mapping[str, str]
    files: Mapping[str, Path] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] | None = None


def identity_of(parts: Mapping[str, Any]) -> str:
    """Digest of what a model is made of."""
    return digest_json(parts)
