"""POP909 and its human analysis as a source of songs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from phrase_models.errors import ConfigurationError
from phrase_models.sources.acceptance_rules import IngestConfig
from phrase_models.sources.pop909.songs import (
    DATASET,
    STRUCTURE,
    IndexedSong,
    ingest_song,
    list_songs,
)
from phrase_models.sources.source import Checkout, IngestedSong, NoSettings


class Pop909Source:
    """Two checkouts in one folder, as cloned; implements `SongSource`."""

    settings_type: ClassVar[type[BaseModel]] = NoSettings
    folder_holds: ClassVar[str] = (
        "a folder that holds checkouts of github.com/music-x-lab/POP909-Dataset and "
        "github.com/Dsqvival/hierarchical-structure-analysis"
    )
    description: ClassVar[str] = (
        "POP909 (Wang et al. 2020), with the section labels of Dai et al. 2020"
    )
    licence: ClassVar[str] = (
        "POP909 and its section labels are MIT; the songs they transcribe are copyrighted "
        "compositions."
    )
    checkouts: ClassVar[Mapping[str, Checkout]] = {
        DATASET.parts[0]: Checkout(
            "https://github.com/music-x-lab/POP909-Dataset",
            "d83e6edba6872a704f5d3b8b32f5cb540088dae6",
        ),
        STRUCTURE.parts[0]: Checkout(
            "https://github.com/Dsqvival/hierarchical-structure-analysis",
            "939ff9f9b8e9eae4207befb827b690f6cd3ea814",
        ),
    }

    def check_folder(self, folder: Path) -> None:
        """Look for both checkouts.

        Raises:
            ConfigurationError: if one is missing.
        """
        for part in (DATASET, STRUCTURE):
            if not (folder / part).is_dir():
                message = (
                    f"There is no folder {part.as_posix()} in {folder}; --data, of a deployment "
                    "the parameter data, should hold both checkouts."
                )
                raise ConfigurationError(message)

    def read_folders(self, folder: Path) -> Mapping[str, Path]:
        """The songs of both checkouts, without what git keeps beside them."""
        return {part.parts[0]: folder / part for part in (DATASET, STRUCTURE)}

    def list_songs(self, folder: Path, settings: BaseModel) -> Sequence[IndexedSong]:
        """Songs of the index and of the folders, by id."""
        del settings
        return list_songs(folder)

    def read_song(
        self, folder: Path, entry: IndexedSong, rules: IngestConfig, settings: BaseModel
    ) -> IngestedSong:
        """Align, quantise and judge one song."""
        del settings
        return ingest_song(folder, entry, rules)
