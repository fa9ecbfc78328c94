"""Stage `binomial_rolls`: songs on the grid -> binary piano rolls, a row of bits a bar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from phrase_models.binomial.config import RollConfig
from phrase_models.binomial.rolls import RollReport, pack_bars, song_to_roll
from phrase_models.score.song import format_section_layout
from storage.rolls import write_rolls
from tasks.engine.stage_kind import StageKind
from tasks.stages.rows import read_accepted_songs, splits_of

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext
    from tasks.settings.pipeline import PipelineConfig


def binomial_rolls(context: StageContext) -> Mapping[str, Any]:
    """Write the rolls of all accepted songs, and say what became of their notes."""
    config = context.config_as(RollConfig)
    folder = context.inputs["songs"].folder
    songs, splits = read_accepted_songs(folder), splits_of(folder)
    report, rows, described = RollReport(), [], []
    first_row = 0
    for song in songs:
        roll, of_song = song_to_roll(song, config)
        report += of_song
        rows.append(pack_bars(roll))
        described.append(
            {
                "song_id": song.song_id,
                "split": splits[song.song_id],
                "first_row": first_row,
                "num_bars": song.num_bars,
                "section_layout": format_section_layout(song.sections),
            }
        )
        first_row += song.num_bars
    description = {"config": config.model_dump_json()}
    write_rolls(context.output, np.concatenate(rows), described, description)
    return {
        "num_songs": len(songs),
        "num_bars": first_row,
        "num_notes": report.num_notes,
        "num_notes_outside": report.num_outside,
        "num_notes_beyond": report.num_beyond,
        "num_notes_moved": report.num_moved,
        "num_notes_merged": report.num_merged,
        "lost": report.sentence(config),
    }


STAGE = StageKind(name="binomial_rolls", body=binomial_rolls, reads=("ingest_songs",), side=True)


def rolls_stage(config: PipelineConfig, songs: ArtifactRef) -> Stage:
    """Piano rolls of the songs."""
    return STAGE.configured(config.require_binomial().roll, {"songs": songs})
