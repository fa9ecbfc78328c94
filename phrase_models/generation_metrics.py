"""Songs as the metrics take them, and what is said where a generator makes no latents."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from phrase_models.generator import GeneratedSong
from phrase_models.metrics.evaluation import EvaluatedSong, TrainingReference, evaluate_songs
from phrase_models.metrics.result import MetricResult, undefined
from phrase_models.score.song import Song
from phrase_models.tokens.song_layout import (
    SlotLayout,
    bars_to_slots,
    slots_per_bar,
    song_to_bars,
)
from phrase_models.tokens.vocabulary import FIRST_PROGRAM

LATENT_METRICS = (
    "phrase_fid",
    "phrase_fid_official",
    "srs",
    "srs_official",
    "same_label_similarity",
)
"""Metrics that are undefined without latents."""
NO_LATENTS = "the generator makes no latents"


def real_song(song: Song, latents: NDArray[np.float32], layout: SlotLayout) -> EvaluatedSong:
    """A song of the corpus with its stored latents (num_bars, S, D)."""
    return EvaluatedSong(
        song, latents, _music_slots(song, layout), song.sections or None, song.num_bars
    )


def generated_song(item: GeneratedSong, layout: SlotLayout, latent_dim: int) -> EvaluatedSong:
    """A generated song; zeros (num_bars, S, D) stand in where there are no latents."""
    plan = item.request.sections or None
    if item.latents is None:
        shape = (item.song.num_bars, slots_per_bar(layout))
        nothing = np.zeros((*shape, latent_dim), np.float32)
        return EvaluatedSong(
            item.song, nothing, np.zeros(shape, np.bool_), plan, item.request.num_bars
        )
    return EvaluatedSong(
        item.song, item.latents, _music_slots(item.song, layout), plan, item.request.num_bars
    )


def _music_slots(song: Song, layout: SlotLayout) -> NDArray[np.bool_]:
    """Which slots hold music rather than a special phrase (num_bars, S)."""
    slots = bars_to_slots(song_to_bars(song), layout)
    flags = [[bool(phrase) and phrase[0] >= FIRST_PROGRAM for phrase in bar] for bar in slots]
    return np.array(flags, np.bool_).reshape(song.num_bars, slots_per_bar(layout))


def evaluate_generated(
    songs: Sequence[GeneratedSong],
    reference: Sequence[EvaluatedSong],
    training: TrainingReference,
    *,
    layout: SlotLayout,
    seed: int = 0,
) -> list[MetricResult]:
    """All metrics of generated songs, as `evaluate_songs`.

    Songs without notes stay in. Where any song has no latents, the metrics that need them are
    undefined, with a note.

    Args:
        songs: the songs to measure, in C major or A minor.
        reference: real songs with their latents, at least one.
        training: the melodies of the training songs.
        layout: slot layout of the latents.
        seed: of the resampling.
    """
    latent_dim = reference[0].latents.shape[-1]
    items = [generated_song(song, layout, latent_dim) for song in songs]
    results = evaluate_songs(items, reference, training, seed=seed)
    if all(song.latents is not None for song in songs):
        return results
    return [
        undefined(result.name, NO_LATENTS) if result.name in LATENT_METRICS else result
        for result in results
    ]
