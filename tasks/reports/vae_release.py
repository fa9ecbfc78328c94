"""A trained PhraseVAE of a store as a folder to give away."""

from pathlib import Path

from phrase_models.vae.pretrained import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    describes_vae,
    load_vae,
    phase_of,
    save_vae,
)
from storage.opening import existing_store
from tasks.reports.model_card import Weights, model_card
from tasks.reports.provenance import newest_vae, provenance_of
from tasks.reports.release import (
    CARD_FILE,
    DTYPES,
    Precision,
    ReleaseKind,
    check_release_folder,
    count_weights,
    write_release,
)

RELEASE_FILES = frozenset({WEIGHTS_FILE, CONFIG_FILE, CARD_FILE})


def export_vae(store: Path, folder: Path, precision: Precision, *, force: bool = False) -> str:
    """Write the newest PhraseVAE of a store (see `newest_vae`) as a release folder.

    Args:
        store: folder of the store.
        folder: gets `model.safetensors`, `config.json` and the card `README.md`, all at once.
        precision: of the weights on disk.
        force: whether an earlier release in the folder is replaced.

    Returns:
        What was written, as a sentence.

    Raises:
        ConfigurationError: if the folder holds anything but a release.
        StorageError: if the store holds no PhraseVAE, or a damaged one.
    """
    check_release_folder(folder, VAE_RELEASE, force=force)
    artifacts = existing_store(store)
    ref = newest_vae(artifacts)
    vae = load_vae(ref.folder)
    weights = Weights(count_weights(vae), precision)
    card = model_card(provenance_of(artifacts, ref), weights)

    def fill(aside: Path) -> None:
        save_vae(vae.to(DTYPES[precision]), phase_of(ref.folder), aside)
        (aside / CARD_FILE).write_text(card, encoding="utf-8")

    write_release(folder, VAE_RELEASE, fill)
    size = (folder / WEIGHTS_FILE).stat().st_size / 1e6
    return (
        f"Wrote {folder}: PhraseVAE {ref.stage}/{ref.folder.name}, {weights.count:,} weights in "
        f"{precision}, {size:.1f} MB"
    )


VAE_RELEASE = ReleaseKind("PhraseVAE", RELEASE_FILES.__contains__, describes_vae)
