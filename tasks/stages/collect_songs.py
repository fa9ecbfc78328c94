"""Stage `collect_songs`: the plain files that PhraseLDM is trained on, out of latents and tables.

The training reads this and not the tables, so a new column of the tables trains nothing again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phrase_models.diffusion.plan import SongPlan, plan_from_layout
from phrase_models.diffusion.plan_arrays import PlanArrays
from phrase_models.form.bar_lines import BAR_LINES_FILE, ROLE_LINES, BarLines
from phrase_models.form.form_extraction import form_of_slots
from phrase_models.form.texture import texture_of_slots
from phrase_models.score.chords import BarChords, chord_array
from phrase_models.score.song import ROLE_PROGRAMS
from phrase_models.tokens import vocabulary
from phrase_models.tokens.song_layout import check_layout
from storage import tables
from storage.latents import LatentsFile, read_latents
from tasks.engine.stage_kind import StageKind
from tasks.settings.stages import EmptyConfig
from tasks.stages.rows import chords_of

if TYPE_CHECKING:
    from storage.artifacts import ArtifactRef
    from tasks.engine.stage import Stage, StageContext

SlotPhrase = tuple[int, int, list[int]]
"""Index of the bar, program, token ids."""


def collect_songs(context: StageContext) -> Mapping[str, Any]:
    """Write `latents.npy`, `songs.json`, `dataset.json`, and the plans as in `plan_arrays`.

    A layout other than "role" has neither forms, textures nor lines; chords are those of the songs
    that have any.
    """
    from phrase_models.codec import PhraseCodec

    inputs, output = context.inputs, context.output
    file = read_latents(inputs["latents"].folder)
    songs = tables.read_songs(inputs["tables"].folder / "songs.parquet")
    layouts = dict(songs.select("song_id", "section_layout").iter_rows())
    codec = PhraseCodec.load(inputs["vae"].folder, check_layout(file.layout))
    end = codec.encode_phrases([[vocabulary.END_OF_SONG]])[0]
    rows = song_rows(file, layouts)
    description = {
        "layout": file.layout,
        "slots_per_bar": file.slots_per_bar,
        "latent_dim": int(file.latents.shape[1]),
        "end_of_song_latent": end.tolist(),
    }
    np.save(output / "latents.npy", file.latents)
    (output / "songs.json").write_text(json.dumps(rows))
    (output / "dataset.json").write_text(json.dumps(description))
    tables_folder = inputs["tables"].folder
    phrases = phrases_of_songs(tables_folder) if file.layout == "role" else None
    plans = song_plans(rows, phrases, chords_of(tables_folder))
    PlanArrays.of_plans(plans).write(output)
    if phrases is not None:
        bar_lines(rows, phrases).write(output / BAR_LINES_FILE)
    return {
        "num_songs": len(rows),
        "num_latents": len(file.latents),
        "num_songs_with_form": sum(plan.form is not None for plan in plans),
        "num_songs_with_chords": sum(plan.chords is not None for plan in plans),
    }


def song_rows(file: LatentsFile, layouts: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the training reads of each song, in the order of the latents."""
    return [
        {
            "song_id": row["song_id"],
            "split": row["split"],
            "first_row": row["first_row"],
            "num_bars": row["num_bars"],
            "section_layout": layouts.get(row["song_id"], ""),
        }
        for row in file.songs.iter_rows(named=True)
    ]


def song_plans(
    rows: Sequence[Mapping[str, Any]],
    phrases: Mapping[str, Sequence[SlotPhrase]] | None,
    chords: Mapping[str, Sequence[BarChords]],
) -> list[SongPlan]:
    """Sections, form, texture and chords of songs, from their tokens and annotations.

    Args:
        rows: of `song_rows`, in the order that the plans get.
        phrases: of each song, for forms and textures; None for neither.
        chords: of the songs that have any.
    """
    plans = []
    for row in rows:
        song_id, num_bars = row["song_id"], row["num_bars"]
        plan = plan_from_layout(row["section_layout"], num_bars)
        if phrases is not None:
            slots = role_slots(phrases.get(song_id, []), num_bars)
            texture = texture_of_slots(slots).astype(np.int64)
            plan = replace(plan, form=form_of_slots(slots, plan.sections), texture=texture)
        known = chords.get(song_id)
        plans.append(replace(plan, chords=chord_array(known, num_bars) if known else None))
    return plans


def bar_lines(
    rows: Sequence[Mapping[str, Any]], phrases: Mapping[str, Sequence[SlotPhrase]]
) -> BarLines:
    """How melody and bridge of the training songs go on across bar lines.

    Args:
        rows: of `song_rows`.
        phrases: of each song.
    """
    songs = (
        role_slots(phrases.get(row["song_id"], []), row["num_bars"])
        for row in rows
        if row["split"] == "train"
    )
    return BarLines.of_songs(songs, ROLE_LINES)


def phrases_of_songs(tables_folder: Path) -> dict[str, list[SlotPhrase]]:
    """Bar, program and token ids of every phrase, by song."""
    songs: dict[str, list[SlotPhrase]] = {}
    frame = tables.read_phrases(tables_folder / "phrases.parquet")
    columns = frame.select("song_id", "bar_index", "program", "token_ids")
    for song_id, *phrase in columns.iter_rows():
        songs.setdefault(song_id, []).append((phrase[0], phrase[1], phrase[2]))
    return songs


def role_slots(phrases: Sequence[SlotPhrase], num_bars: int) -> list[list[list[int]]]:
    """Token ids of every slot of every bar in the layout "role" (see `bars_to_slots`)."""
    slots = [[[vocabulary.EMPTY_SLOT] for _ in ROLE_PROGRAMS] for _ in range(num_bars)]
    for bar, program, token_ids in phrases:
        slots[bar][ROLE_PROGRAMS.index(program)] = list(token_ids)
    return slots


STAGE = StageKind(
    name="collect_songs",
    body=collect_songs,
    reads=("tokenise_songs", "train_vae", "tune_decoder", "encode_latents"),
)


def songs_stage(tables: ArtifactRef, vae: ArtifactRef, latents: ArtifactRef) -> Stage:
    """What PhraseLDM is trained on; unchanged songs leave the training as it is."""
    inputs = {"tables": tables, "vae": vae, "latents": latents}
    return STAGE.configured(EmptyConfig(), inputs)
