"""The README of a released PhraseLDM: what it was made of, what it does, what it takes over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from storage.manifest import Manifest
from tasks.reports.model_card import data_section, licence_text, table, training_numbers
from tasks.reports.provenance import Provenance, reproducing_command

_USE = """```
phraseldm generate --model FOLDER -n 4 --sections "i4 A8 A8 B8 o4" -o songs
```

```python
from pathlib import Path

from phrase_models.generator import SongRequest
from phrase_models.phrase_ldm import PhraseLDMGenerator

generator = PhraseLDMGenerator.from_pretrained(Path("FOLDER"))
song = generator.generate(SongRequest(), seed=0, index=0).song
```"""

_LIMITS = """\
- 4/4 throughout, on a grid of 48 steps a bar; melody, bridge and piano; up to {max_bars} bars.
- Songs are in C major or A minor, moved as a whole where another key is asked for.
- Dynamics are not learnt: velocities follow part, pitch and fullness of the bar, as in POP909.
- What it has learnt is the pop music of its training songs, in the arrangements of a few people."""


@dataclass(frozen=True, slots=True)
class PairOfModels:
    """What a release is made of.

    Attributes:
        provenance: of the PhraseVAE, and of the songs.
        diffusion: manifest of the PhraseLDM.
        num_weights: of the PhraseLDM.
        precision: of the weights, "bf16" or "fp32".
    """

    provenance: Provenance
    diffusion: Manifest
    num_weights: int
    precision: str


def ldm_card(pair: PairOfModels, metrics: str | None) -> str:
    """The card as Markdown.

    Args:
        pair: the models.
        metrics: Markdown table of the measured songs, None where there were none.
    """
    denoiser = pair.diffusion.config["denoiser"]
    sections = {
        "Use": _USE,
        "What a song takes from a training song": _taken_over(denoiser),
        "Data": data_section(pair.provenance),
        "Configuration": table(("setting", "value"), denoiser.items()),
        "Training": _training(pair.diffusion),
        "Songs": _songs(metrics),
        "PhraseVAE": "Its settings, trainings and scores are in `vae/README.md`.",
        "Limits": _LIMITS.format(max_bars=denoiser["max_bars"]),
        "Making it again": _reproduction(pair),
        "Licence": licence_text(pair.provenance),
    }
    parts = [_head(pair), *(f"## {title}\n\n{text}" for title, text in sections.items())]
    return "\n\n".join(parts) + "\n"


def _head(pair: PairOfModels) -> str:
    return (
        "---\nlicense: apache-2.0\nlibrary_name: phraseldm\ntags: [symbolic-music, diffusion]\n"
        "---\n\n# PhraseLDM\n\nWhole songs of melody, bridge and piano: a diffusion model draws "
        "one latent for every bar of every\ninstrument, all of a song together, and PhraseVAE says "
        "their notes (Ou & Wang 2025, arXiv 2512.11348).\n"
        f"{pair.num_weights:,} weights of the diffusion model, in {pair.precision}, which load as "
        "fp32."
    )


def _taken_over(denoiser: Mapping[str, Any]) -> str:
    if not denoiser["form_condition"]:
        return (
            "Where a request leaves them open, length and layout of a song are those of a training "
            "song, drawn at\nrandom. Its notes are drawn anew."
        )
    return (
        "Where a request leaves them open, layout and form (which bar repeats which) of a song are "
        "drawn by the priors\nin `ldm/priors.json`, and chords and, if the model knows it, texture "
        "are those of a training song of a similar other\nlayout, fitted to it; without priors, "
        "all of it is one training song's. The notes are drawn anew, but texture\nand chords say "
        "much of them. `phraseldm generate --plans lent` draws the layout alone, `--plans "
        "training`\ntakes all of one song."
    )


def _training(diffusion: Manifest) -> str:
    columns = ("training", "steps", "weights of step", "songs a batch", "learning rate", "seed")
    return table(columns, [("PhraseLDM", *training_numbers(diffusion))])


def _songs(metrics: str | None) -> str:
    if metrics is None:
        return "Not measured: the store holds no `evaluate_songs` of these weights."
    return (
        "Songs that were generated with the fp32 weights, beside real songs that were held out; "
        "brackets are 95 %\nintervals over songs, by bootstrap.\n\n" + metrics.strip()
    )


def _reproduction(pair: PairOfModels) -> str:
    diffusion = pair.diffusion
    return (
        f"```\n{reproducing_command(pair.provenance)}\n```\n\n"
        "with the settings of the diffusion model above. This release is artifact "
        f"`{diffusion.stage}/{diffusion.key[:20]}`, digest `{diffusion.digest}`."
    )
