"""All metrics of a set of songs in one table.

The same call measures generated songs and, for the floor that every figure is read against, real
songs against other real songs: held-out songs against training songs, or one half of the training
songs against the other half (`leave_one_out=True`, as they are in the training set themselves).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from phrase_models.metrics.boundaries import find_boundaries
from phrase_models.metrics.copied_runs import CopyIndex, build_copy_index, longest_copied_run
from phrase_models.metrics.distribution import phrase_fid, phrase_fid_official
from phrase_models.metrics.instrumentation import (
    InstrumentationChange,
    bar_programs,
    instrumentation_change,
)
from phrase_models.metrics.memorisation import (
    TrainingMelodies,
    measure_memorisation,
    melody_tokens,
)
from phrase_models.metrics.plan_fidelity import (
    boundary_f1,
    is_exact_length,
    is_length_in_bucket,
    is_length_official,
    same_label_similarity,
    section_boundaries,
)
from phrase_models.metrics.result import (
    MetricResult,
    bootstrap_interval,
    mean_result,
    proportion_result,
    undefined,
)
from phrase_models.metrics.song_features import (
    distinct_bar_rate,
    empty_bar_rate,
    feature_frechet,
    groove_consistency,
    in_scale_rate,
    note_density,
    polyphony,
    song_features,
    tracks_per_bar,
)
from phrase_models.metrics.structure import (
    NOTE_THRESHOLD,
    bar_ssm,
    note_ssm,
    section_recurrence,
    srs_official,
)
from phrase_models.score.song import Section, Song


@dataclass(frozen=True, slots=True)
class EvaluatedSong:
    """A song with all that its evaluation needs.

    Attributes:
        song: its notes.
        latents: `[num_bars, slots, D]`, raw (not normalised).
        is_phrase: `[num_bars, slots]` bool, slots that hold music.
        plan: the sections asked for (or, for a real song, its labels); None where there are none.
        requested_bars: the length asked for; None where there was none.
    """

    song: Song
    latents: np.ndarray
    is_phrase: np.ndarray
    plan: tuple[Section, ...] | None = None
    requested_bars: int | None = None


@dataclass(frozen=True, slots=True)
class TrainingReference:
    """The training melodies, indexed once for many songs (`build_training_reference`)."""

    melodies: TrainingMelodies
    copies: CopyIndex
    transposed_copies: CopyIndex


def build_training_reference(melodies: TrainingMelodies) -> TrainingReference:
    """Index the training melodies for `measure_song` and `evaluate_songs`."""
    return TrainingReference(
        melodies, build_copy_index(melodies), build_copy_index(melodies, ignores_key=True)
    )


@dataclass(frozen=True, slots=True)
class SongMeasures:
    """What was measured on one song.

    Attributes:
        values: metric name to value, nan where undefined.
        is_memorised: by the exact rule.
        is_memorised_official: by the released code's rule.
        nearest_song_id: training song with the nearest melody, "" without one.
    """

    values: dict[str, float]
    is_memorised: bool
    is_memorised_official: bool
    nearest_song_id: str


NOTE_METRICS: dict[str, Callable[[Song], float]] = {
    "in_scale_rate": in_scale_rate,
    "note_density": note_density,
    "polyphony": polyphony,
    "groove_consistency": groove_consistency,
    "tracks_per_bar": tracks_per_bar,
    "empty_bar_rate": empty_bar_rate,
    "distinct_bar_rate": distinct_bar_rate,
}


def measure_song(
    item: EvaluatedSong, training: TrainingReference, *, leave_one_out: bool = False
) -> SongMeasures:
    """Measure one song; these are also the numbers shown beside it.

    Args:
        item: the song.
        training: the training melodies it is compared with.
        leave_one_out: take the training song of the same song_id (and its duplicates) out of the
            comparison; for real songs only, or copies would stay unseen.
    """
    excluded = item.song.song_id if leave_one_out else None
    melody = melody_tokens(item.song)
    memory = measure_memorisation(melody, training.melodies, exclude_song_id=excluded)
    copied = longest_copied_run(melody, training.copies, exclude_song_id=excluded)
    transposed = longest_copied_run(melody, training.transposed_copies, exclude_song_id=excluded)
    latent_matrix, note_matrix = bar_ssm(item.latents), note_ssm(item.song)
    values = {
        "srs": section_recurrence(latent_matrix),
        "srs_official": srs_official(latent_matrix),
        "srs_notes": section_recurrence(note_matrix, threshold=NOTE_THRESHOLD),
        "mmr": memory.similarity,
        "mmr_official": memory.similarity_official,
        "t2r": memory.top2_ratio,
        "t2r_official": memory.top2_ratio_official,
        "longest_copied_run": float(copied.num_bars),
        "longest_copied_run_transposed": float(transposed.num_bars),
        "same_label_similarity": math.nan,
        "same_label_similarity_notes": math.nan,
        "boundary_f1": math.nan,
    }
    if item.plan:
        values["same_label_similarity"] = same_label_similarity(latent_matrix, item.plan)
        values["same_label_similarity_notes"] = same_label_similarity(note_matrix, item.plan)
        values["boundary_f1"] = boundary_f1(
            find_boundaries(item.song), section_boundaries(item.plan)
        )
    values |= {name: metric(item.song) for name, metric in NOTE_METRICS.items()}
    return SongMeasures(
        values, memory.is_memorised, memory.is_memorised_official, memory.nearest_song_id
    )


def _music_latents(item: EvaluatedSong) -> np.ndarray:
    return item.latents[item.is_phrase]


def _all_latents(item: EvaluatedSong) -> np.ndarray:
    return item.latents.reshape(-1, item.latents.shape[-1])


def _length_results(generated: Sequence[EvaluatedSong]) -> list[MetricResult]:
    asked = [
        (item.song.num_bars, item.requested_bars)
        for item in generated
        if item.requested_bars is not None
    ]
    rules = {
        "length_accuracy": is_exact_length,
        "length_accuracy_bucket": is_length_in_bucket,
        "length_accuracy_official": is_length_official,
    }
    return [
        proportion_result(
            name, [rule(*pair) for pair in asked], note="" if asked else "no length was asked for"
        )
        for name, rule in rules.items()
    ]


def _instrumentation_results(
    generated: Sequence[EvaluatedSong], *, seed: int
) -> list[MetricResult]:
    counts = [
        instrumentation_change(bar_programs(item.song), item.plan)
        for item in generated
        if item.plan
    ]
    results = []
    for key in InstrumentationChange().rates():
        name = f"instrumentation_change_{key}"
        if not counts:
            results.append(undefined(name, "no song has sections"))
            continue

        def rate(draw: Sequence[int] | np.ndarray, key: str = key) -> float:
            total = sum((counts[index] for index in draw), InstrumentationChange())
            return total.rates()[key]

        low, high = bootstrap_interval(len(counts), rate, seed=seed, num_resamples=200)
        results.append(MetricResult(name, rate(range(len(counts))), low, high, len(counts)))
    return results


def evaluate_songs(
    generated: Sequence[EvaluatedSong],
    reference: Sequence[EvaluatedSong],
    training: TrainingReference,
    *,
    seed: int = 0,
    leave_one_out: bool = False,
) -> list[MetricResult]:
    """Every metric of a set of songs, official and exact, with 95 % intervals over songs.

    Args:
        generated: the songs to measure.
        reference: real songs; the distances between distributions are taken to them.
        training: the melodies of the training songs.
        seed: seed of the resampling.
        leave_one_out: see `measure_song`; for real songs measured against a training set that
            holds them.

    Returns:
        Results in a fixed order. A metric that is undefined has value nan and a note.
    """
    measures = [measure_song(item, training, leave_one_out=leave_one_out) for item in generated]
    if not measures:
        return [undefined("num_songs", "no songs to evaluate")]
    results = [
        phrase_fid(
            [_music_latents(item) for item in generated],
            [_music_latents(item) for item in reference],
            seed=seed,
        ),
        phrase_fid_official(
            [_all_latents(item) for item in generated],
            [_all_latents(item) for item in reference],
            seed=seed,
        ),
        feature_frechet(
            np.array([song_features(item.song) for item in generated]),
            np.array([song_features(item.song) for item in reference]),
            seed=seed,
        ),
    ]
    results += [
        mean_result(name, [measure.values[name] for measure in measures], seed=seed)
        for name in measures[0].values
    ]
    results += [
        proportion_result("mr", [measure.is_memorised for measure in measures]),
        proportion_result("mr_official", [measure.is_memorised_official for measure in measures]),
    ]
    results += _length_results(generated)
    results += _instrumentation_results(generated, seed=seed)
    return results
