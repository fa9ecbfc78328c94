"""Stage `collect_rolls`: the plain files that binomial diffusion is trained on, out of the rolls.

The training reads this and not Arrow, so that it runs where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from phrase_models.binomial.config import RollConfig
from storage.rolls import read_rolls
from tasks.engine.stage_kind import StageKind
from tasks.settings.stages import EmptyConfig

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext


def collect_rolls(context: StageContext) -> Mapping[str, Any]:
    """Write `rolls.npy`, `songs.json` and `dataset.json`."""
    from phrase_models.binomial.dataset import RollSong, write_dataset

    file = read_rolls(context.inputs["rolls"].folder)
    songs = [RollSong.model_validate(row) for row in file.songs.iter_rows(named=True)]
    config = RollConfig.model_validate_json(file.description["config"])
    write_dataset(context.output, config, file.rows, songs)
    return {"num_songs": len(songs), "num_bars": len(file.rows)}


STAGE = StageKind(name="collect_rolls", body=collect_rolls, reads=("binomial_rolls",), side=True)


def plain_rolls_stage(rolls: ArtifactRef) -> Stage:
    """What binomial diffusion is trained on."""
    return STAGE.configured(EmptyConfig(), {"rolls": rolls})
