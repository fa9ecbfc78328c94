"""Training songs in all keys: their phrases encoded in each, and batches that draw a key a song."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from phrase_models.codec import PhraseCodec
from phrase_models.diffusion.config import DenoiserConfig
from phrase_models.diffusion.dataset import LatentDataset, LatentSong, SongBatches
from phrase_models.form.texture import texture_of_slots
from phrase_models.normalizer import LatentNormalizer
from phrase_models.score.chords import transpose_chords
from phrase_models.training.randomness import numpy_generator
from phrase_models.vae.phrase_table import TRANSPOSITIONS, PhraseTable, transpose

LOWEST, HIGHEST = TRANSPOSITIONS
FALLING_SHARE = 0.1
OTHER_KEYS = tuple(key for key in range(LOWEST, HIGHEST + 1) if key)


def transposed_phrases(phrases: Sequence[Sequence[int]], semitones: int) -> list[list[int]]:
    """Phrases so many semitones higher; those that would leave the range of MIDI stay."""
    table = PhraseTable.from_rows(phrases)
    moved: list[list[int]] = []
    for start in range(0, len(table), 4096):
        rows = np.arange(start, min(start + 4096, len(table)))
        tokens = transpose(table.padded(rows), torch.full((len(rows),), semitones)).tolist()
        lengths = table.lengths[rows].tolist()
        moved += [row[:length] for row, length in zip(tokens, lengths, strict=True)]
    return moved


def songs_in_other_keys(
    songs: Sequence[LatentSong], slots: Sequence[Sequence[list[int]]], codec: PhraseCodec
) -> list[LatentSong]:
    """The songs in the other keys, all songs of one key after another.

    Args:
        songs: in their own key.
        slots: tokens of every slot of each of them.
        codec: whose latents they are.
    """
    numbers: dict[tuple[int, ...], int] = {}
    rows = [[numbers.setdefault(tuple(phrase), len(numbers)) for phrase in of] for of in slots]
    moved = []
    for key in OTHER_KEYS:
        in_key = transposed_phrases(list(numbers), key)
        latents = codec.encode_phrases(in_key)
        textures = texture_of_slots([in_key])[0]
        for song, of_song in zip(songs, rows, strict=True):
            plan = song.plan
            if plan.chords is not None:
                plan = replace(plan, chords=transpose_chords(plan.chords, key))
            if plan.texture is not None:
                texture = textures[of_song].reshape(plan.texture.shape)
                plan = replace(plan, texture=texture.astype(np.int64))
            own = latents[of_song].reshape(song.latents.shape)
            moved.append(replace(song, latents=own, plan=plan))
    return moved


class TransposedBatches(SongBatches):
    """Batches whose songs are in another key by a chance, each key as likely.

    The chance is `share` at first and falls to 0 over a tenth of the steps from `own_key_from` of
    them on: what is asked for later is the songs' own key.
    """

    def __init__(
        self,
        songs: Sequence[LatentSong],
        moved: Sequence[LatentSong],
        dataset: LatentDataset,
        normalizer: LatentNormalizer,
        config: DenoiserConfig,
        share: float,
        own_key_from: float,
        *,
        num_steps: int,
    ) -> None:
        super().__init__((*songs, *moved), dataset, normalizer, config)
        self.songs = tuple(songs)  # what rows are drawn from; those of the others follow theirs
        self.share, self.num_steps, self.own_key_from = share, num_steps, own_key_from

    def chance(self, step: int) -> float:
        """That a song is in another key."""
        left = self.own_key_from + FALLING_SHARE - step / self.num_steps
        return self.share * min(1.0, max(0.0, left / FALLING_SHARE))

    def _rows(self, seed: int, step: int, batch_size: int) -> list[int]:
        rows = np.asarray(super()._rows(seed, step, batch_size))
        rng = numpy_generator(seed, "keys", step)
        keys: NDArray[np.int64] = rng.integers(1, len(OTHER_KEYS) + 1, size=len(rows))
        moved = rng.random(len(rows)) < self.chance(step)
        return (rows + len(self.songs) * np.where(moved, keys, 0)).tolist()
