"""The sources of songs by name, loaded when they are asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from phrase_models.errors import ConfigurationError

if TYPE_CHECKING:
    from phrase_models.sources.source import SongSource

SOURCES = {
    "synthetic": "phrase_models.sources.synthetic.source:SyntheticSource",
    "pop909": "phrase_models.sources.pop909.source:Pop909Source",
}
"""Name -> module and class, as text, so that no source's code decides what another one gives."""


def find_source(name: str) -> SongSource[Any]:
    """The source of a name.

    Raises:
        ConfigurationError: naming those that there are, if it is none of them.
    """
    if name not in SOURCES:
        message = f"There is no source {name!r}; there are {', '.join(SOURCES)}."
        raise ConfigurationError(message)
    module, _, class_name = SOURCES[name].partition(":")
    source: SongSource[Any] = getattr(import_module(module), class_name)()
    return source
