"""The rows of the paper's tables 1 to 4, and which trained model each of them means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tasks.reports.measurements import Measurement

TITLES = {
    1: "Table 1: how a bar is compressed (autoencoder, before the VAE)",
    2: "Table 2: size of a phrase's latent",
    3: "Table 3: what one latent stands for",
    4: "Table 4: PianoTree VAE and a BarVAE of the same latent size",
}


@dataclass(frozen=True)
class ReportRow:
    """One row.

    Attributes:
        table: number in the paper.
        label: of the model.
        paper: F1_op and F1_opd in percent, None where the paper has none.
        matches: whether a scored model is the row's.
    """

    table: int
    label: str
    paper: tuple[float | None, float | None]
    matches: Callable[[Measurement], bool]


def _bottleneck(bottleneck: str, num_queries: int, *, pretrained: bool) -> Callable[..., bool]:
    def matches(item: Measurement) -> bool:
        architecture = item.architecture
        return (
            item.stage == "score_autoencoder"
            and architecture["granularity"] == "bar"
            and architecture["bottleneck"] == bottleneck
            and (bottleneck != "multi_query" or architecture["num_queries"] == num_queries)
            and item.is_pretrained == pretrained
        )

    return matches


def _latent(granularity: str, latent_dim: int) -> Callable[..., bool]:
    def matches(item: Measurement) -> bool:
        architecture = item.architecture
        return (
            item.stage == "score_reconstruction"
            and architecture["granularity"] == granularity
            and architecture["bottleneck"] == "multi_query"
            and architecture["latent_dim"] == latent_dim
        )

    return matches


def _pianotree(latent_dim: int) -> Callable[..., bool]:
    return lambda item: (
        item.stage == "score_pianotree" and item.architecture["latent_dim"] == latent_dim
    )


_PAPER_SIZES = {128: (99.9, 99.7), 64: (99.0, 98.4), 32: (95.1, 92.6)}
_SIZES = (16, 32, 64, 128, 256, 512, 1024)
_PAPER_UNITS = {("bar", 512): 98.3, ("position", 32): 98.7, ("phrase", 64): 98.4}
_UNIT_NAMES = {"bar": "BarVAE", "position": "PositionVAE", "phrase": "PhraseVAE"}

ROWS: tuple[ReportRow, ...] = (
    ReportRow(1, "one query", (93.1, 89.1), _bottleneck("single_query", 1, pretrained=True)),
    ReportRow(1, "pooling", (98.5, 97.3), _bottleneck("pooling", 1, pretrained=True)),
    ReportRow(1, "four query tokens", (99.7, 99.5), _bottleneck("multi_query", 4, pretrained=True)),
    ReportRow(
        1,
        "four query tokens, without span infilling",
        (99.6, 99.1),
        _bottleneck("multi_query", 4, pretrained=False),
    ),
    *(
        ReportRow(
            2, f"{size} numbers", _PAPER_SIZES.get(size, (None, None)), _latent("phrase", size)
        )
        for size in reversed(_SIZES)
    ),
    *(
        ReportRow(
            3,
            f"{_UNIT_NAMES[unit]}, {size} numbers",
            (None, _PAPER_UNITS.get((unit, size))),
            _latent(unit, size),
        )
        for unit, sizes in (("bar", (128, 256, 512)), ("position", (16, 32)), ("phrase", (64,)))
        for size in sizes
    ),
    ReportRow(4, "PianoTree VAE, 512", (92.2, 88.7), _pianotree(512)),
    ReportRow(4, "BarVAE, 512", (98.9, 98.3), _latent("bar", 512)),
)
