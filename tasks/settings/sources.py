"""Names of the sources of songs, for help texts: light, so that help answers at once."""

from phrase_models.sources.registry import SOURCES

SOURCE_NAMES = " or ".join(SOURCES)
