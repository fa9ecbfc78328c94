"""Recurrence of sections in a song: self-similarity of bars and the Section Recurrence Score.

BarSSM and SRS are defined in paper section 4.3.3. A line is a run of bright cells along a diagonal
of the matrix: bars i, i+1, ... resemble bars i+lag, i+lag+1, ....
"""

import math
from dataclasses import dataclass

import numpy as np

from phrase_models.score.song import SIXTEENTH, STEPS_PER_BAR, Song

THRESHOLD = 0.5
MIN_LINE_BARS = 4
NOTE_THRESHOLD = 0.5
"""Similarity of centred chroma and onset vectors above which two bars count as alike."""
_NUM_SIXTEENTHS = STEPS_PER_BAR // SIXTEENTH


def bar_latents(latents: np.ndarray) -> np.ndarray:
    """Mean over the slots of each bar: (num_bars, S, D) to (num_bars, D)."""
    return np.asarray(latents, dtype=np.float64).mean(axis=1)


def with_bar_end(latents: np.ndarray, bar_end: np.ndarray) -> np.ndarray:
    """The input of the released metrics: the slots of each bar and the latent of the bar's end.

    The released sequence has four latents a bar, three phrases (or empty slots) and one that is
    the same in every bar, and its metrics take them all. The constant draws bars together: it
    changes every cosine.

    Args:
        latents: `(N, S, D)`, S slots of each of N bars.
        bar_end: `(D,)`, the encoder's mean of the end of a bar.

    Returns:
        `(N, S + 1, D)`.

    Raises:
        ValueError: if the sizes of the latents differ.
    """
    if latents.ndim != 3 or bar_end.shape != latents.shape[2:]:
        message = f"a bar end of shape {bar_end.shape} does not fit latents {latents.shape}"
        raise ValueError(message)
    ends = np.broadcast_to(bar_end, (len(latents), 1, len(bar_end)))
    return np.concatenate((latents, ends), axis=1)


def cosine_matrix(vectors: np.ndarray) -> np.ndarray:
    """Cosine similarity of all pairs of rows: (N, F) to (N, N); 0 for a zero row."""
    vectors = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(norms > 0.0, norms, 1.0)
    return unit @ unit.T


def bar_ssm(latents: np.ndarray) -> np.ndarray:
    """BarSSM: cosine similarity of bar latents, (num_bars, S, D) to (num_bars, num_bars).

    All slots of a bar enter its mean, as in the released code, empty ones too.
    """
    return cosine_matrix(bar_latents(latents))


