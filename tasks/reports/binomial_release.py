"""Binomial diffusion as a folder to give away, which `generate` can use alone."""

import math
from pathlib import Path

from phrase_models.binomial.config import BinomialSamplerConfig
from phrase_models.binomial.model import BinomialDiffusion
from phrase_models.binomial.pretrained import (
    CONFIG_FILE,
    DENSITIES_FILE,
    LAYOUTS_FILE,
    SAMPLER_FILE,
    WEIGHTS_FILE,
    describes_binomial,
    load_binomial,
    save_binomial,
)
from storage.errors import MissingArtifact
from storage.manifest import Manifest
from storage.opening import existing_store
from tasks.reports.provenance import newest_of_stage
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

RELEASE_FILES = frozenset(
    {CONFIG_FILE, WEIGHTS_FILE, DENSITIES_FILE, LAYOUTS_FILE, SAMPLER_FILE, CARD_FILE}
)
MAX_BYTES = 16 * MEBIBYTE
BINOMIAL_RELEASE = ReleaseKind(
    "binomial diffusion", RELEASE_FILES.__contains__, describes_binomial, MAX_BYTES
)
STAGE = "train_binomial"
CARD = """---
license: apache-2.0
library_name: phraseldm
tags: [symbolic-music, diffusion, midi]
---

# Binomial diffusion on piano rolls

After Atassi 2023 (arXiv 2303.08385): the cells of a piano roll are noised one by one, and a network
says of each how likely it was there. {num_weights:,} weights, {num_planes} planes of the pitches
{lowest} to {highest}, segments of {segment_bars} bars, {num_timesteps} timesteps, loss "{loss}".

Trained for {steps} steps of {batch_size} segments; best held-out loss {best_score:.3f} a sixteenth,
at step {best_step}.

```
phraseldm generate --model FOLDER -n 4 -o songs
```
"""


def assemble_binomial(
    model: BinomialDiffusion,
    card: str,
    output: Path,
    *,
    precision: Precision = "bf16",
    sampler: BinomialSamplerConfig | None = None,
) -> str:
    """Write a release of a trained model, wherever it comes from.

    Args:
        model: trained; its network is in the precision of the release afterwards.
        card: Markdown.
        output: folder of the release; an earlier one is replaced.
        precision: of the weights on disk.
        sampler: how rolls are drawn by default.

    Returns:
        What was written, as a sentence.

    Raises:
        ConfigurationError: if the folder holds anything but a release, or the release is larger
            than MAX_BYTES.
    """
    model.network.to(DTYPES[precision])

    def fill(aside: Path) -> None:
        save_binomial(model, aside, sampler or BinomialSamplerConfig())
        (aside / CARD_FILE).write_text(card, encoding="utf-8")

    size = write_release(output, BINOMIAL_RELEASE, fill)
    count = count_weights(model.network)
    return (
        f"Wrote {output}: binomial diffusion, {count:,} weights in {precision}, "
        f"{size / MEBIBYTE:.1f} MiB in all"
    )


def export_binomial(store: Path, folder: Path, precision: Precision, *, force: bool = False) -> str:
    """Write the binomial diffusion trained last in a store as a release folder.

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
        StorageError: if the store has no such model, or a damaged one.
    """
    check_release_folder(folder, BINOMIAL_RELEASE, force=force)
    artifacts = existing_store(store)
    newest = newest_of_stage(artifacts, STAGE)
    if newest is None:
        message = f"There is no binomial diffusion in {store}: run `phraseldm binomial` first."
        raise MissingArtifact(message)
    model = load_binomial(newest.folder)
    card = plain_card(model, artifacts.manifest(newest))
    return assemble_binomial(model, card, folder, precision=precision)


def plain_card(model: BinomialDiffusion, manifest: Manifest) -> str:
    """The card of a model of a store: what it is, and what its training left."""
    config, training, meta = model.config, manifest.config["training"], manifest.meta
    roll = config.roll
    return CARD.format(
        num_weights=count_weights(model.network),
        num_planes=roll.num_planes,
        lowest=roll.lowest_pitch,
        highest=roll.lowest_pitch + roll.num_pitches - 1,
        segment_bars=roll.segment_bars,
        num_timesteps=config.noise.num_timesteps,
        loss=config.objective.loss,
        steps=meta.get("steps", "?"),
        batch_size=training["batch_size"],
        best_score=meta.get("best_score", math.nan),
        best_step=meta.get("best_step", "?"),
    )
