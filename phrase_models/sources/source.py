"""What a source of songs offers: the one interface that stages, cards and commands know.

A new source is a module with a class of this shape and a line in
`phrase_models.sources.registry`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from pydantic import BaseModel, ConfigDict

from phrase_models.score.song import Song
from phrase_models.sources.acceptance_rules import IngestConfig


@dataclass(frozen=True, slots=True)
class SongEntry:
    """A song that a source lists; a source may add what it needs for reading it.

    Attributes:
        song_id: name, unique within the source.
        present: whether its files are there.
    """

    song_id: str
    present: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, slots=True)
class IngestedSong:
    """What became of a song.

    Attributes:
        song_id: of the entry.
        accepted: whether the song is used.
        reason: "ok", or the code of what is wrong.
        detail: the same as a plain sentence; empty for "ok".
        song: on the grid, in C major or A minor; None unless accepted.
        statistics: what was measured on the way, by column of the songs table.
        melody: pitches of the melody, by which duplicates are found; also of songs that are not
            accepted.
    """

    song_id: str
    accepted: bool
    reason: str
    detail: str = ""
    song: Song | None = None
    statistics: Mapping[str, int | float | str | None] = field(default_factory=dict)
    melody: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Checkout:
    """A git repository that a source reads, at the commit this program was built on."""

    address: str
    commit: str


class NoSettings(BaseModel):
    """Of a source that has nothing to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")


EntryT = TypeVar("EntryT", bound=SongEntry)


class SongSource(Protocol[EntryT]):
    """Where songs come from.

    It is handed to worker processes, so it must be picklable: a class without state is.

    Attributes:
        settings_type: frozen pydantic model of what can be chosen, all with defaults; stands in the
            pipeline's configuration under the name of the source. It decides the composed corpus
            where the source composes one, and what is read where it does not.
        folder_holds: what `--data` must name, as a noun phrase.
        description: the songs, for model cards, without a full stop.
        licence: what a user of a model trained on them should know, in sentences; may be "".
        checkouts: repositories that `phraseldm fetch` clones into the data folder, by folder name.
    """

    @property
    def settings_type(self) -> type[BaseModel]: ...  # noqa: D102
    @property
    def folder_holds(self) -> str: ...  # noqa: D102
    @property
    def description(self) -> str: ...  # noqa: D102
    @property
    def licence(self) -> str: ...  # noqa: D102
    @property
    def checkouts(self) -> Mapping[str, Checkout]: ...  # noqa: D102

    def check_folder(self, folder: Path) -> None:
        """Look whether the songs are there, without reading them.

        Raises:
            ConfigurationError: in one plain sentence, if they are not.
        """

    def read_folders(self, folder: Path) -> Mapping[str, Path]:
        """Folders, by name, whose files are all that is read: their digests are part of the key."""

    def list_songs(self, folder: Path, settings: BaseModel) -> Sequence[EntryT]:
        """The songs that there are, or should be, by id.

        Raises:
            UserError: if the list itself cannot be read.
        """

    def read_song(
        self, folder: Path, entry: EntryT, rules: IngestConfig, settings: BaseModel
    ) -> IngestedSong:
        """Read and judge one song; a bad file is a reason, never an exception.

        Args:
            folder: as for `list_songs`.
            entry: one that `list_songs` gave.
            rules: thresholds of acceptance (`acceptance_rules.judge`), and the grid.
            settings: of the source.
        """


@runtime_checkable
class CorpusComposer(Protocol):
    """A source that writes its songs first, as files of a stage's artifact, and then reads them."""

    def compose(self, folder: Path, settings: BaseModel) -> Mapping[str, int]:
        """Write the corpus into an empty folder.

        Returns:
            A few numbers for people.
        """