def bar_features(song: Song) -> np.ndarray:
    """Chroma and onsets of each bar, (num_bars, 28), without any model.

    Columns 0..11: steps sounded by each pitch class, notes over a barline counted in each bar
    they sound in. Columns 12..27: number of onsets on each sixteenth. Both parts scaled to unit
    length within the bar, so that they weigh the same; a silent bar is all zero.
    """
    chroma = np.zeros((song.num_bars, 12))
    onsets = np.zeros((song.num_bars, _NUM_SIXTEENTHS))
    for track in song.tracks:
        for note in track.notes:
            bar, step = divmod(note.onset, STEPS_PER_BAR)
            if 0 <= bar < song.num_bars:
                onsets[bar, step // SIXTEENTH] += 1.0
            begin, end = note.onset, note.onset + note.duration
            while begin < end and bar < song.num_bars:
                barline = (bar + 1) * STEPS_PER_BAR
                chroma[bar, note.pitch % 12] += min(end, barline) - begin
                begin, bar = barline, bar + 1
    parts = []
    for part in (chroma, onsets):
        norms = np.linalg.norm(part, axis=1, keepdims=True)
        parts.append(part / np.where(norms > 0.0, norms, 1.0))
    return np.concatenate(parts, axis=1)


def note_ssm(song: Song) -> np.ndarray:
    """Self-similarity of bars from the notes alone, (num_bars, num_bars).

    Cosine of `bar_features` after taking off their mean over the bars that are not silent. Without
    that every bar of a song resembles every other, for chroma and onset counts are never negative.
    A silent bar resembles nothing.
    """
    features = bar_features(song)
    sounding = np.any(features != 0.0, axis=1, keepdims=True)
    if sounding.any():
        features = np.where(sounding, features - features[sounding[:, 0]].mean(axis=0), 0.0)
    return cosine_matrix(features)


@dataclass(frozen=True, slots=True)
class RecurrenceLines:
    """Bright runs of all diagonals: lag, first row and end row (exclusive), each `[num_lines]`."""

    lag: np.ndarray
    start: np.ndarray
    end: np.ndarray
    num_bright_before: np.ndarray
    """`[num_bars + 1, num_bars + 1]`: bright cells of a diagonal in the rows before a row; the
    last diagonal, which does not exist, is dark."""

    def num_bright(self, lag: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
        """Bright cells of a diagonal in the rows start..end-1, for arrays `[num_lines]`."""
        last = self.num_bright_before.shape[1] - 1
        start, end = np.clip(start, 0, last), np.clip(end, 0, last)
        return self.num_bright_before[lag, end] - self.num_bright_before[lag, start]


def recurrence_lines(
    ssm: np.ndarray, *, threshold: float = THRESHOLD, min_line_bars: int = MIN_LINE_BARS
) -> RecurrenceLines:
    """Maximal runs of at least min_line_bars cells above the threshold, above the main diagonal.

    Args:
        ssm: (num_bars, num_bars).
        threshold: brightness that a cell must exceed.
        min_line_bars: shortest run, in bars.
    """
    num_bars = len(ssm)
    # Row k of `diagonals` is diagonal k: padding each row by num_bars dark cells and reading the
    # rows one cell longer moves cell (i, i + k) to column k.
    padded = np.zeros((num_bars, 2 * num_bars), dtype=bool)
    padded[:, :num_bars] = np.greater(ssm, threshold)
    skewed = np.append(padded.ravel(), np.zeros(num_bars, dtype=bool))
    diagonals = skewed.reshape(num_bars, 2 * num_bars + 1)[:, :num_bars].T
    edged = np.zeros((num_bars, num_bars + 2), dtype=np.int8)
    edged[1:, 1:-1] = diagonals[1:]
    steps = np.diff(edged, axis=1)
    lag, start = np.nonzero(steps == 1)
    _, end = np.nonzero(steps == -1)
    long = end - start >= min_line_bars
    before = np.zeros((num_bars + 1, num_bars + 1), dtype=np.int32)
    np.cumsum(diagonals, axis=1, out=before[:num_bars, 1:])
    return RecurrenceLines(lag[long], start[long], end[long], before)


def srs_official(
    ssm: np.ndarray, *, threshold: float = THRESHOLD, min_line_bars: int = MIN_LINE_BARS
) -> float:
    """SRS in the released code's way.

    Cells are bright strictly above the threshold. Of diagonals 1, 2, ... above the main one, every
    maximal bright run of at least min_line_bars counts with its length, unless the next diagonal
    outwards has a bright cell in the same rows; the sum is divided by the number of bars. So of
    two or three adjacent lines the outermost still counts, and lines at lags 1 to 3 count.

    Args:
        ssm: (num_bars, num_bars); the released figure is that of
            `bar_ssm(with_bar_end(latents, bar_end))`.
        threshold: brightness that a cell must exceed.
        min_line_bars: shortest line that counts, in bars.

    Undefined (nan): no bars (the released code divides by zero); a cell that is nan.
    """
    if not len(ssm) or np.isnan(ssm).any():
        return math.nan
    lines = recurrence_lines(ssm, threshold=threshold, min_line_bars=min_line_bars)
    alone = lines.num_bright(lines.lag + 1, lines.start, lines.end) == 0
    return float((lines.end - lines.start)[alone].sum()) / len(ssm)


def section_recurrence(
    ssm: np.ndarray, *, threshold: float = THRESHOLD, min_line_bars: int = MIN_LINE_BARS
) -> float:
    """SRS as the paper's text defines it (section 4.3.3): clustered lines are left out.

    As `srs_official`, but a line is dropped when a bright cell of either neighbouring diagonal
    touches it. The main diagonal is a neighbour too, so lag 1 (each bar like the next one) never
    counts. Not bounded by 1: an 8-bar section heard three times scores a line for each pair.

    Args:
        ssm: (num_bars, num_bars).
        threshold: brightness that a cell must exceed.
        min_line_bars: shortest line that counts, in bars.

    Undefined (nan): fewer than 2 * min_line_bars bars, where no section can come again; a cell
    that is nan, which would count as dark.
    """
    if len(ssm) < 2 * min_line_bars or np.isnan(ssm).any():
        return math.nan
    lines = recurrence_lines(ssm, threshold=threshold, min_line_bars=min_line_bars)
    # The cell (i, i + k) touches (i, i + k + 1) and (i - 1, i + k) outwards, which are rows i and
    # i - 1 of the next diagonal, and (i, i + k - 1) and (i + 1, i + k) inwards.
    outwards = lines.num_bright(lines.lag + 1, lines.start - 1, lines.end)
    inwards = lines.num_bright(lines.lag - 1, lines.start, lines.end + 1)
    alone = (outwards == 0) & (inwards == 0) & (lines.lag > 1)
    return float((lines.end - lines.start)[alone].sum()) / len(ssm)
