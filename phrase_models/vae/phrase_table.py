"""Unique phrases with their counts as flat arrays, and batches drawn from them.

Half of all phrases of a corpus repeat, and special phrases are nearly half of its slots: they enter
as weights, not as rows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phrase_models.tokens import vocabulary
from phrase_models.tokens.units import Granularity
from phrase_models.training.randomness import numpy_generator
from phrase_models.vae.augmentation import augment
from phrase_models.vae.phrase_lengths import padded_length

SPECIAL_PHRASES = (
    (vocabulary.EMPTY_SLOT,),
    (vocabulary.END_OF_BAR,),
    (vocabulary.END_OF_SONG,),
)
TRANSPOSITIONS = (-6, 5)
"""Semitones, both included: every key once."""
VALIDATION_ROWS = 1024
"""Rows of the validation table measured during training; the final figures take all of them."""
VALIDATION_BATCH = 128


@dataclass(frozen=True, slots=True)
class PhraseTable:
    """Distinct token sequences, without begin and end tokens.

    Attributes:
        token_ids: all sequences end to end, (sum of lengths,) int16.
        offsets: (N + 1,) int64; sequence n is token_ids[offsets[n] : offsets[n + 1]].
        counts: how often each occurs, (N,) int64.
    """

    token_ids: NDArray[np.int16]
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def build(cls, phrases: Iterable[Sequence[int]]) -> "PhraseTable":
        """Count phrases; rows keep the order of first occurrence."""
        counts: dict[tuple[int, ...], int] = {}
        for phrase in phrases:
            key = tuple(phrase)
            counts[key] = counts.get(key, 0) + 1
        return cls.from_counts(counts)

    @classmethod
    def from_counts(cls, counts: dict[tuple[int, ...], int]) -> "PhraseTable":
        """From a dictionary phrase -> count, in its order."""
        return cls.from_rows(list(counts), list(counts.values()))

    @classmethod
    def from_rows(
        cls, rows: Sequence[Sequence[int]], counts: Sequence[int] | None = None
    ) -> "PhraseTable":
        """A row for each sequence, equal ones too; each occurs once unless counts are given."""
        lengths = [len(row) for row in rows]
        flat = [token for row in rows for token in row]
        return cls(
            np.asarray(flat, np.int16),
            np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
            np.ones(len(rows), np.int64) if counts is None else np.asarray(counts, np.int64),
        )

    def followed_by(self, other: "PhraseTable") -> "PhraseTable":
        """The rows of both, those of `other` last."""
        return PhraseTable(
            np.concatenate((self.token_ids, other.token_ids)),
            np.concatenate((self.offsets, self.offsets[-1] + other.offsets[1:])),
            np.concatenate((self.counts, other.counts)),
        )

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row (N,)."""
        return np.diff(self.offsets)

    def row(self, index: int) -> list[int]:
        """The tokens of one row."""
        return self.token_ids[self.offsets[index] : self.offsets[index + 1]].tolist()

    def take(self, rows: NDArray[np.int64]) -> "PhraseTable":
        """These rows (M,) as a table."""
        sequences = [self.row(row) for row in rows.tolist()]
        return PhraseTable.from_rows(sequences, self.counts[rows].tolist())

    def padded(self, rows: NDArray[np.int64], length: int | None = None) -> Tensor:
        """Rows as (B, T) int64, padded by PAD; T leaves room for one end token."""
        lengths = self.lengths[rows]
        width = int(lengths.max()) + 1 if length is None else length
        columns = np.arange(width)
        inside = columns < lengths[:, None]
        places = np.where(inside, self.offsets[rows, None] + columns, 0)
        tokens = np.where(inside, self.token_ids[places], vocabulary.PAD)
        return torch.from_numpy(tokens.astype(np.int64))

    def save(self, path: Path) -> None:
        """Write as .npz."""
        np.savez(path, token_ids=self.token_ids, offsets=self.offsets, counts=self.counts)

    @classmethod
    def load(cls, path: Path) -> "PhraseTable":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            return cls(file["token_ids"], file["offsets"], file["counts"])


def unit_table_path(folder: Path, granularity: Granularity, split: str) -> Path:
    """File of one table among those of a corpus."""
    return folder / f"{granularity}-{split}.npz"


def _weights(
    table: PhraseTable, count_exponent: float, special_share: float
) -> NDArray[np.float64]:
    """How often each row is drawn, in any unit: (N,)."""
    weights = table.counts.astype(np.float64) ** count_exponent
    special = np.array([table.row(i)[0] < vocabulary.FIRST_QUERY for i in range(len(table))])
    if special.any() and not special.all():
        music = weights[~special].sum()
        share = special_share / (1 - special_share)
        weights[special] = music * share / special.sum()
    return weights


