"""Composed songs as a source: written in the layout of POP909, and read by its reader."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from phrase_models.sources.pop909.source import Pop909Source
from phrase_models.sources.source import Checkout
from phrase_models.sources.synthetic.composer import SyntheticConfig
from phrase_models.sources.synthetic.files import write_corpus


class SyntheticSource(Pop909Source):
    """A corpus that a stage composes; implements `SongSource` and `CorpusComposer`."""

    settings_type: ClassVar[type[BaseModel]] = SyntheticConfig
    folder_holds: ClassVar[str] = "a corpus as `compose` writes it"
    description: ClassVar[str] = "composed by `phrase_models.sources.synthetic`, no real music"
    licence: ClassVar[str] = ""
    checkouts: ClassVar[Mapping[str, Checkout]] = {}

    def compose(self, folder: Path, settings: BaseModel) -> Mapping[str, int]:
        """Write the corpus.

        Args:
            folder: gets both repositories' folders.
            settings: a `SyntheticConfig`.
        """
        config = SyntheticConfig.model_validate(settings)
        write_corpus(folder, config)
        return {"num_songs": config.num_songs}
