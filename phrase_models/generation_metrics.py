"""Songs of the corpus and of a generator, as the metrics take them."""

import numpy as np
from numpy.typing import NDArray

from phrase_models.generator import GeneratedSong
from phrase_models.metrics.evaluated_song import EvaluatedSong
from phrase_models.score.song import Section, Song
from phrase_models.tokens.song_layout import (
    NUM_PHRASE_SLOTS,
    SlotLayout,
    bars_to_slots,
    song_to_bars,
)
from phrase_models.tokens.vocabulary import FIRST_PROGRAM


def real_song(
    song: Song,
    latents: NDArray[np.float32],
    layout: SlotLayout,
    bar_end: NDArray[np.float32] | None = None,
) -> EvaluatedSong:
    """A song of the corpus.

    Args:
        song: in C major or A minor.
        latents: stored ones `(num_bars, S, D)`.
        layout: slot layout of the latents.
        bar_end: latent of the end of a bar `(D,)`, where it is known.
    """
    return _evaluated(song, latents, layout, bar_end, song.sections, song.num_bars)


def generated_song(
    item: GeneratedSong, layout: SlotLayout, bar_end: NDArray[np.float32] | None = None
) -> EvaluatedSong:
    """A generated song with the plan it was asked for; see `real_song`.

    Without latents (baselines have none) the metrics that need them are undefined.
    """
    request = item.request
    return _evaluated(item.song, item.latents, layout, bar_end, request.sections, request.num_bars)


def _evaluated(
    song: Song,
    latents: NDArray[np.float32] | None,
    layout: SlotLayout,
    bar_end: NDArray[np.float32] | None,
    plan: tuple[Section, ...],
    num_bars: int | None,
) -> EvaluatedSong:
    if latents is None:
        return EvaluatedSong(song, plan=plan or None, requested_bars=num_bars)
    # Layout "pitch_order" has the end of the bar as fourth slot; the metrics add it themselves.
    return EvaluatedSong(
        song,
        latents[:, :NUM_PHRASE_SLOTS],
        _music_slots(song, layout),
        plan or None,
        num_bars,
        bar_end,
    )


def _music_slots(song: Song, layout: SlotLayout) -> NDArray[np.bool_]:
    """Which slots hold music rather than a special phrase `(num_bars, 3)`."""
    slots = bars_to_slots(song_to_bars(song), layout)
    flags = [
        [bool(phrase) and phrase[0] >= FIRST_PROGRAM for phrase in bar[:NUM_PHRASE_SLOTS]]
        for bar in slots
    ]
    return np.array(flags, np.bool_).reshape(song.num_bars, NUM_PHRASE_SLOTS)
