"""Stage `compose_corpus`: songs that a source writes itself, as the files that it then reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phrase_models.sources.registry import find_source
from phrase_models.sources.source import CorpusComposer
from tasks.engine.stage import Stage
from tasks.engine.stage_kind import StageKind
from tasks.settings.pipeline import PipelineConfig

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext


def compose_corpus(context: StageContext, composer: CorpusComposer) -> Mapping[str, Any]:
    """Write the corpus into the stage's output folder."""
    return composer.compose(context.output, context.config)


STAGE = StageKind(name="compose_corpus", body=compose_corpus)


def corpus_stage(config: PipelineConfig) -> Stage | None:
    """The corpus of a source that composes one, None for others."""
    source = find_source(config.source.name)
    if not isinstance(source, CorpusComposer):
        return None
    return STAGE.configured(
        config.source.settings, {}, more_code=(type(source).__module__,), composer=source
    )
