"""Values to matplotlib figures; nothing is shown or saved here, and pyplot's state is untouched."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from phrase_models.metrics.latent_statistics import (
    ACTIVE_VARIANCE,
    latent_statistics,
    principal_components,
    standardised,
)
from phrase_models.score.song import (
    BRIDGE,
    MELODY,
    PIANO,
    ROLE_NAMES,
    STEPS_PER_BAR,
    Phrase,
    Section,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 120
MAX_PCA_POINTS = 6000
_TRACK_COLOURS = {MELODY: "#f0525f", BRIDGE: "#eba52a", PIANO: "#4c83f0"}
_OTHER_COLOURS = ("#2fa98c", "#9a6bf0", "#c26a3d", "#3aa6c9")
_LINE_COLOURS = ("#4c83f0", "#f0525f", "#2fa98c", "#eba52a", "#9a6bf0", "#3aa6c9", "#c26a3d")
_GREY = "#8a93a6"
_PANELS = ("Loss", "KL divergence", "Agreement of notes")


def learning_curves(records: Sequence[Mapping[str, Any]]) -> Figure:
    """Losses, KL divergence and F1 by optimiser step, a panel for each that was measured.

    Training is a line, validation a dotted line with a mark at each measurement; a quantity has
    the same colour in both.

    Args:
        records: as in `metrics.jsonl`: {"step": int, "values": {name: number}}, or flat with the
            names beside "step". Names are "train/..." and "validation/..."; others, and gradient
            norms, are left out.
    """
    curves = _curves(records)
    panels = [panel for panel in _PANELS if any(_panel(name) == panel for name in curves)]
    figure = _figure(5.2 * max(1, len(panels)), 3.8)
    for index, panel in enumerate(panels or _PANELS[:1], start=1):
        axes = figure.add_subplot(1, max(1, len(panels)), index)
        names = [name for name in curves if _panel(name) == panel]
        quantities = list(dict.fromkeys(name.split("/", 1)[1] for name in names))
        for name in sorted(names):
            origin, quantity = name.split("/", 1)
            steps, values = zip(*curves[name], strict=True)
            colour = _LINE_COLOURS[quantities.index(quantity) % len(_LINE_COLOURS)]
            style = "-" if origin == "train" else "o:"
            axes.plot(steps, values, style, color=colour, markersize=3.5, linewidth=1.4, label=name)
        _tidy(axes, panel, "optimiser step")
        if panel == _PANELS[0] and any(value > 0 for name in names for _, value in curves[name]):
            axes.set_yscale("log")
            axes.tick_params(which="both", labelsize=8)
        if names:
            axes.legend(frameon=False, fontsize=8)
    return figure


def bar_ssm(matrix: np.ndarray, sections: Sequence[Section] = ()) -> Figure:
    """Self-similarity of bars with the sections' borders and labels (paper section 4.3.3).

    Args:
        matrix: (num_bars, num_bars), drawn from similarity 0 to 1.
        sections: labelled runs of bars; may be empty.
    """
    figure = _figure(5.6, 4.8)
    axes = figure.add_subplot()
    image = axes.imshow(
        matrix, cmap="magma", vmin=0.0, vmax=1.0, interpolation="nearest", aspect="equal"
    )
    figure.colorbar(image, ax=axes, label="cosine similarity", fraction=0.046, pad=0.03)
    _tidy(axes, "", "bar")
    axes.set_ylabel("bar")
    for section in sections:
        if section.start_bar:
            for line in (axes.axhline, axes.axvline):
                line(section.start_bar - 0.5, color="white", linewidth=0.6, alpha=0.55)
    _label_sections(axes, sections, offset=-0.5)
    return figure


def latent_pca(latents: np.ndarray, programs: Sequence[int] | np.ndarray) -> Figure:
    """Latents on their first two principal components, coloured by program.

    At most 6000, evenly spaced, are drawn; the components are those of what is drawn.

    Args:
        latents: (N, D).
        programs: `[N]` program of each phrase; negative means a special phrase.

    Raises:
        ValueError: if the lengths differ.
    """
    if len(latents) != len(programs):
        message = f"There are {len(latents)} latents but {len(programs)} programs."
        raise ValueError(message)
    figure = _figure(5.6, 4.8)
    axes = figure.add_subplot()
    chosen = np.unique(
        np.linspace(0, len(latents) - 1, min(len(latents), MAX_PCA_POINTS), dtype=int)
    )
    points, shares = principal_components(np.asarray(latents)[chosen])
    shown = np.asarray(programs)[chosen]
    for program in np.unique(shown).tolist():
        x, y = points[shown == program].T
        axes.scatter(
            x, y, s=5, alpha=0.5, linewidths=0, color=_colour(program), label=_name(program)
        )
    _tidy(axes, "", f"first component ({shares[0]:.0%} of the variance)")
    axes.set_ylabel(f"second component ({shares[1]:.0%})")
    if len(chosen):
        axes.legend(frameon=False, fontsize=8, markerscale=3)
    return figure


def latent_profile(latents: np.ndarray) -> Figure:
    """Scale and shape of latents: deviation of each dimension, and all values beside a normal.

    Left, the standard deviations from the largest to the smallest, with the border below which a
    dimension counts as unused. Right, the density of all values, each dimension at mean 0 and
    deviation 1, on a logarithmic scale that shows the tails; a standard normal is dotted.

    Args:
        latents: (N, D), N at least 1.
    """
    deviations = np.sort(latent_statistics(latents).deviations)[::-1]
    figure = _figure(10.4, 3.8)
    axes = figure.add_subplot(1, 2, 1)
    axes.bar(np.arange(1, len(deviations) + 1), deviations, color=_LINE_COLOURS[0], width=0.8)
    axes.axhline(np.sqrt(ACTIVE_VARIANCE), color=_GREY, linestyle=":", linewidth=1.2)
    _tidy(axes, "Standard deviation", "dimension, by rank")
    axes = figure.add_subplot(1, 2, 2)
    edges = np.linspace(-5.0, 5.0, 81)
    values = standardised(latents).ravel()
    axes.hist(
        values,
        bins=edges.tolist(),
        density=True,
        color=_LINE_COLOURS[0],
        alpha=0.6,
        label="latents",
    )
    normal = np.exp(-(edges**2) / 2) / np.sqrt(2 * np.pi)
    axes.plot(edges, normal, ":", color=_LINE_COLOURS[1], linewidth=1.4, label="standard normal")
    axes.set_yscale("log")
    axes.set_ylim(1e-5, 2.0)
    _tidy(axes, "Density of standardised values", "value")
    axes.legend(frameon=False, fontsize=8)
    return figure


def interpolation_strip(phrases: Sequence[Phrase], weights: Sequence[float]) -> Figure:
    """Phrases between two ends, side by side as small piano rolls (paper section 5.2).

    Args:
        phrases: decoded phrases; one without notes is drawn empty.
        weights: share of the second end in each, 0..1.

    Raises:
        ValueError: if the lengths differ.
    """
    if len(phrases) != len(weights):
        message = f"There are {len(phrases)} phrases but {len(weights)} weights."
        raise ValueError(message)
    count = max(1, len(phrases))
    figure = _figure(max(4.0, 1.7 * count), 2.6)
    pitches = [note.pitch for phrase in phrases for note in phrase.notes]
    for index, (phrase, weight) in enumerate(zip(phrases, weights, strict=True), start=1):
        axes = figure.add_subplot(1, count, index)
        notes = [(note.onset, note.pitch, note.duration) for note in phrase.notes]
        _add_notes(axes, np.array(notes).reshape(-1, 3).astype(float), phrase)
        axes.set_xlim(0, STEPS_PER_BAR)
        axes.set_xticks(range(0, STEPS_PER_BAR + 1, STEPS_PER_BAR // 4), labels=[])
        axes.grid(axis="x", color=_GREY, alpha=0.25, linewidth=0.6)
        _fit_pitches(axes, pitches)
        _tidy(axes, f"{weight:.2f}", ROLE_NAMES.get(phrase.program, str(phrase.program)))
        axes.tick_params(labelleft=index == 1)
    return figure


def scores_by_setting(names: Sequence[str], figures: Sequence[Mapping[str, Any]]) -> Figure:
    """F1_op and F1_opd of several models side by side, with their intervals.

    Args:
        names: of the models, in order.
        figures: of each: "f1_op", "f1_opd" and their "..._interval" (low, high).
    """
    figure = _figure(max(4.5, 1.1 * len(names)), 3.8)
    axes = figure.add_subplot()
    places = np.arange(len(names))
    for shift, (score, colour) in enumerate(zip(("f1_op", "f1_opd"), _LINE_COLOURS, strict=False)):
        values = np.array([figure_set[score] for figure_set in figures], float)
        bounds = np.array([figure_set[f"{score}_interval"] for figure_set in figures], float)
        errors = np.abs(bounds.T - values)
        axes.errorbar(
            places + 0.12 * (shift - 0.5), values, yerr=errors, fmt="o", color=colour, label=score
        )
    axes.set_xticks(places, names, rotation=20, ha="right")
    axes.legend(frameon=False)
    _tidy(axes, "Held-out phrases, 95 % intervals over songs", "")
    return figure


def figure_png(figure: Figure) -> bytes:
    """The figure as a PNG; equal figures give equal bytes."""
    buffer = io.BytesIO()
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def _curves(records: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Finite measurements by name, names in the order of their first appearance."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for record in records:
        for name, value in record.get("values", record).items():
            known = name.startswith(("train/", "validation/")) and "gradient_norm" not in name
            if known and np.isfinite(value):
                curves.setdefault(name, []).append((int(record["step"]), float(value)))
    return curves


def _panel(name: str) -> str:
    quantity = name.split("/", 1)[1]
    if quantity.startswith(("f1", "exact")):
        return _PANELS[2]
    return _PANELS[1] if quantity == "kl" else _PANELS[0]


def _figure(width: float, height: float) -> Figure:
    """Empty figure, sizes in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _tidy(axes: Axes, title: str, x_label: str) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(x_label, fontsize=9)
    axes.yaxis.label.set_fontsize(9)
    axes.tick_params(labelsize=8, color=_GREY)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_GREY)


