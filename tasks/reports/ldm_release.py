"""PhraseLDM with its PhraseVAE as one folder to give away, which `generate` can use alone."""

from pathlib import Path

from phrase_models.diffusion.model import PhraseLDM
from phrase_models.diffusion.pretrained import load_ldm, save_ldm
from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.form.plan_priors import PRIORS_FILE, PlanPriors, can_be_fitted
from phrase_models.phrase_ldm import LDM_FOLDER, SAMPLER_FILE, VAE_FOLDER
from phrase_models.vae.pretrained import (
    WEIGHTS_FILE,
    describes_vae,
    load_vae,
    phase_of,
    save_vae,
)
from storage.artifacts import ArtifactStore
from storage.opening import existing_store
from tasks.reports.ldm_card import PairOfModels, ldm_card
from tasks.reports.model_card import Weights, model_card
from tasks.reports.provenance import newest_vae, provenance_of
from tasks.reports.release import (
    CARD_FILE,
    DTYPES,
    MEBIBYTE,
    Precision,
    ReleaseKind,
    check_release_folder,
    count_weights,
    write_release,
)
from tasks.reports.vae_release import RELEASE_FILES as VAE_FILES

MAX_BYTES = 64 * MEBIBYTE
_MODEL_ENDINGS = (".safetensors", ".json", ".npy")


def _may_hold(name: str) -> bool:
    parts = name.split("/")
    if parts == [CARD_FILE]:
        return True
    in_vae = parts[0] == VAE_FOLDER and parts[-1] in VAE_FILES
    in_ldm = parts[0] == LDM_FOLDER and parts[-1].endswith(_MODEL_ENDINGS)
    return len(parts) == 2 and (in_vae or in_ldm)


def _describes_pair(folder: Path) -> bool:
    parts = folder / VAE_FOLDER, folder / LDM_FOLDER
    return describes_vae(parts[0]) and (parts[1] / WEIGHTS_FILE).is_file()


LDM_RELEASE = ReleaseKind("PhraseLDM", _may_hold, _describes_pair, MAX_BYTES)


def assemble_release(
    vae_folder: Path,
    ldm_folder: Path,
    card_text: str,
    output: Path,
    *,
    precision: Precision = "bf16",
    sampler: SamplerConfig | None = None,
    vae_card: str | None = None,
) -> str:
    """Write a release of two trained models, wherever they come from.

    Priors of plans are fitted to the model's training plans, where these have sections and forms.

    Args:
        vae_folder: of a PhraseVAE (`save_vae`).
        ldm_folder: of a PhraseLDM (`PhraseLDM.save`).
        card_text: the card, Markdown.
        output: folder of the release (see `phrase_models.phrase_ldm`); an earlier one is replaced.
        precision: of the weights on disk.
        sampler: how songs are drawn by default. Without it, by default settings, silent cells of a
            form being forced where the model knows how silence looks.
        vae_card: card of the PhraseVAE alone, or None for none.

    Returns:
        What was written, as a sentence.

    Raises:
        ConfigurationError: if one of the models is missing, the folder holds anything but a
            release, or the release is larger than MAX_BYTES.
    """
    check_release_folder(output, LDM_RELEASE)
    vae, ldm = load_vae(vae_folder), load_ldm(ldm_folder)
    phase = phase_of(vae_folder)
    if sampler is None:
        sampler = SamplerConfig(force_silence=ldm.empty_slot_latents is not None)
    count = count_weights(vae) + count_weights(ldm.denoiser)

    def fill(aside: Path) -> None:
        save_vae(vae.to(DTYPES[precision]), phase, aside / VAE_FOLDER)
        ldm.denoiser.to(DTYPES[precision])
        save_ldm(ldm, aside / LDM_FOLDER)
        write_priors(ldm, aside / LDM_FOLDER)
        (aside / LDM_FOLDER / SAMPLER_FILE).write_text(sampler.model_dump_json(indent=1))
        (aside / CARD_FILE).write_text(card_text, encoding="utf-8")
        if vae_card is not None:
            (aside / VAE_FOLDER / CARD_FILE).write_text(vae_card, encoding="utf-8")

    size = write_release(output, LDM_RELEASE, fill)
    return (
        f"Wrote {output}: PhraseVAE and PhraseLDM, {count:,} weights in {precision}, "
        f"{size / MEBIBYTE:.1f} MiB in all"
    )


def write_priors(ldm: PhraseLDM, folder: Path) -> bool:
    """Fit priors to the training plans of a model and write them into a folder.

    Returns:
        Whether there were plans to fit them to.
    """
    if not can_be_fitted(ldm.length_prior):
        return False
    PlanPriors.fit(ldm.length_prior).save(folder / PRIORS_FILE)
    return True


def export_ldm(store: Path, folder: Path, precision: Precision, *, force: bool = False) -> str:
    """Write the newest PhraseLDM of a store with its PhraseVAE as a release folder.

    Args:
        store: folder of the store.
        folder: of the release.
        precision: of the weights on disk.
        force: whether an earlier release in the folder is replaced.

    Returns:
        What was written, as a sentence.

    Raises:
        ConfigurationError: if the folder holds anything but a release, or the release would be too
            large.
        StorageError: if the store's newest run has no models, or a damaged one.
    """
    check_release_folder(folder, LDM_RELEASE, force=force)
    artifacts = existing_store(store)
    diffusion, vae = artifacts.latest("train_diffusion"), newest_vae(artifacts)
    provenance = provenance_of(artifacts, vae)
    ldm = load_ldm(diffusion.folder)
    sampler = artifacts.latest_run()["extra"]["generation"]["sampler"]
    pair = PairOfModels(
        provenance, artifacts.manifest(diffusion), count_weights(ldm.denoiser), precision
    )
    return assemble_release(
        vae.folder,
        diffusion.folder,
        ldm_card(pair, measured_songs(artifacts)),
        folder,
        precision=precision,
        sampler=SamplerConfig.model_validate(sampler),
        vae_card=model_card(provenance, Weights(count_weights(load_vae(vae.folder)), precision)),
    )


def measured_songs(artifacts: ArtifactStore) -> str | None:
    """The table of metrics of the newest run's songs, None where they were not measured."""
    if "evaluate_songs" not in artifacts.latest_run()["refs"]:
        return None
    evaluated = artifacts.latest("evaluate_songs", verify=False)
    return artifacts.read_bytes(evaluated, "metrics.md").decode()
