"""Latents of songs on disk, and training batches as a pure function of (seed, step).

A dataset folder holds `latents.npy` (float32 (R, D), a row a slot, bar by bar), `songs.json` (a
list of song_id, split, first_row, num_bars, section_layout) and `dataset.json` (layout,
slots_per_bar, latent_dim and, for models that pad with it, end_of_song_latent of D numbers). Form
and chords of the songs may lie beside them, see `plan_arrays`, and `bar_lines.json`, how lines of
the training songs go on across bar lines.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phrase_models.diffusion.conditioning import PlanBatch, collate_plans
from phrase_models.diffusion.config import DenoiserConfig
from phrase_models.diffusion.plan import (
    PlanFeatures,
    SongPlan,
    check_plan,
    check_vocabulary,
    features_of_plan,
    permuted_letters,
    plan_from_layout,
)
from phrase_models.diffusion.plan_arrays import PlanArrays
from phrase_models.errors import ConfigurationError
from phrase_models.form.bar_lines import BAR_LINES_FILE, BarLines, read_bar_lines
from phrase_models.form.song_form import CellState
from phrase_models.normalizer import LatentNormalizer
from phrase_models.training.randomness import numpy_generator

BAR_MULTIPLE = 8
"""Batches are padded to multiples of this many bars: few distinct shapes are quicker on a CPU."""
SORTED_BATCHES = 8
"""Batches whose songs are sorted by length among each other: a third of padding becomes a tenth."""


@dataclass(frozen=True, slots=True)
class LatentSong:
    """One song of a dataset: its raw latents (num_bars, S, D), a view of the file, and its plan."""

    song_id: str
    split: str
    latents: NDArray[np.float32]
    plan: SongPlan


@dataclass(frozen=True, slots=True)
class LatentDataset:
    """All songs of a dataset folder, in the order of `songs.json`."""

    songs: tuple[LatentSong, ...]
    layout: str
    slots_per_bar: int
    latent_dim: int
    end_of_song_latent: NDArray[np.float32] | None
    bar_lines: BarLines | None = None

    def split(self, name: str) -> tuple[LatentSong, ...]:
        """The songs of one split."""
        return tuple(song for song in self.songs if song.split == name)

    def training_latents(self) -> NDArray[np.float32]:
        """All bars of the training songs (bars, S, D), raw.

        Raises:
            ConfigurationError: if there are no training songs.
        """
        songs = self.split("train")
        if not songs:
            message = "The dataset has no songs in split 'train'; ingest more songs."
            raise ConfigurationError(message)
        return np.concatenate([song.latents for song in songs])

    def empty_slot_latents(self) -> NDArray[np.float32] | None:
        """The raw latents of silent slots (S, D), as the training songs have them.

        All silent slots hold the same phrase, so the first one serves; a slot that is never silent
        borrows from another. None where no form says what is silent.
        """
        found: dict[int, NDArray[np.float32]] = {}
        for song in self.split("train"):
            if song.plan.form is None:
                continue
            silent = song.plan.form.states == CellState.SILENT
            for slot in np.flatnonzero(silent.any(axis=0)).tolist():
                found.setdefault(slot, np.asarray(song.latents[silent[:, slot].argmax(), slot]))
            if len(found) == self.slots_per_bar:
                break
        if not found:
            return None
        some = found[min(found)]
        return np.stack([found.get(slot, some) for slot in range(self.slots_per_bar)])


def read_dataset(folder: Path) -> LatentDataset:
    """Open a dataset folder; the latents are memory-mapped.

    Raises:
        ConfigurationError: if a song's section layout does not add up to its bars.
    """
    description = json.loads((folder / "dataset.json").read_text())
    slots, latent_dim = description["slots_per_bar"], description["latent_dim"]
    rows = np.load(folder / "latents.npy", mmap_mode="r")
    plans = PlanArrays.read(folder)
    songs = tuple(
        _song(entry, rows, slots, plans)
        for entry in json.loads((folder / "songs.json").read_text())
    )
    end = description.get("end_of_song_latent")
    lines = folder / BAR_LINES_FILE
    return LatentDataset(
        songs,
        description["layout"],
        slots,
        latent_dim,
        None if end is None else np.asarray(end, np.float32),
        read_bar_lines(lines, slots) if lines.exists() else None,
    )


def _song(
    entry: dict[str, Any], rows: NDArray[np.float32], slots: int, plans: PlanArrays
) -> LatentSong:
    first, num_bars = entry["first_row"], entry["num_bars"]
    latents = rows[first : first + num_bars * slots].reshape(num_bars, slots, -1)
    try:
        plan = plan_from_layout(entry.get("section_layout"), num_bars)
        plan = plans.complete(plan, first // slots)
    except ConfigurationError as error:
        message = f"Song {entry['song_id']} of the dataset is damaged: {error}"
        raise ConfigurationError(message) from error
    return LatentSong(entry["song_id"], entry["split"], latents, plan)


@dataclass(frozen=True, slots=True)
class LatentBatch:
    """Latents of unit scale (B, N, S, D), zero or end-of-song after the end, and their plans."""

    latents: Tensor
    plans: PlanBatch


class SongBatches:
    """Batches of some songs, normalised once and kept in memory."""

    def __init__(
        self,
        songs: Sequence[LatentSong],
        dataset: LatentDataset,
        normalizer: LatentNormalizer,
        config: DenoiserConfig,
    ) -> None:
        self.config = config
        self.songs = tuple(songs)
        self.latents = [normalizer.normalise(np.asarray(song.latents)) for song in songs]
        self.features: list[PlanFeatures] = []
        for song in songs:
            plan = check_plan(song.plan, config.max_bars)
            check_vocabulary(plan, dataset.slots_per_bar, config.num_chords)
            self.features.append(features_of_plan(plan, len(song.latents)))
        self.padding = np.zeros((dataset.slots_per_bar, dataset.latent_dim), np.float32)
        if config.pad_with_end:
            if dataset.end_of_song_latent is None:
                message = (
                    "A model that pads with the end of song needs `end_of_song_latent` in the "
                    "dataset's dataset.json; encode the latents again or set pad_with_end to false."
                )
                raise ConfigurationError(message)
            end = np.broadcast_to(dataset.end_of_song_latent, self.padding.shape)
            self.padding = normalizer.normalise(end)

    def training_batch(self, seed: int, step: int, batch_size: int) -> LatentBatch:
        """The batch of optimiser step `step`, of songs from shuffled epochs end to end.

        Songs of a batch are of similar length and in random order.
        """
        rows = self._rows(seed, step, batch_size)
        tables = None
        if self.config.permute_letters:
            rng = numpy_generator(seed, "letters", step)
            tables = [permuted_letters(rng) for _ in rows]
        return self.batch(rows, tables)

    def _rows(self, seed: int, step: int, batch_size: int) -> list[int]:
        num_batches = max(1, min(SORTED_BATCHES, len(self.songs) // batch_size))
        if self.config.pad_with_end:  # then all are equally long
            num_batches = 1
        window, place = divmod(step, num_batches)
        num_songs = num_batches * batch_size
        drawn = []
        for number in range(window * num_songs, (window + 1) * num_songs):
            epoch, offset = divmod(number, len(self.songs))
            drawn.append(int(_permutation(seed, "epoch", epoch, len(self.songs))[offset]))
        drawn.sort(key=lambda row: len(self.latents[row]))
        start = batch_size * int(_permutation(seed, "window", window, num_batches)[place])
        rows = np.asarray(drawn[start : start + batch_size])
        return numpy_generator(seed, "order", step).permutation(rows).tolist()

    def batch(
        self, rows: Sequence[int], letter_tables: Sequence[NDArray[np.int64]] | None = None
    ) -> LatentBatch:
        """The songs at these indices, padded to a multiple of BAR_MULTIPLE bars."""
        longest = max(len(self.latents[row]) for row in rows)
        width = min(-(-longest // BAR_MULTIPLE) * BAR_MULTIPLE, self.config.max_bars)
        if self.config.pad_with_end:
            width = self.config.max_bars
        latents = np.empty((len(rows), width, *self.padding.shape), np.float32)
        latents[:] = self.padding
        for place, row in enumerate(rows):
            latents[place, : len(self.latents[row])] = self.latents[row]
        plans = collate_plans(
            [self.features[row] for row in rows],
            width,
            self.config,
            letter_tables,
            num_slots=len(self.padding),
        )
        return LatentBatch(torch.from_numpy(latents), plans)


@lru_cache(maxsize=4)
def _permutation(seed: int, name: str, number: int, count: int) -> NDArray[np.int64]:
    return numpy_generator(seed, name, number).permutation(count)
