"""The gate before the champion: what was measured of two models -> accepted or refused, and why.

Nothing here reads a disk or a server. A candidate must keep some absolute rules; beside a champion
it must not be significantly worse by any criterion. What no pair of figures can say is named, and
is no reason to refuse, unless only the candidate lacks the figure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from phrase_models.metrics.note_matching import PhraseCounts, pool
from phrase_models.metrics.result import MetricResult, undefined
from phrase_models.metrics.worsening import (
    PlannedValues,
    chance_of_as_many,
    departure_worsening,
    distance_worsening,
    mean_worsening,
    score_worsening,
)
from tasks.reports.song_values import SongValues, values_of_plans

RECURRENCES = ("srs_notes_50", "srs_notes_70", "srs_notes_90")
MEMORISED = ("mr", "mr_invariant")
"""A song counts as memorised by either: a whole melody, or a long passage however disguised."""
FAILURES = "failures"


class GateRules(BaseModel):
    """What the gate asks of a candidate.

    Attributes:
        min_f1: least F1 of onset and pitch of held-out songs through the PhraseVAE.
        max_failures: largest share of songs that are silent, missing or not finite.
        memorised_margin: by how much the share of memorised songs may exceed that of real songs.
        memorised_chance: a share above that of real songs is refused within the margin, too, where
            as many would be less probable than this, were songs memorised as often as real ones.
        f1_tolerance: F1 that may be lost to the champion, significant or not: a note in a thousand.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_f1: float = Field(default=0.5, ge=0, le=1)
    max_failures: float = Field(default=0.05, ge=0, le=1)
    memorised_margin: float = Field(default=0.05, ge=0, le=1)
    memorised_chance: float = Field(default=0.05, ge=0, le=1)
    f1_tolerance: float = Field(default=0.001, ge=0, le=1)


@dataclass(frozen=True)
class Measured:
    """What the gate knows of a model.

    Attributes:
        name: for people, such as "version 3".
        song_counts: notes of each held-out song, kept and lost by the PhraseVAE.
        songs: what was measured of each generated song.
        real: the same of real training songs, each against the others.
        held_out: the same of real songs outside the training set.
        distances: of all generated songs to real ones, by metric, with resamples.
        floors: the same distance of real songs, by metric; nan where undefined.
        failures: share of generated songs that failed.
    """

    name: str
    song_counts: Mapping[str, PhraseCounts]
    songs: SongValues
    real: SongValues
    held_out: SongValues
    distances: Mapping[str, MetricResult]
    floors: Mapping[str, float]
    failures: float


@dataclass(frozen=True)
class Finding:
    """What came of one criterion.

    Attributes:
        criterion: in words.
        candidate: its figure, as text.
        champion: its figure, or empty.
        worsening: by how much the candidate is worse, with its interval, or empty.
        verdict: "kept", "better", "as good", "worse", "broken" or "not compared".
        reason: a sentence; of what was refused it says why.
    """

    criterion: str
    candidate: str
    champion: str
    worsening: str
    verdict: str
    reason: str

    @property
    def refuses(self) -> bool:
        """Whether the candidate is refused for it."""
        return self.verdict in ("worse", "broken")