def _buckets(lengths: NDArray[np.int64], batch_tokens: int) -> dict[int, NDArray[np.int64]]:
    """Padded length -> the rows padded to it, shortest first.

    A bucket goes on to longer rows until it holds as many as a batch draws: batches of a handful
    of phrases, each many times, teach little, and the special phrases, which have a length of their
    own, would not be learnt at all, for a batch of nothing else comes up too rarely.
    """
    padded = padded_length(lengths)
    buckets: dict[int, NDArray[np.int64]] = {}
    waiting = np.empty(0, np.int64)
    for length in np.unique(padded).tolist():
        waiting = np.concatenate((waiting, np.flatnonzero(padded == length)))
        if len(waiting) >= batch_tokens // length or length == padded.max():
            buckets[length], waiting = waiting, waiting[:0]
    return buckets


class PhraseBatches:
    """Batches of equal numbers of tokens, each from one bucket of similar lengths.

    A row is drawn with probability proportional to count ** count_exponent; the special phrases
    share `special_share` of the draws; `transposed_share` of the drawn rows are moved to another
    key; `augmented_share` of the long ones are altered before (see `augmentation`); `bars`, where
    given, get `bar_share` of the draws. The batch of a step is a pure function of (seed, step).
    """

    def __init__(
        self,
        table: PhraseTable,
        *,
        batch_tokens: int,
        seed: int,
        count_exponent: float,
        special_share: float,
        transposed_share: float = 0.0,
        augmented_share: float = 0.0,
        max_tokens: int | None = None,
        bars: PhraseTable | None = None,
        bar_share: float = 0.0,
    ) -> None:
        """Sort the table into buckets.

        Args:
            table: what is drawn.
            batch_tokens: padded tokens of a batch.
            seed: of everything.
            count_exponent: see above.
            special_share: see above.
            transposed_share: see above.
            augmented_share: see above.
            max_tokens: of an altered phrase; by default those of the longest in the table.
            bars: more rows.
            bar_share: of the draws.
        """
        self.seed, self.transposed_share = seed, transposed_share
        self.augmented_share = augmented_share
        weights = _weights(table, count_exponent, special_share)
        if bars is not None and bar_share:
            of_bars = _weights(bars, count_exponent, 0.0)
            weights = np.concatenate(
                (
                    weights * (1 - bar_share) / weights.sum(),
                    of_bars * bar_share / of_bars.sum(),
                )
            )
            table = table.followed_by(bars)
        self.table = table
        self.max_tokens = int(table.lengths.max()) if max_tokens is None else max_tokens
        buckets = _buckets(table.lengths, batch_tokens)
        self.lengths, self.rows = list(buckets), list(buckets.values())
        self.cumulative = [np.cumsum(weights[rows]) for rows in self.rows]
        self.sizes = [max(1, batch_tokens // length) for length in self.lengths]
        # A bucket of long phrases holds fewer a batch, so it must come up more often.
        chances = np.array(
            [total[-1] / size for total, size in zip(self.cumulative, self.sizes, strict=True)]
        )
        self.chances = chances / chances.sum()

    def batch(self, step: int) -> Tensor:
        """Tokens (B, T) of a step, padded by PAD with room for an end token."""
        rng = numpy_generator(self.seed, "phrases", step)
        bucket = int(rng.choice(len(self.lengths), p=self.chances))
        cumulative = self.cumulative[bucket]
        draws = rng.random(self.sizes[bucket]) * cumulative[-1]
        rows = self.rows[bucket][np.searchsorted(cumulative, draws, side="right")]
        tokens = self.table.padded(rows, self.lengths[bucket])
        if self.augmented_share:
            own = numpy_generator(self.seed, "augmentation", step)
            altered = augment(tokens.numpy(), self.augmented_share, self.max_tokens, own)
            tokens = torch.from_numpy(altered)
        if self.transposed_share:
            moved = rng.random(len(rows)) < self.transposed_share
            semitones = rng.integers(*TRANSPOSITIONS, size=len(rows), endpoint=True)
            tokens = transpose(tokens, torch.from_numpy(np.where(moved, semitones, 0)))
        return tokens


def transpose(tokens: Tensor, semitones: Tensor) -> Tensor:
    """Move the pitches of each row of (B, T) by `semitones` (B,).

    A row of which a pitch would leave the range of MIDI stays as it is.
    """
    is_pitch = (tokens >= vocabulary.FIRST_PITCH) & (tokens < vocabulary.FIRST_DURATION)
    moved = tokens + semitones[:, None]
    outside = (moved < vocabulary.FIRST_PITCH) | (moved >= vocabulary.FIRST_DURATION)
    fits = ~(is_pitch & outside).any(1, keepdim=True)
    return torch.where(is_pitch & fits, moved, tokens)


def teacher_forcing(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Decoder inputs and targets of padded tokens.

    Args:
        tokens: (B, T), padded by PAD, with room for one end token.

    Returns:
        Inputs (B, T): BOS, then the tokens; targets (B, T): the tokens, then EOS, then PAD.
    """
    lengths = (tokens != vocabulary.PAD).sum(1, keepdim=True)
    targets = tokens.scatter(1, lengths, vocabulary.EOS)
    begin = torch.full_like(tokens[:, :1], vocabulary.BOS)
    return torch.cat((begin, tokens[:, :-1]), 1), targets
