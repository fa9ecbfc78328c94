"""Stage `compose_corpus`: the synthetic songs, in the folder layout of the two upstream sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phrase_models.sources.synthetic.composer import SyntheticConfig
from phrase_models.sources.synthetic.files import write_corpus
from tasks.engine.stage import Stage
from tasks.settings.pipeline import PipelineConfig

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext


def compose_corpus(context: StageContext) -> Mapping[str, Any]:
    """Write the corpus into the stage's output folder."""
    config = context.config_as(SyntheticConfig)
    write_corpus(context.output, config)
    return {"num_songs": config.num_songs}


def corpus_stage(config: PipelineConfig) -> Stage:
    """The synthetic corpus."""
    return Stage(
        name="compose_corpus",
        config=config.source.synthetic,
        inputs={},
        body=compose_corpus,
    )