def _label_sections(axes: Axes, sections: Sequence[Section], offset: float) -> None:
    for section in sections:
        middle = section.start_bar + section.num_bars / 2 + offset
        text = f"{section.label}{section.num_bars}"
        where = axes.get_xaxis_transform()
        axes.text(middle, 1.015, text, transform=where, ha="center", fontsize=7.5, color="#4a5263")


def _add_notes(axes: Axes, notes: np.ndarray, source: Any) -> None:
    """Rectangles of (N, 3) onset, pitch, duration in the colour of the source's program."""
    from matplotlib.collections import PolyCollection

    onset, pitch, duration = notes.T
    end, low, high = onset + duration, pitch - 0.42, pitch + 0.42
    corners = np.stack([onset, low, onset, high, end, high, end, low], axis=-1).reshape(-1, 4, 2)
    colour, name = _colour(source.program), _name(source.program)
    axes.add_collection(PolyCollection(list(corners), facecolor=colour, linewidth=0, label=name))


def _fit_pitches(axes: Axes, pitches: Sequence[int]) -> None:
    low, high = (min(pitches), max(pitches)) if pitches else (54, 66)
    axes.set_ylim(low - 2, high + 2)
    ticks = list(_octaves(low - 2, high + 2))
    axes.set_yticks(ticks, labels=[f"C{pitch // 12 - 1}" for pitch in ticks])
    for pitch in ticks:
        axes.axhline(pitch, color=_GREY, alpha=0.25, linewidth=0.6, zorder=0)


def _octaves(low: int, high: int) -> Iterator[int]:
    return (pitch for pitch in range(max(0, low), high + 1) if pitch % 12 == 0)


def _colour(program: int) -> str:
    fallback = _GREY if program < 0 else _OTHER_COLOURS[program % len(_OTHER_COLOURS)]
    return _TRACK_COLOURS.get(program, fallback)


def _name(program: int) -> str:
    return "special" if program < 0 else ROLE_NAMES.get(program, f"program {program}")
