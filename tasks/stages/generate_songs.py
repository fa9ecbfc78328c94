"""Stage `generate_songs`: a batch of songs by one of the generators, as MIDI, with a gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from phrase_models.batch_writing import BatchSettings, write_songs
from phrase_models.generator import (
    GeneratedSong,
    Generator,
    GeneratorEntry,
    GeneratorInputs,
    InputName,
    request_from_layout,
)
from storage.artifacts import ArtifactRef
from tasks.engine.engines import sharded
from tasks.engine.shards import Shard
from tasks.engine.stage import Stage
from tasks.engine.stage_kind import StageKind
from tasks.settings.stages import GenerationConfig
from tasks.stages.rows import read_training_songs

if TYPE_CHECKING:
    from tasks.engine.stage import StageContext

SHARD_SONGS = 4
MOST_COPIED_SONGS = 2000
"""A baseline that copies from training songs holds these in every worker, some .1 MB a song."""


def generate_songs(context: StageContext, entry: GeneratorEntry) -> Mapping[str, Any]:
    """The stage: MIDI files, latents where there are any, and a gallery.

    Args:
        context: of the stage.
        entry: the generator that its configuration names.
    """
    config = context.config_as(GenerationConfig)
    settings = batch_settings(config)
    made_of = _MadeOf(entry, tuple(context.inputs.items()), config, context.state)
    indices = range(settings.num_songs)
    parts = [indices[start : start + SHARD_SONGS] for start in indices[::SHARD_SONGS]]
    shards = [Shard(tuple(f"{index}" for index in part), part) for part in parts]
    generate = partial(generate_part, made_of)
    with sharded(context.runtime, generate, shards, len(shards)) as results:
        coming = chain.from_iterable(results)
        songs = write_songs(coming, entry.name, settings, context.output, context.report_progress)
    context.tracker.log_folder(context.output / "midi", "midi")
    context.tracker.log_file(context.output / "gallery.html")
    return {
        "num_songs": len(songs),
        "num_silent_songs": sum(song.song.num_notes == 0 for song in songs),
        "num_notes": sum(song.song.num_notes for song in songs),
        "num_repairs": sum(song.num_repairs for song in songs),
        "mean_num_bars": float(np.mean([song.song.num_bars for song in songs])),
    }


@dataclass(frozen=True)
class _MadeOf:
    """All that decides the songs of a batch; equal ones make equal songs."""

    entry: GeneratorEntry
    inputs: tuple[tuple[str, ArtifactRef], ...]
    config: GenerationConfig
    state: Path


def generate_part(made_of: _MadeOf, indices: Sequence[int]) -> list[GeneratedSong]:
    """Some songs of a batch; the generator is built once in a process."""
    generator, settings = _built(made_of)
    return [generator.generate(settings.request, settings.seed, index) for index in indices]


@lru_cache(maxsize=1)
def _built(made_of: _MadeOf) -> tuple[Generator, BatchSettings]:
    config = made_of.config
    inputs = generator_inputs(made_of.entry, dict(made_of.inputs), config, made_of.state)
    return made_of.entry.build(inputs), batch_settings(config)


def batch_settings(config: GenerationConfig) -> BatchSettings:
    """The batch that a configuration asks for.

    Raises:
        ConfigurationError: if its sections are no layout or contradict its length.
    """
    request = request_from_layout(config.sections, config.num_bars, config.tempo_bpm)
    return BatchSettings(
        num_songs=config.num_songs,
        seed=config.seed,
        request=replace(request, plans=config.plans),
        semitones=config.transpose,
        audio_seconds=config.audio_seconds,
    )


def generator_inputs(
    entry: GeneratorEntry,
    inputs: Mapping[str, ArtifactRef],
    config: GenerationConfig,
    state: Path | None,
) -> GeneratorInputs:
    """What the factory of a generator may use: of the artifacts, those of `used_inputs`."""
    used: dict[InputName, ArtifactRef] = {
        name: inputs[name] for name in used_inputs(entry, inputs, config)
    }
    return GeneratorInputs(
        folders={name: ref.folder for name, ref in used.items()},
        digests={name: ref.digest for name, ref in used.items()},
        training_songs=lambda: read_training_songs(used["songs"].folder, MOST_COPIED_SONGS),
        sampler=config.sampler,
        state=state,
    )


def used_inputs(
    entry: GeneratorEntry, inputs: Mapping[str, ArtifactRef], config: GenerationConfig
) -> tuple[InputName, ...]:
    """Names of what decides a batch: what the generator needs; priors if they draw its plans.

    Args:
        entry: the generator.
        inputs: artifacts by name; may hold more.
        config: of the batch.
    """
    optional = entry.may_use if config.plans != "training" else ()
    return (*entry.needs, *(name for name in optional if name in inputs))


STAGE = StageKind(
    name="generate_songs",
    body=generate_songs,
    reads=(
        *("ingest_songs", "train_vae", "tune_decoder", "train_diffusion", "fit_priors"),
        "train_binomial",
    ),
    experiment="songs",
    shown=("gallery.html", "midi"),
)


def generation_stage(
    config: GenerationConfig, entry: GeneratorEntry, inputs: Mapping[str, ArtifactRef]
) -> Stage:
    """A batch of songs.

    Args:
        config: of the batch.
        entry: the generator; its module and the inputs it needs are part of the stage's key, other
            generators are not.
        inputs: artifacts by the names of `GeneratorEntry`; see `used_inputs`.
    """
    used: dict[str, ArtifactRef] = {
        name: inputs[name] for name in used_inputs(entry, inputs, config)
    }
    return STAGE.configured(config, used, more_code=(entry.module,), entry=entry)
