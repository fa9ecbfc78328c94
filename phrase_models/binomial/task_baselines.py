"""What filling a hole by a trained model is compared with: copied bars, and notes by chance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phrase_models.binomial.config import STEPS_PER_ROLL_BAR, RollConfig
from phrase_models.binomial.dataset import RollDataset
from phrase_models.binomial.known import KnownCells
from phrase_models.binomial.rolls import Roll, pack_bars, unpack_bars
from phrase_models.binomial.tasks import hole_places, known_outside, with_given
from phrase_models.score.song import Song
from phrase_models.song_tasks import Hole, WrittenSong
from phrase_models.training.randomness import numpy_generator

WHOLE_BYTE = 255
CONTEXT_BARS = 4
"""Known bars on either side by which a passage is found for bars of which nothing is known."""


class NearestBars:
    """Copies the bars of training songs whose cells differ least from the known ones.

    A bar is that with the smallest Hamming distance on the bar's known cells. A run of bars of
    which nothing is known is the passage of one training song whose surroundings (up to four known
    bars before and after) are nearest.
    """

    def __init__(self, dataset: RollDataset) -> None:
        """Take the training songs' bars over."""
        songs = dataset.split("train")
        self.config = dataset.config
        self.rows = np.concatenate(
            [np.asarray(dataset.rows[s.first_row : s.first_row + s.num_bars]) for s in songs]
        )
        self.ends = np.cumsum([song.num_bars for song in songs])

    def fill(self, song: Song, hole: Hole, seed: int) -> WrittenSong:
        """A hole filled; of places by chance those of the seed."""
        places = hole_places(song, hole, self.config, seed)
        given, known = known_outside(song, places, self.config)
        roll = np.where(known.mask, known.values, self.nearest(known))
        return WrittenSong(with_given(given, roll, self.config), given, "nearest training bars")

    def nearest(self, known: KnownCells) -> Roll:
        """Training bars that are nearest, (C, S, P); any where a bar is known whole."""
        masks, values = pack_bars(known.mask), pack_bars(known.values & known.mask)
        chosen = np.zeros(len(masks), np.int64)
        for first, end in _runs(masks):
            if end is None and (masks[first] == WHOLE_BYTE).all():
                continue  # nothing of it is open
            if end is None:
                chosen[first] = int(self._distances(masks[first], values[first]).argmin())
            else:
                start = self._passage(masks, values, first, end)
                chosen[first:end] = np.minimum(start + np.arange(end - first), len(self.rows) - 1)
        return unpack_bars(self.rows[chosen], self.config)

    def _distances(self, mask: NDArray[np.uint8], value: NDArray[np.uint8]) -> NDArray[np.int64]:
        """(R,) known cells in which each training bar differs."""
        used = np.flatnonzero(mask)
        differ = (self.rows[:, used] ^ value[used]) & mask[used]
        return np.bitwise_count(differ).sum(axis=1, dtype=np.int64)

    def _passage(
        self, masks: NDArray[np.uint8], values: NDArray[np.uint8], first: int, end: int
    ) -> int:
        """First row of the passage for the bars from `first` to before `end`."""
        rows = np.arange(len(self.rows))
        song_of = np.searchsorted(self.ends, rows, side="right")
        total = np.zeros(len(rows), np.int64)
        fits = np.ones(len(rows), np.bool_)
        before = range(max(0, first - CONTEXT_BARS), first)
        after = range(end, min(len(masks), end + CONTEXT_BARS))
        for bar in (*before, *after):
            there = rows + bar - first
            inside = (there >= 0) & (there < len(rows))
            there = np.clip(there, 0, len(rows) - 1)
            fits &= inside & (song_of[there] == song_of)
            total += self._distances(masks[bar], values[bar])[there]
        last = rows + end - 1 - first
        fits &= (last < len(rows)) & (song_of[np.clip(last, 0, len(rows) - 1)] == song_of)
        if not fits.any():
            return 0
        return int(np.where(fits, total, np.iinfo(np.int64).max).argmin())


def _runs(masks: NDArray[np.uint8]) -> list[tuple[int, int | None]]:
    """Bars with known cells as (bar, None); runs of bars without any as (first, end)."""
    blank = np.asarray(~masks.any(axis=1), np.bool_)
    found: list[tuple[int, int | None]] = []
    bar = 0
    while bar < len(masks):
        if not blank[bar]:
            found.append((bar, None))
            bar += 1
            continue
        end = bar
        while end < len(masks) and blank[end]:
            end += 1
        found.append((bar, end))
        bar = end
    return found


@dataclass(frozen=True, slots=True)
class RandomNotes:
    """Notes by chance, as many of each voice and pitch as there are in the training songs.

    Each lasts as long as the training songs' notes of its voice and pitch do on average.

    Attributes:
        config: what the cells are; onsets and held steps are apart.
        densities: (C, P) share of the cells that are 1.
    """

    config: RollConfig
    densities: NDArray[np.float32]

    def fill(self, song: Song, hole: Hole, seed: int, index: int) -> WrittenSong:
        """A hole filled; a variant by its index."""
        places = hole_places(song, hole, self.config, seed)
        given, known = known_outside(song, places, self.config)
        drawn = self.draw(song.num_bars, numpy_generator("random notes", seed, index))
        roll = np.where(known.mask, known.values, drawn)
        return WrittenSong(with_given(given, roll, self.config), given, "random notes")

    def draw(self, num_bars: int, rng: np.random.Generator) -> Roll:
        """A roll (C, S, P)."""
        num_steps = num_bars * STEPS_PER_ROLL_BAR
        roll = np.zeros((self.config.num_planes, num_steps, self.config.num_pitches), np.bool_)
        for voice in range(self.config.num_voices):
            onset, hold = self.densities[2 * voice], self.densities[2 * voice + 1]
            lengths = np.rint(1 + hold / onset).astype(int)
            roll[2 * voice] = rng.random(roll.shape[1:]) < onset
            for step, pitch in zip(*np.nonzero(roll[2 * voice]), strict=True):
                end = min(step + lengths[pitch], num_steps)
                roll[2 * voice + 1, step + 1 : end, pitch] = True
            roll[2 * voice + 1] &= ~roll[2 * voice]
        return roll