@dataclass(frozen=True)
class Verdict:
    """The overall verdict.

    Attributes:
        candidate: its name.
        champion: its name, or None where there is none yet.
        findings: of each criterion.
    """

    candidate: str
    champion: str | None
    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        """Whether the candidate may be the champion."""
        return not any(finding.refuses for finding in self.findings)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is refused, a sentence each; none where it is accepted."""
        return tuple(finding.reason for finding in self.findings if finding.refuses)

    @property
    def sentence(self) -> str:
        """The verdict in plain words."""
        if not self.accepted:
            return f"Refused: {' '.join(self.reasons)}"
        if self.champion is None:
            return f"Accepted: {self.candidate} keeps all rules, and there is no champion yet."
        return f"Accepted: {self.candidate} is by no criterion worse than {self.champion}."

    def markdown(self) -> str:
        """The sentence, a criterion a line, and how to read it."""
        lines = [
            self.sentence,
            "",
            "| criterion | candidate | champion | worse by | verdict |",
            "|---|---|---|---|---|",
            *(
                f"| {item.criterion} | {item.candidate} | {item.champion} | {item.worsening} | "
                f"{item.verdict} |"
                for item in self.findings
            ),
            "",
            "Brackets are 95 % intervals over songs, resampled in pairs where both models wrote "
            "songs of the same plans; below 0 the candidate is better.",
        ]
        return "\n".join(lines)


def judge(
    candidate: Measured, champion: Measured | None, rules: GateRules | None = None
) -> Verdict:
    """Accept or refuse a candidate.

    Args:
        candidate: what was measured of it.
        champion: of the model that it would replace, or None for a first one.
        rules: defaults if None.
    """
    rules = rules or GateRules()
    findings = [
        _keeps_phrases(candidate, rules),
        _writes_songs(candidate, rules),
        _is_original(candidate, rules),
    ]
    if champion is not None:
        findings += [_compared(item, candidate, champion) for item in _criteria(rules)]
    name = champion.name if champion is not None else None
    return Verdict(candidate.name, name, tuple(findings))


# ------------------------------------------------------------------------------ absolute rules
def _rule(criterion: str, figure: str, *, kept: bool, reason: str) -> Finding:
    return Finding(criterion, figure, "", "", "kept" if kept else "broken", reason)


def _f1(measured: Measured) -> float:
    return (
        float(pool(list(measured.song_counts.values())).f1_op) if measured.song_counts else math.nan
    )


def _keeps_phrases(candidate: Measured, rules: GateRules) -> Finding:
    f1 = _f1(candidate)
    if math.isnan(f1):
        reason = "The F1 of its PhraseVAE was not measured."
        return _rule("F1 at all", "undefined", kept=False, reason=reason)
    reason = f"The F1 of its PhraseVAE is {f1:.4f}, and {rules.min_f1:g} is asked for."
    return _rule("F1 at all", f"{f1:.4f}", kept=f1 >= rules.min_f1, reason=reason)


def _writes_songs(candidate: Measured, rules: GateRules) -> Finding:
    share = candidate.failures
    kept = not math.isnan(share) and share <= rules.max_failures
    reason = (
        f"{share:.1%} of its songs are silent, missing or not finite, and "
        f"{rules.max_failures:.1%} are allowed."
    )
    return _rule("songs that failed", f"{share:.1%}", kept=kept, reason=reason)


def memorised(songs: SongValues) -> tuple[int, int]:
    """How many songs are memorised, and of how many that could be looked at."""
    columns = np.array([songs.values[name] for name in MEMORISED if name in songs.values])
    if not columns.size:
        return 0, 0
    known = ~np.isnan(columns).all(axis=0)
    return int((np.nan_to_num(columns) > 0).any(axis=0).sum()), int(known.sum())


def _is_original(candidate: Measured, rules: GateRules) -> Finding:
    criterion = "memorised songs, beside real songs"
    count, num_songs = memorised(candidate.songs)
    real_counts = [memorised(column) for column in (candidate.real, candidate.held_out)]
    real_count, num_real = (sum(part) for part in zip(*real_counts, strict=True))
    if not num_songs:
        reason = "Whether its songs are memorised was not measured."
        return _rule(criterion, "undefined", kept=False, reason=reason)
    share, real = count / num_songs, real_count / num_real if num_real else 0.0
    chance = chance_of_as_many(count, num_songs, real_count, num_real)
    kept = share <= real or (
        share <= real + rules.memorised_margin and chance >= rules.memorised_chance
    )
    figure = f"{count} of {num_songs}; real {real_count} of {num_real}"
    reason = (
        f"{count} of its {num_songs} songs are memorised from the training songs, and "
        f"{real_count} of {num_real} real songs are as near to others."
    )
    return _rule(criterion, figure, kept=kept, reason=reason)


# ------------------------------------------------------------------------- beside the champion
@dataclass(frozen=True)
class _Criterion:
    """A way to compare: a figure of each model as text, and by how much the candidate is worse."""

    words: str
    figure: Callable[[Measured], str]
    worsening: Callable[[Measured, Measured, bool], MetricResult]
    tolerance: float = 0.0


def _criteria(rules: GateRules) -> tuple[_Criterion, ...]:
    return (
        _Criterion(
            "F1 of onset and pitch, held-out songs",
            lambda item: _number(_f1(item), 4),
            lambda ours, theirs, _: score_worsening("f1_op", ours.song_counts, theirs.song_counts),
            rules.f1_tolerance,
        ),
        _Criterion(
            "recurrence of bars (note SRS over that of real songs), distance from 1",
            lambda item: _number(_planned(item).departure(np.arange(len(item.songs.layouts)))),
            lambda ours, theirs, paired: departure_worsening(
                "srs_notes", _planned(ours), _planned(theirs), paired=paired
            ),
        ),
        _distance("feature_frechet", "distance of song features, in those of real songs"),
        _distance("phrase_fid", "PhraseFID, in those of real songs"),
        _mean("boundary_f1", "plan fidelity: section boundaries found, F1"),
        _mean("same_label_similarity_notes", "plan fidelity: likeness of sections of one label"),
    )


def _distance(name: str, words: str) -> _Criterion:
    def floor(item: Measured) -> float:
        return item.floors.get(name, math.nan)

    def distance(item: Measured) -> MetricResult:
        return item.distances.get(name, undefined(name, "not measured"))

    return _Criterion(
        words,
        lambda item: _number(distance(item).value / floor(item) if floor(item) else math.nan, 2),
        lambda ours, theirs, paired: distance_worsening(
            name, distance(ours), distance(theirs), (floor(ours), floor(theirs)), paired=paired
        ),
    )


def _mean(name: str, words: str) -> _Criterion:
    def values(item: Measured) -> np.ndarray:
        return item.songs.values.get(name, np.full(len(item.songs.layouts), math.nan))

    def mean(item: Measured) -> float:
        known = values(item)[~np.isnan(values(item))]
        return float(known.mean()) if len(known) else math.nan

    return _Criterion(
        words,
        lambda item: _number(mean(item)),
        lambda ours, theirs, paired: mean_worsening(
            name, values(ours), values(theirs), paired=paired
        ),
    )


def _planned(item: Measured) -> PlannedValues:
    names = [name for name in RECURRENCES if name in item.songs.values]
    shape = (len(names), len(item.songs.layouts))
    ours = [item.songs.values[name] for name in names]
    real = [values_of_plans(name, item.songs, item.real) for name in names]
    return PlannedValues(np.array(ours).reshape(shape), np.array(real).reshape(shape))


def _compared(criterion: _Criterion, candidate: Measured, champion: Measured) -> Finding:
    ours, theirs = criterion.figure(candidate), criterion.figure(champion)
    paired = have_one_plan_each(candidate.songs, champion.songs)
    result = criterion.worsening(candidate, champion, paired)
    if math.isnan(result.low):
        if ours == UNDEFINED and theirs != UNDEFINED:
            reason = f"{_capital(criterion.words)}: undefined, and the champion has {theirs}."
            return Finding(criterion.words, ours, theirs, "", "worse", reason)
        reason = f"{_capital(criterion.words)}: not compared, {result.note or 'no interval'}."
        return Finding(criterion.words, ours, theirs, "", "not compared", reason)
    interval = f"{result.value:+.4f} [{result.low:+.4f}, {result.high:+.4f}]"
    verdict = "as good"
    if result.low > criterion.tolerance + ROUNDING:
        verdict = "worse"
    elif result.high < 0.0:
        verdict = "better"
    reason = (
        f"{_capital(criterion.words)}: {ours} against {theirs} of the champion, worse by {interval}"
        f"{f', and {criterion.tolerance:g} is allowed' if criterion.tolerance else ''}."
    )
    return Finding(criterion.words, ours, theirs, interval, verdict, reason)


def have_one_plan_each(first: SongValues, second: SongValues) -> bool:
    """Whether song k of one was asked to be what song k of the other was."""
    return (first.song_ids, first.layouts) == (second.song_ids, second.layouts)


UNDEFINED = "undefined"
ROUNDING = 1e-9
"""Of differences of shares: equal ones are equal."""


def _number(value: float, places: int = 3) -> str:
    return UNDEFINED if math.isnan(value) else f"{value:.{places}f}"


def _capital(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}"
