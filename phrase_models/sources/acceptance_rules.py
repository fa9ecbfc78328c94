"""Which songs are kept: the rules, in order, and their reason codes."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class IngestConfig(BaseModel):
    """Thresholds of acceptance, and the grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    grid: Literal[16, 48] = Field(default=16, description="places a bar that notes are rounded to")
    min_match: float = Field(default=0.97, ge=0, le=1, description="of the melody, within a 16th")
    min_chord_agreement: float = Field(default=0.70, ge=0, le=1)
    max_unlabelled_melody_notes: int = Field(default=4, ge=0)
    max_empty_end_bars: int = Field(default=1, ge=0)
    min_bars: int = Field(default=16, ge=1)
    max_bars: int = Field(default=128, ge=1)
    max_loss: float = Field(default=0.08, ge=0, le=1, description="notes outside the labelled bars")
    max_off_grid: float = Field(default=0.25, ge=0, le=1, description="notes off the 16th grid")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the rules look at; what a source does not measure breaks no rule.

    Attributes:
        num_bars: length of the song.
        beats_per_measure, quavers_per_beat: (2, 2) is 4/4, 3 in either place is not.
        match_near: share of the analysed melody that is in the MIDI file, within a 16th.
        chord_agreement: share of beats with equal chord roots.
        unlabelled_melody_notes: melody notes after the last labelled bar.
        empty_end_bars: labelled bars after the last onset.
        loss_fraction: share of notes outside the bars.
        off_grid_fraction: share of onsets far from the 16th grid.
    """

    num_bars: int
    beats_per_measure: int = 2
    quavers_per_beat: int = 2
    match_near: float = 1.0
    chord_agreement: float = 1.0
    unlabelled_melody_notes: int = 0
    empty_end_bars: int = 0
    loss_fraction: float = 0.0
    off_grid_fraction: float = 0.0


def judge(facts: Facts, config: IngestConfig) -> tuple[str, str]:
    """The first rule that a song breaks.

    Returns:
        Reason code ("ok" if none is broken) and a plain sentence.
    """
    rules = (
        (facts.beats_per_measure == 3, "triple_meter", "The song has three beats a bar."),
        (facts.quavers_per_beat == 3, "compound_meter", "The beats are divided in three."),
        (
            facts.match_near < config.min_match,
            "melody_mismatch",
            f"Only {facts.match_near:.1%} of the analysed melody is in the MIDI file.",
        ),
        (
            facts.chord_agreement < config.min_chord_agreement,
            "chord_conflict",
            f"Chord roots agree on {facts.chord_agreement:.1%} of the beats only.",
        ),
        (
            facts.unlabelled_melody_notes > config.max_unlabelled_melody_notes,
            "label_short",
            f"{facts.unlabelled_melody_notes} melody notes follow the last labelled bar.",
        ),
        (
            facts.empty_end_bars > config.max_empty_end_bars,
            "label_long",
            f"The last {facts.empty_end_bars} labelled bars are empty.",
        ),
        (
            facts.num_bars > config.max_bars,
            "too_long",
            f"{facts.num_bars} bars are more than {config.max_bars}.",
        ),
        (
            facts.num_bars < config.min_bars,
            "too_short",
            f"{facts.num_bars} bars are fewer than {config.min_bars}.",
        ),
        (
            facts.loss_fraction > config.max_loss,
            "content_loss",
            f"{facts.loss_fraction:.1%} of the notes lie outside the labelled bars.",
        ),
        (
            config.grid == 16 and facts.off_grid_fraction > config.max_off_grid,
            "off_grid16",
            f"{facts.off_grid_fraction:.1%} of the notes are off the 16th grid.",
        ),
    )
    for broken, code, sentence in rules:
        if broken:
            return code, sentence
    return "ok", ""
