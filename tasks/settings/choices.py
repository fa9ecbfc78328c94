"""What the forms of deployments offer instead of free text: presets, sources, engines and stages.

The lists stay where they are, and so do the sentences on a wrong value. Here they become drop-downs
of Prefect, whose server refuses what is not among them before a run is made.
"""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field

from phrase_models.sources.registry import SOURCES
from tasks.settings.engines import ENGINES
from tasks.settings.presets import PRESETS
from tasks.stages.registry import STAGE_NAMES


def _offered(names: Iterable[str]) -> Any:
    return Field(json_schema_extra={"enum": [*names]})


PresetName = Annotated[str, _offered(PRESETS)]
SourceName = Annotated[str, _offered(SOURCES)]
EngineName = Annotated[str, _offered(ENGINES)]
StageName = Annotated[str, _offered(["all", *STAGE_NAMES])]
