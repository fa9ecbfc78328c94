"""The README of a released PhraseVAE: what it was made of, how well it does, how to remake it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phrase_models.sources.registry import find_source
from storage.manifest import Manifest
from tasks.reports.provenance import Provenance, granularity_of, reproducing_command
from tasks.stages.reconstruction_scores import class_order
from tasks.stages.registry import STAGES

UNITS = {
    "phrase": "A phrase, all that one program plays in one bar",
    "bar": "All phrases of one bar",
    "position": "All that begins at one position of a bar",
}


CLASSES = {"by_instrument": "instrument", "by_num_notes": "notes of the phrase"}
"""Tables among the figures, and what their rows are."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of a release: how many numbers, and in which precision ("bf16" or "fp32")."""

    count: int
    precision: str


def model_card(provenance: Provenance, weights: Weights) -> str:
    """The card as Markdown; what the store no longer knows is left out or said to be unknown."""
    parts = [_head(provenance, weights)]
    sections = {
        "Use": _use(provenance.vae),
        "Data": data_section(provenance),
        "Configuration": _architecture(provenance.vae),
        "Training": _training(provenance),
        "Reconstruction of held-out songs": _scores(provenance.scores, weights),
        "Making it again": _reproduction(provenance),
        "Licence": licence_text(provenance),
    }
    parts += [f"## {title}\n\n{text}" for title, text in sections.items()]
    return "\n\n".join(parts) + "\n"


def _head(provenance: Provenance, weights: Weights) -> str:
    latent_dim = provenance.vae.config["architecture"]["latent_dim"]
    return (
        "---\nlicense: apache-2.0\nlibrary_name: phraseldm\ntags: [symbolic-music, vae]\n---\n\n"
        f"# PhraseVAE\n\n{UNITS[granularity_of(provenance.vae)]} of 4/4 on a grid of 48 steps, as "
        f"one latent of {latent_dim} numbers, and back to REMI-z tokens (PhraseVAE of Ou & Wang "
        f"2025, arXiv 2512.11348). {weights.count:,} weights in {weights.precision}, which load as "
        "fp32."
    )


def _use(vae: Manifest) -> str:
    if granularity_of(vae) == "phrase":
        imports = (
            "from phrase_models.codec import PhraseCodec\n"
            "from phrase_models.score.midi import read_with_report\n"
            "from phrase_models.vae.refinement_config import RefinementConfig"
        )
        lines = (
            "refinement = RefinementConfig()  # None for the encoder alone\n"
            'codec = PhraseCodec.load(Path("this folder"), "role", refinement=refinement)\n'
            'read = read_with_report(Path("song.mid"), grid=codec.grid)  # and read.report\n'
            "latents = codec.encode_song(read.song)  # (bars, slots, D)\n"
            'song = codec.decode_song(latents, song_id="song").song'
        )
    else:
        imports = "from phrase_models.vae.pretrained import load_vae"
        lines = 'vae = load_vae(Path("this folder"))'
    return f"```python\nfrom pathlib import Path\n\n{imports}\n\n{lines}\n```"


def data_section(provenance: Provenance) -> str:
    """Which songs a model was trained on, as far as the store knows."""
    source = provenance.source
    songs = (
        "not known: the artifact that tells is gone from the store"
        if source is None
        else find_source(source).description
    )
    ingested = provenance.before.get("ingest_songs")
    tokenised = provenance.before.get("tokenise_songs")
    lines = [f"Songs: {songs}."]
    if ingested is not None:
        lines.append(
            f"{ingested.meta['num_songs']} songs read, {ingested.meta['num_accepted']} accepted; "
            f"a share of {ingested.config['validation_fraction']:g}, by a hash of the song's id, "
            "was held out from all training."
        )
    if tokenised is not None:
        counts = tokenised.meta
        lines.append(
            f"{counts['num_bars']} bars, {counts['num_phrases']} phrases and {counts['num_notes']} "
            f"notes in all; songs held out: {counts['num_validation_songs']}."
        )
    lines.append("Every song was moved to C major or A minor.")
    return "\n".join(lines)


def _architecture(vae: Manifest) -> str:
    return table(("setting", "value"), vae.config["architecture"].items())


def _training(provenance: Provenance) -> str:
    known = provenance.known
    names = [kind.name for kind in STAGES if kind.trains]
    rows = [
        (known[name].config["phase"], *training_numbers(known[name]))
        for name in names
        if name in known
    ]
    columns = ("training", "steps", "weights of step", "tokens a batch", "learning rate", "seed")
    return table(columns, rows)


def training_numbers(manifest: Manifest) -> tuple[Any, ...]:
    """Steps, step of the weights, size of a batch, learning rate and seed of a training."""
    training = manifest.config["training"]
    steps = manifest.meta["steps"]
    return (
        steps,
        manifest.meta["best_step"] if training["keep"] == "best" else steps,
        training["batch_size"],
        training["learning_rate"],
        training["seed"],
    )


def _scores(scores: Manifest | None, weights: Weights) -> str:
    if scores is None:
        return "Not measured: the store holds no `score_reconstruction` of these weights."
    figures = scores.meta
    rows = [
        (name, _number(value), _interval(figures.get(f"{name}_interval")))
        for name, value in figures.items()
        if not name.endswith("_interval") and not isinstance(value, dict)
    ]
    classes = [_class_table(name, value) for name, value in figures.items() if name in CLASSES]
    rounded = "" if weights.precision == "fp32" else ", before they were rounded"
    return (
        f"Measured with the fp32 weights{rounded}; intervals are 95 % over songs, by bootstrap.\n"
        "Plain names are those of the encoder alone, before its decoder was tuned; `_refined` has "
        "latents improved\nby optimisation where a phrase did not come back, `_tuned` the decoder "
        "that was tuned on noisy latents.\n\n"
        + "\n\n".join([table(("figure", "value", "interval"), rows), *classes])
    )


def _class_table(name: str, classes: Mapping[str, Mapping[str, float]]) -> str:
    """Scores by class, a row each."""
    # A manifest sorts its keys: the number of phrases comes first, and 13 notes after 5.
    columns = sorted(
        next(iter(classes.values()), {}), key=lambda name: (name != "num_phrases", name)
    )
    rows = [
        [label, *(_number(classes[label].get(column)) for column in columns)]
        for label in sorted(classes, key=class_order)
    ]
    return table((CLASSES[name], *columns), rows)


def _number(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "undefined"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _interval(ends: Sequence[float | None] | None) -> str:
    if ends is None or None in ends:
        return ""
    return f"[{_number(ends[0])}, {_number(ends[1])}]"


def _reproduction(provenance: Provenance) -> str:
    vae = provenance.vae
    return (
        f"```\n{reproducing_command(provenance)}\n```\n\n"
        "trains it on the way to a whole pipeline, which `--until vae` stops there. The "
        "same version of the program gives the same weights bit for bit on the CPU they were "
        f"trained on. This release is artifact `{vae.stage}/{vae.key[:20]}`, digest "
        f"`{vae.digest}`."
    )


def licence_text(provenance: Provenance) -> str:
    """Under which licences a model may be used."""
    text = "Code and weights: Apache-2.0."
    licence = find_source(provenance.source).licence if provenance.source else ""
    return f"{text} {licence}".rstrip()


def table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
