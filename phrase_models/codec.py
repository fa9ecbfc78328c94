"""Songs <-> latents: slot layout, tokens and PhraseVAE in one object.

Repeated phrases are computed once, and phrases are batched by length, so that a corpus costs little
more than its distinct phrases.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from phrase_models.form.bar_lines import BarLines, join_phrases
from phrase_models.score.song import Song
from phrase_models.tokens import vocabulary
from phrase_models.tokens.phrase_limit import song_within_limit
from phrase_models.tokens.remiz import DecodeReport
from phrase_models.tokens.song_layout import (
    SlotLayout,
    bars_to_slots,
    bars_to_song,
    slots_per_bar,
    slots_to_bars,
    song_to_bars,
)
from phrase_models.vae.decoding import LatentDecoder, Precision
from phrase_models.vae.encoding import encode_table
from phrase_models.vae.model import PhraseVAE
from phrase_models.vae.phrase_table import PhraseTable
from phrase_models.vae.pretrained import load_vae
from phrase_models.vae.refinement import RefinedLatents, refine
from phrase_models.vae.refinement_config import RefinementConfig
from phrase_models.vae.token_biases import NO_BIASES, TokenBiases


@dataclass(frozen=True, slots=True)
class DecodedSong:
    """A song out of latents.

    Attributes:
        song: may be shorter than asked where an end of song was decoded.
        slots: token ids per bar and slot, as decoded; music after an end of song is not decoded
            and stands there as another end.
        report: repairs that the tokens needed.
    """

    song: Song
    slots: list[list[list[int]]]
    report: DecodeReport


@dataclass(frozen=True, slots=True, eq=False)
class DecodingOptions:
    """How latents that were drawn are decoded; without them, as those of real phrases.

    Attributes:
        biases: see `SamplerConfig`.
        bar_lines: how lines go on across bar lines; None where it is not known.
        bar_line_weight: see `SamplerConfig`.
    """

    biases: TokenBiases = NO_BIASES
    bar_lines: BarLines | None = None
    bar_line_weight: float = 0.0

    @property
    def lines(self) -> BarLines | None:
        """What joins phrases across bar lines, if anything."""
        return self.bar_lines if self.bar_line_weight else None


class PhraseCodec:
    """A trained PhraseVAE with a slot layout."""

    def __init__(
        self,
        vae: PhraseVAE,
        layout: SlotLayout,
        *,
        precision: Precision = "fp32",
        refinement: RefinementConfig | None = None,
        noise_level: float = 0.0,
    ) -> None:
        """Take a VAE over.

        Args:
            vae: trained; its weights must stay as they are.
            layout: which phrase stands in which slot of a bar.
            precision: "bf16" is for the matrix products, where the last tokens may differ.
            refinement: how latents of phrases that do not come back are improved; None for the
                encoder alone.
            noise_level: what the decoder is told of the noise on latents, in standard deviations;
                for a VAE with `noise_level_input`.
        """
        self.vae, self.layout, self.precision = vae.eval(), layout, precision
        self.refinement, self.noise_level = refinement, noise_level
        self.slots_per_bar = slots_per_bar(layout)

    @cached_property
    def decoder(self) -> LatentDecoder:
        """The way back from latents."""
        return LatentDecoder(self.vae, self.precision, noise_level=self.noise_level)

    @classmethod
    def load(
        cls, vae_folder: Path, layout: SlotLayout, *, refinement: RefinementConfig | None = None
    ) -> "PhraseCodec":
        """From a folder written by `save_vae`."""
        return cls(load_vae(vae_folder), layout, refinement=refinement)

    def encode_phrases(self, phrases: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Latents of token sequences (N, D): posterior means, refined if the codec refines."""
        if self.refinement is not None:
            return self.encode_refined(phrases, self.refinement).latents
        table, rows = _distinct_phrases(phrases)
        return self._encode_table(table)[rows]

    def encode_refined(
        self, phrases: Sequence[Sequence[int]], refinement: RefinementConfig
    ) -> RefinedLatents:
        """Refined latents of token sequences (N, D), what they decode to, and what was done.

        Equal phrases are refined, and counted, once.
        """
        table, rows = _distinct_phrases(phrases)
        distinct = [table.row(row) for row in range(len(table))]
        means = self._encode_table(table)
        with self._products():
            refined = refine(self.decoder, distinct, means, refinement)
        return refined.expanded(rows)

    def _encode_table(self, table: PhraseTable) -> NDArray[np.float32]:
        with self._products():
            return encode_table(self.vae, table, self.precision)

    @contextmanager
    def _products(self) -> Iterator[None]:
        """The quick way through matrix products where it is as exact as the default one."""
        before = torch.get_float32_matmul_precision()
        if self.vae.embedding.weight.device.type == "cpu" and _onednn_is_exact():
            torch.set_float32_matmul_precision("medium")
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)

    @property
    def grid(self) -> Literal[16, 48]:
        """Places a bar that notes must be on."""
        return self.vae.config.grid

    def within_limit(self, song: Song) -> tuple[Song, tuple[str, ...]]:
        """A song whose phrases the VAE can hold, and a sentence for each that had to be cut."""
        limit = self.vae.config.max_tokens
        fitting, cuts = song_within_limit(song, limit)
        return fitting, tuple(cut.sentence(limit) for cut in cuts)

    def encode_song(self, song: Song) -> NDArray[np.float32]:
        """Latents of a song (num_bars, slots, D); warns of phrases that had to be cut.

        Its notes should be on the codec's grid, as `read_with_report` reads them for it.
        """
        fitting, cuts = self.within_limit(song)
        for sentence in cuts:
            warnings.warn(sentence, stacklevel=2)
        slots = bars_to_slots(song_to_bars(fitting), self.layout)
        flat = [phrase for bar in slots for phrase in bar]
        latents = self.encode_phrases(flat)
        return latents.reshape(song.num_bars, self.slots_per_bar, -1)

    def decode_phrases(self, latents: NDArray[np.float32]) -> list[list[int]]:
        """Token sequences of latents (N, D); equal latents are decoded once."""
        distinct, inverse = distinct_rows(latents)
        with self._products():
            phrases = self.decoder.decode(latents[distinct])
        return [phrases[index] for index in inverse.tolist()]

    def reconstruct(self, phrases: Sequence[Sequence[int]]) -> list[list[int]]:
        """Token sequences through their latents and back."""
        if self.refinement is not None:
            return self.encode_refined(phrases, self.refinement).outputs
        return self.decode_phrases(self.encode_phrases(phrases))

    def decode_song(
        self,
        latents: NDArray[np.float32],
        options: DecodingOptions = DecodingOptions(),
        kept: NDArray[np.bool_] | None = None,
        **song_fields: Any,
    ) -> DecodedSong:
        """A song from latents (num_bars, slots, D).

        Args:
            latents: raw.
            options: for latents that were drawn.
            kept: slots whose latents are those of given phrases, (num_bars, slots).
            **song_fields: `song_id`, and any other field of `Song` but bars and tracks.
        """
        return self.decode_songs([latents], [song_fields], options, [kept])[0]

    def decode_songs(
        self,
        songs: Sequence[NDArray[np.float32]],
        song_fields: Sequence[dict[str, Any]],
        options: DecodingOptions = DecodingOptions(),
        kept: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> list[DecodedSong]:
        """Several songs at once, which is quicker than one after another.

        Args:
            songs: raw latents of each (num_bars, slots, D).
            song_fields: what `decode_song` takes, of each.
            options: for latents that were drawn.
            kept: of each, slots whose latents are those of given phrases, (num_bars, slots).
        """
        if not songs:
            return []
        decoded = []
        slots_of_songs = self._slots_of_songs(songs, options, kept)
        for slots, fields in zip(slots_of_songs, song_fields, strict=True):
            bars, report = slots_to_bars(slots, self.layout)
            decoded.append(DecodedSong(bars_to_song(bars, **fields), slots, report))
        return decoded

    def reencode_songs(self, songs: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Latents of the phrases that songs of raw latents (num_bars, slots, D) decode to."""
        if not songs:
            return []
        decoded = self._slots_of_songs(songs)
        phrases = [phrase for song in decoded for bar in song for phrase in bar]
        latents = self.encode_phrases(phrases)
        ends = np.cumsum([len(song) * self.slots_per_bar for song in songs])
        parts = np.split(latents, ends[:-1])
        return [part.reshape(song.shape) for part, song in zip(parts, songs, strict=True)]

    def _slots_of_songs(
        self,
        songs: Sequence[NDArray[np.float32]],
        options: DecodingOptions = DecodingOptions(),
        kept: Sequence[NDArray[np.bool_] | None] | None = None,
    ) -> list[list[list[list[int]]]]:
        """Token ids per song, bar and slot."""
        flat = np.concatenate([song.reshape(-1, song.shape[-1]) for song in songs])
        distinct, inverse = distinct_rows(flat)
        with self._products():
            firsts = self.decoder.first_tokens(flat[distinct])
            sizes = [len(song) * self.slots_per_bar for song in songs]
            heard = np.zeros(len(distinct), np.bool_)
            heard[inverse[_before_end(firsts[inverse], sizes)]] = True
            is_music = firsts >= vocabulary.FIRST_PROGRAM
            rows = np.flatnonzero(heard & is_music)
            music, ends_of_music = self._decode_music(flat[distinct[rows]], options)
        specials = np.where(is_music, vocabulary.END_OF_SONG, firsts)
        phrases = [[token] for token in specials.tolist()]
        for row, phrase in zip(rows.tolist(), music, strict=True):
            phrases[row] = phrase
        ends = dict(zip(rows.tolist(), ends_of_music, strict=True))
        found = []
        edges = np.cumsum([0, *sizes])
        for index, (start, end) in enumerate(pairwise(edges.tolist())):
            numbers = inverse[start:end].reshape(-1, self.slots_per_bar)
            slots = [[phrases[number] for number in bar] for bar in numbers.tolist()]
            if options.lines is not None:
                given = None if kept is None else kept[index]
                _join_lines(slots, numbers, ends, options.lines, options.bar_line_weight, given)
            found.append(slots)
        return found

    def _decode_music(
        self, latents: NDArray[np.float32], options: DecodingOptions
    ) -> tuple[list[list[int]], NDArray[np.float32]]:
        """Phrases of latents (N, D), and what else they might begin and end with, if needed."""
        if options.lines is None:
            phrases = self.decoder.decode(latents, biases=options.biases)
            return phrases, np.empty((len(phrases), 0), np.float32)
        return self.decoder.decode_with_ends(latents, biases=options.biases)


def _join_lines(
    slots: list[list[list[int]]],
    numbers: NDArray[np.int64],
    ends: Mapping[int, NDArray[np.float32]],
    lines: BarLines,
    weight: float,
    kept: NDArray[np.bool_] | None,
) -> None:
    """Choose first and last pitches of the phrases of a song beside each other, in its slots.

    Args:
        slots: token ids per bar and slot, changed in place.
        numbers: of the phrase of each slot, (num_bars, slots).
        ends: of each phrase of notes, by its number; see `LatentDecoder.decode_with_ends`.
        lines: how they should go on.
        weight: of that.
        kept: given slots, (num_bars, slots).
    """
    for slot in lines.slots:
        line = numbers[:, slot]
        phrases = {number: bar[slot] for number, bar in zip(line.tolist(), slots, strict=True)}
        given = None if kept is None else kept[:, slot]
        changed = join_phrases(line, phrases, ends, lines.log_odds[slot], weight, given)
        for bar, number in zip(slots, line.tolist(), strict=True):
            bar[slot] = changed.get(number, bar[slot])


def _distinct_phrases(phrases: Sequence[Sequence[int]]) -> tuple[PhraseTable, list[int]]:
    """Each phrase once, in the order of first occurrence, and which row each one is."""
    numbers: dict[tuple[int, ...], int] = {}
    rows = [numbers.setdefault(tuple(phrase), len(numbers)) for phrase in phrases]
    return PhraseTable.build(phrases), rows


def _before_end(firsts: NDArray[np.int64], sizes: Sequence[int]) -> NDArray[np.bool_]:
    """Which slots come before the end of their song.

    Args:
        firsts: first token of every slot of all songs (N,).
        sizes: slots of each song.
    """
    before = np.ones(len(firsts), np.bool_)
    start = 0
    for size in sizes:
        ends = np.flatnonzero(firsts[start : start + size] == vocabulary.END_OF_SONG)
        if len(ends):
            before[start + ends[0] : start + size] = False
        start += size
    return before


def distinct_rows(values: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows (N, D) by bytes: where each distinct one first stands (M,), and its number (N,)."""
    numbers: dict[bytes, int] = {}
    firsts: list[int] = []
    inverse = np.empty(len(values), np.int64)
    for index, row in enumerate(np.ascontiguousarray(values)):
        number = numbers.setdefault(row.tobytes(), len(numbers))
        if number == len(firsts):
            firsts.append(index)
        inverse[index] = number
    return np.asarray(firsts, np.int64), inverse


@cache
def _onednn_is_exact() -> bool:
    """Whether fp32 products stay fp32 under the precision "medium".

    On processors with AMX they become bf16 there; on others oneDNN's fp32 is up to twice as fast as
    the default.
    """
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(64, 512, generator=generator) for _ in range(2))
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    quick = left @ right.T
    torch.set_float32_matmul_precision(before)
    exact = left.double() @ right.double().T
    return bool((quick - exact).abs().max() < 1e-5 * exact.abs().max())
