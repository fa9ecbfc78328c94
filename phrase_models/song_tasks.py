"""What a family may offer beside whole new songs: filling a hole in a song, and varying one.

Harmonising is filling bridge and piano of a song that has a melody alone. Commands know only this,
so a further family is one that has `fill` and `vary`.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from phrase_models.errors import ConfigurationError
from phrase_models.score.reading_report import part_name
from phrase_models.score.song import BRIDGE, MELODY, PIANO, Song


@dataclass(frozen=True, slots=True)
class Hole:
    """What of a song is written anew: what all of the limits allow; a note is where it begins.

    Attributes:
        bars: first bar and the one after the last, from 0; None for all.
        pitches: lowest and highest MIDI number, both included; None for all.
        programs: roles that play in it; empty for all.
        share: of the places (role, sixteenth, pitch) within these limits, by chance, 0..1.
    """

    bars: tuple[int, int] | None = None
    pitches: tuple[int, int] | None = None
    programs: tuple[int, ...] = ()
    share: float = 1.0

    def check(self, song: Song) -> None:
        """Refuse a hole that is not in a song.

        Raises:
            ConfigurationError: with a sentence that says why.
        """
        if self.bars is not None and not 0 <= self.bars[0] < self.bars[1] <= song.num_bars:
            first, last = self.bars[0] + 1, self.bars[1]
            message = f"Bars {first}-{last} are not in a song of {song.num_bars} bars."
            raise ConfigurationError(message)
        if self.pitches is not None and not 0 <= self.pitches[0] <= self.pitches[1] <= 127:
            message = f"Pitches {self.pitches[0]}-{self.pitches[1]} are no range within 0-127."
            raise ConfigurationError(message)
        if not 0 < self.share <= 1:
            message = f"A share of {self.share:g} is no hole; give a number above 0, at most 1."
            raise ConfigurationError(message)

    def in_words(self) -> str:
        """Such as "bars 9-16, bridge and piano"."""
        parts = []
        if self.bars is not None:
            parts.append(f"bars {self.bars[0] + 1}-{self.bars[1]}")
        if self.pitches is not None:
            parts.append(f"pitches {self.pitches[0]}-{self.pitches[1]}")
        if self.programs:
            parts.append(" and ".join(map(part_name, self.programs)))
        if self.share < 1:
            parts.append(f"{self.share:.0%} of the places")
        return ", ".join(parts) or "everything"


ACCOMPANIMENT = Hole(programs=(BRIDGE, PIANO))
"""What harmonising fills."""


@dataclass(frozen=True, slots=True)
class WrittenSong:
    """A song of which a part was given.

    Attributes:
        song: whole.
        given: those of its notes that were there before, exactly as they were.
        provenance: one line for the file.
    """

    song: Song
    given: Song
    provenance: str

    @property
    def num_written(self) -> int:
        """Notes that are new."""
        return self.song.num_notes - self.given.num_notes


class SongTasks(Protocol):
    """A trained model that fills holes and varies songs in C major or A minor."""

    @property
    def name(self) -> str:
        """Of the family."""

    @property
    def max_bars(self) -> int:
        """Of the longest song."""

    def check(self, song: Song, hole: Hole) -> None:
        """Refuse what cannot be filled.

        Raises:
            ConfigurationError: with a sentence that says why.
        """

    def remarks(self, song: Song) -> tuple[str, ...]:
        """What the model cannot see of a song exactly, in sentences."""

    def fill(self, song: Song, hole: Hole, seed: int, index: int) -> WrittenSong:
        """Variant `index` of a seed: notes outside of the hole stay as they are.

        Raises:
            ConfigurationError: as `check`.
        """

    def vary(self, song: Song, amount: float, seed: int, index: int) -> WrittenSong:
        """Variant `index` of a seed, as far away as asked.

        Args:
            song: any; with all its notes at amount 0.
            amount: 0 gives the song back, 1 forgets it.
            seed: of the variants; more of the same one changes with a larger amount.
            index: of the variant.

        Raises:
            ConfigurationError: if the amount is not from 0 to 1, or the song too long.
        """


def melody_alone(song: Song) -> Song:
    """A song without all but its melody, as long as it was.

    Raises:
        ConfigurationError: if there is no melody.
    """
    tracks = tuple(track for track in song.tracks if track.program == MELODY and track.notes)
    if not tracks:
        message = (
            f"{song.song_id} has no melody; say which track it is with --map 'Track 1=melody', or "
            "see --list-tracks."
        )
        raise ConfigurationError(message)
    return replace(song, tracks=tracks)
