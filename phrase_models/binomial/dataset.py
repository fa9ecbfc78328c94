"""The training data: rolls of whole songs as rows of bits, and segments cut from them at bars.

A folder holds `rolls.npy`, (R, bytes) uint8 with a row a bar (see `pack_bars`), `songs.json` and
`dataset.json`, the configuration of the rolls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, RootModel
from torch import Tensor

from phrase_models.binomial.config import STEPS_PER_ROLL_BAR, RollConfig
from phrase_models.binomial.network import song_places
from phrase_models.binomial.rolls import Roll, unpack_bars
from phrase_models.errors import ConfigurationError
from phrase_models.model_files import MissingFileError, read_json_as, unusable
from phrase_models.training.randomness import numpy_generator
from phrase_models.whole_files import write_whole_json

ROLLS_FILE, SONGS_FILE, DATASET_FILE = "rolls.npy", "songs.json", "dataset.json"
LONGEST_SONG = 4096
BARS_AT_ONCE = 4096


class RollSong(BaseModel):
    """Where a song lies.

    Attributes:
        song_id: its name.
        split: "train" or "validation".
        first_row: of its bars.
        num_bars: rows it takes.
        section_layout: such as "i4 A8", empty where unknown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    song_id: str
    split: str
    first_row: int = Field(ge=0)
    num_bars: int = Field(ge=1, le=LONGEST_SONG)
    section_layout: str = ""


class RollSongs(RootModel[list[RollSong]]):
    """What `songs.json` holds."""


@dataclass(frozen=True, slots=True)
class RollDataset:
    """Rolls of a corpus.

    Attributes:
        config: what the cells are.
        rows: (R, bytes) uint8, a bar each; mapped from the file.
        songs: in the order of their rows.
    """

    config: RollConfig
    rows: NDArray[np.uint8]
    songs: tuple[RollSong, ...]

    def split(self, name: str) -> list[RollSong]:
        """The songs of a split."""
        return [song for song in self.songs if song.split == name]

    def roll(self, song: RollSong, first: int = 0, count: int | None = None) -> Roll:
        """Bars of a song from `first` on, (C, 16 count, P); silent where it is over."""
        end = song.num_bars if count is None else min(first + count, song.num_bars)
        roll = unpack_bars(self.rows[song.first_row + first : song.first_row + end], self.config)
        missing = 0 if count is None else (first + count - end) * STEPS_PER_ROLL_BAR
        return np.pad(roll, ((0, 0), (0, missing), (0, 0))) if missing else roll

    def densities(self) -> Tensor:
        """Share of the training songs' cells that are 1, float32 (C, P), never 0 or 1."""
        counts = np.zeros((self.config.num_planes, self.config.num_pitches))
        num_steps = 0
        for song in self.split("train"):
            roll = self.roll(song)
            counts += roll.sum(axis=1)
            num_steps += roll.shape[1]
        return torch.from_numpy((counts + 0.5) / (num_steps + 1)).float()


def write_dataset(
    folder: Path, config: RollConfig, rows: NDArray[np.uint8], songs: Sequence[RollSong]
) -> None:
    """Write what `read_dataset` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / ROLLS_FILE, rows)
    write_whole_json(folder / SONGS_FILE, RollSongs(list(songs)).model_dump())
    write_whole_json(folder / DATASET_FILE, config.model_dump(), indent=1)


def read_dataset(folder: Path) -> RollDataset:
    """Map the rolls of a folder into memory.

    Raises:
        ConfigurationError: if there are none, or damaged ones, or no training songs.
    """
    try:
        config = read_json_as(folder / DATASET_FILE, RollConfig)
    except MissingFileError as error:
        message = f"There are no piano rolls in {folder}; run the pipeline to make them."
        raise ConfigurationError(message) from error
    songs = tuple(read_json_as(folder / SONGS_FILE, RollSongs).root)
    rows = np.load(folder / ROLLS_FILE, mmap_mode="r", allow_pickle=False)
    num_bytes = config.num_planes * STEPS_PER_ROLL_BAR * config.num_pitches // 8
    if rows.shape != (sum(song.num_bars for song in songs), num_bytes):
        raise unusable(folder / ROLLS_FILE, f"it holds {rows.shape}, not the bars of its songs")
    dataset = RollDataset(config, rows, songs)
    if not dataset.split("train"):
        message = f"The piano rolls in {folder} have no training song; ingest more songs."
        raise ConfigurationError(message)
    return dataset


@dataclass(frozen=True, slots=True)
class Segments:
    """B segments of N bars.

    Attributes:
        cells: (B, C, 16 N, P) bool.
        places: (B, N, 2), see `RollCondition`.
    """

    cells: Tensor
    places: Tensor


def read_segments(dataset: RollDataset, chosen: Sequence[tuple[RollSong, int]]) -> Segments:
    """Segments by song and first bar; a short song is padded with silence."""
    count = dataset.config.segment_bars
    cells = np.stack([dataset.roll(song, first, count) for song, first in chosen])
    places = torch.stack([song_places(song.num_bars, first, count) for song, first in chosen])
    return Segments(torch.from_numpy(cells), places)


class SegmentBatches:
    """Batches of the training songs: every segment at a bar line is as likely as any other."""

    def __init__(self, dataset: RollDataset, *, batch_size: int, seed: int) -> None:
        self.dataset, self.batch_size, self.seed = dataset, batch_size, seed
        self.songs = dataset.split("train")
        counts = [max(1, song.num_bars - dataset.config.segment_bars + 1) for song in self.songs]
        self.ends = np.cumsum(counts)

    def batch(self, step: int) -> Segments:
        """The batch of a step, a pure function of it."""
        rng = numpy_generator(self.seed, "segments", step)
        places = rng.integers(self.ends[-1], size=self.batch_size)
        indices = np.searchsorted(self.ends, places, side="right")
        starts = places - np.concatenate(([0], self.ends))[indices]
        songs = [self.songs[index] for index in indices]
        return read_segments(self.dataset, list(zip(songs, starts.tolist(), strict=True)))


def held_out_segments(dataset: RollDataset, most: int) -> list[tuple[RollSong, int]]:
    """Segments of the validation songs (training songs where there are none), spread evenly."""
    count = dataset.config.segment_bars
    chosen = [
        (song, first)
        for song in dataset.split("validation") or dataset.split("train")
        for first in range(0, max(1, song.num_bars - count + 1), count)
    ]
    if len(chosen) > most:
        chosen = [chosen[int(index * len(chosen) / most)] for index in range(most)]
    return chosen
