"""Stage `compose_corpus`: the synthetic songs, in the folder layout of the two upstream sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phrase_models.score.synthetic import SyntheticConfig
from phrase_models.score.synthetic_files import write_corpus

if TYPE_CHECKING:
    from tasks.stage import StageContext


def compose_corpus(context: StageContext) -> Mapping[str, Any]:
    """Write the corpus into the stage's output folder."""
    config = context.config_as(SyntheticConfig)
    write_corpus(context.output, config)
    return {"num_songs": config.num_songs}
