"""Songs <-> latents: slot layout, tokens and PhraseVAE in one object.

Repeated phrases are computed once, and phrases are batched by length, so that a corpus costs little
more than its distinct phrases.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phrase_models.score.song import Song
from phrase_models.tokens.remiz import DecodeReport
from phrase_models.tokens.song_layout import (
    SlotLayout,
    bars_to_slots,
    bars_to_song,
    slots_per_bar,
    slots_to_bars,
    song_to_bars,
)
from phrase_models.vae.decoding import decode_latents
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phrase_table import PhraseTable, padded_length
from phrase_models.vae.pretrained import load_vae

ENCODE_TOKENS = 8192
"""Padded tokens encoded together."""


@dataclass(frozen=True, slots=True)
class DecodedSong:
    """A song out of latents.

    Attributes:
        song: may be shorter than asked where an end of song was decoded.
        slots: token ids per bar and slot, as decoded.
        report: repairs that the tokens needed.
    """

    song: Song
    slots: list[list[list[int]]]
    report: DecodeReport


class PhraseCodec:
    """A trained PhraseVAE with a slot layout."""

    def __init__(self, vae: PhraseVAE, layout: SlotLayout) -> None:
        self.vae, self.layout = vae.eval(), layout
        self.slots_per_bar = slots_per_bar(layout)

    @classmethod
    def load(cls, vae_folder: Path, layout: SlotLayout) -> "PhraseCodec":
        """From a folder written by `save_vae`."""
        return cls(load_vae(vae_folder), layout)

    def encode_phrases(self, phrases: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Posterior means of token sequences: (N, D)."""
        table = PhraseTable.build(phrases)
        numbers: dict[tuple[int, ...], int] = {}
        rows = [numbers.setdefault(tuple(phrase), len(numbers)) for phrase in phrases]
        return self._encode_table(table)[rows]

    @torch.no_grad()
    def _encode_table(self, table: PhraseTable) -> NDArray[np.float32]:
        latents = np.empty((len(table), self.vae.config.latent_dim), np.float32)
        lengths = np.array([padded_length(length) for length in table.lengths.tolist()])
        device = self.vae.embedding.weight.device
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            size = max(1, ENCODE_TOKENS // int(length))
            for start in range(0, len(rows), size):
                chunk = rows[start : start + size]
                tokens = table.padded(chunk, int(length)).to(device)
                latents[chunk] = self.vae.posterior(tokens).mean.float().cpu().numpy()
        return latents

    def encode_song(self, song: Song) -> NDArray[np.float32]:
        """Latents of a song (num_bars, slots, D)."""
        slots = bars_to_slots(song_to_bars(song), self.layout)
        flat = [phrase for bar in slots for phrase in bar]
        latents = self.encode_phrases(flat)
        return latents.reshape(song.num_bars, self.slots_per_bar, -1)

    def decode_phrases(self, latents: NDArray[np.float32]) -> list[list[int]]:
        """Token sequences of latents (N, D); equal latents are decoded once."""
        distinct, inverse = np.unique(latents, axis=0, return_inverse=True)
        phrases = decode_latents(self.vae, distinct)
        return [phrases[index] for index in inverse.ravel().tolist()]

    def decode_song(self, latents: NDArray[np.float32], **song_fields: Any) -> DecodedSong:
        """A song from latents (num_bars, slots, D).

        Args:
            latents: raw.
            **song_fields: `song_id`, and any other field of `Song` but bars and tracks.
        """
        num_bars = len(latents)
        flat = self.decode_phrases(latents.reshape(num_bars * self.slots_per_bar, -1))
        slots = [
            flat[start : start + self.slots_per_bar]
            for start in range(0, len(flat), self.slots_per_bar)
        ]
        bars, report = slots_to_bars(slots, self.layout)
        return DecodedSong(bars_to_song(bars, **song_fields), slots, report)
