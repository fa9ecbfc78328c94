"""All metrics of a set of songs in one table.

The same call measures generated songs and, for the floor that every figure is read against, real
songs against other real songs: held-out songs against training songs, or one half of the training
songs against the other half (`leave_one_out=True`, as they are in the training set themselves).

A metric is a pure function and one line of `METRICS`: `note_metric` for what needs the notes of a
song alone, `SongMetric` for what needs more of it, `SetMetric` for what needs all songs at once.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, replace

import numpy as np

from phrase_models.metrics.bar_rolls import bar_roll_features
from phrase_models.metrics.boundaries import find_boundaries
from phrase_models.metrics.distribution import phrase_fid, phrase_fid_official
from phrase_models.metrics.evaluated_song import (
    EvaluatedSong,
    SongView,
    TrainingReference,
    failure_of,
)
from phrase_models.metrics.instrumentation import (
    InstrumentationChange,
    bar_programs,
    instrumentation_change,
)
from phrase_models.metrics.memorisation import Memorisation
from phrase_models.metrics.originality import Quotation
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
    undefined_songs,
)
from phrase_models.metrics.song_features import (
    FEATURE_WORDS,
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
from phrase_models.metrics.structure import section_recurrence, srs_official
from phrase_models.metrics.two_sample import bars_two_sample, songs_two_sample
from phrase_models.score.song import Song


@dataclass(frozen=True, slots=True)
class SongMetric:
    """A number for each song; the table has its mean.

    Attributes:
        name: snake_case.
        measure: the number, nan where it is undefined.
        is_share: the number is 0 or 1, and the table has the share of songs with 1.
        counts_silence: a song without notes counts, because silence can only make the figure
            worse, or because it is what is counted. Elsewhere such a song is undefined, whatever
            `measure` says: having failed makes it neither steady nor original.
    """

    name: str
    measure: Callable[[SongView], float]
    is_share: bool = False
    counts_silence: bool = False

    def of_song(self, view: SongView) -> float:
        """The number of a song, nan where it is undefined."""
        if not (self.counts_silence or view.song.num_notes):
            return math.nan
        return float(self.measure(view))


def note_metric(
    name: str, measure: Callable[[Song], float], *, counts_silence: bool = False
) -> SongMetric:
    """A metric of the notes of a song alone."""
    return SongMetric(name, lambda view: measure(view.song), counts_silence=counts_silence)


@dataclass(frozen=True, slots=True)
class SongSets:
    """What is compared as a whole.

    Attributes:
        requested: the songs asked for, in order; None for each that is missing.
        reference: real songs; the distances between distributions are taken to them.
        seed: seed of the resampling.
    """

    requested: Sequence[EvaluatedSong | None]
    reference: Sequence[EvaluatedSong]
    seed: int

    @property
    def present(self) -> list[EvaluatedSong]:
        """The songs that are there."""
        return [item for item in self.requested if item is not None]

    @property
    def sounding(self) -> list[EvaluatedSong]:
        """The songs that are there and have notes."""
        return [item for item in self.requested if item is not None and item.song.num_notes]


@dataclass(frozen=True, slots=True)
class SetMetric:
    """Results that need all songs at once.

    Attributes:
        name: of the result, or what the names of several begin with.
        measure: the results.
    """

    name: str
    measure: Callable[[SongSets], Sequence[MetricResult]]


def _add_note(result: MetricResult, note: str) -> MetricResult:
    return replace(result, note="; ".join(part for part in (result.note, note) if part))


def _left_out(num_entered: int, num_requested: int) -> str:
    missing = num_requested - num_entered
    return f"{missing} of {num_requested} songs left out" if missing else ""


# --------------------------------------------------------------------------- one number a song
def _recurrence(ssm: np.ndarray | None, threshold: float = 0.5) -> float:
    return math.nan if ssm is None else section_recurrence(ssm, threshold=threshold)


def _official_recurrence(view: SongView) -> float:
    return math.nan if view.official_ssm is None else srs_official(view.official_ssm)


def _same_label(view: SongView, ssm: np.ndarray | None) -> float:
    if ssm is None or not view.item.plan:
        return math.nan
    return same_label_similarity(ssm, view.item.plan)


def _boundary_f1(view: SongView) -> float:
    if not view.item.plan:
        return math.nan
    return boundary_f1(find_boundaries(view.song), section_boundaries(view.item.plan))


def _is_memorised(found: Memorisation) -> float:
    """Undefined where there is no melody that could have been memorised."""
    return float(found.is_memorised) if found.nearest_song_id else math.nan


def _is_memorised_official(found: Memorisation) -> float:
    return float(found.is_memorised_official) if found.nearest_song_id else math.nan


def _is_memorised_in_disguise(view: SongView) -> float:
    chance = view.training.chance
    return math.nan if math.isnan(chance.threshold) else float(chance.is_memorised(view.quotation))


# ---------------------------------------------------------------------------- all songs at once
def _reasons(failures: Iterable[str]) -> str:
    """Such as "1 missing, 2 silent"; songs that are no failure have no reason."""
    counts = Counter(reason for reason in failures if reason)
    return ", ".join(f"{counts[reason]} {reason}" for reason in sorted(counts))


def _failures(sets: SongSets) -> list[MetricResult]:
    failures = [failure_of(item) for item in sets.requested]
    flags = [bool(reason) for reason in failures]
    return [proportion_result("failures", flags, note=_reasons(failures))]


def _phrase_fid(sets: SongSets) -> list[MetricResult]:
    generated = [x for item in sets.sounding if (x := item.music_latents) is not None]
    reference = [x for item in sets.reference if (x := item.music_latents) is not None]
    if not generated or not reference:
        return [undefined("phrase_fid", "needs finite latents on both sides")]
    result = phrase_fid(generated, reference, seed=sets.seed)
    return [_add_note(result, _left_out(len(generated), len(sets.requested)))]


def _phrase_fid_official(sets: SongSets) -> list[MetricResult]:
    generated = [x for item in sets.sounding if (x := item.official_latents) is not None]
    reference = [x for item in sets.reference if (x := item.official_latents) is not None]
    if not generated or not reference:
        note = "needs finite latents on both sides and the latent of the end of a bar"
        return [undefined("phrase_fid_official", note)]
    dim = generated[0].shape[-1]
    result = phrase_fid_official(
        [latents.reshape(-1, dim) for latents in generated],
        [latents.reshape(-1, dim) for latents in reference],
        seed=sets.seed,
    )
    return [_add_note(result, _left_out(len(generated), len(sets.requested)))]


def _feature_frechet(sets: SongSets) -> list[MetricResult]:
    if not sets.present or not sets.reference:
        return [undefined("feature_frechet", "no songs on one side")]
    result = feature_frechet(
        np.array([song_features(item.song) for item in sets.present]),
        np.array([song_features(item.song) for item in sets.reference]),
        seed=sets.seed,
    )
    return [_add_note(result, _left_out(len(sets.present), len(sets.requested)))]


def _told_apart(sets: SongSets) -> list[MetricResult]:
    """Songs and bars against the reference; the note of the first says what gives ours away."""
    if not sets.present or not sets.reference:
        names = ("two_sample_auc_songs", "two_sample_auc_bars")
        return [undefined(name, "no songs on one side") for name in names]
    generated = np.array([song_features(item.song) for item in sets.present])
    reference = np.array([song_features(item.song) for item in sets.reference])
    by_songs, telling = songs_two_sample(generated, reference, FEATURE_WORDS, seed=sets.seed)
    by_bars = bars_two_sample(
        [bar_roll_features(item.song) for item in sets.present],
        [bar_roll_features(item.song) for item in sets.reference],
        seed=sets.seed,
    )
    num_songs = len(sets.requested)
    words = "; ".join(feature.in_words() for feature in telling)
    return [
        _add_note(_add_note(by_songs, _left_out(len(sets.present), num_songs)), words),
        _add_note(by_bars, _left_out(by_bars.num_items, num_songs)),
    ]


def _lengths(sets: SongSets) -> list[MetricResult]:
    """A song that failed has not the length asked for, if lengths were asked for at all."""
    asked = [item for item in sets.requested if item is None or item.requested_bars is not None]
    if not any(asked):
        asked = []
    sound = [item for item in asked if item is not None and not failure_of(item)]
    reasons = _reasons(failure_of(item) for item in asked)
    note = f"counted as wrong: {reasons}" if reasons else ""
    rules = {
        "length_accuracy": is_exact_length,
        "length_accuracy_bucket": is_length_in_bucket,
        "length_accuracy_official": is_length_official,
    }
    return [
        proportion_result(
            name,
            [rule(item.song.num_bars, item.requested_bars or 0) for item in sound]
            + [False] * (len(asked) - len(sound)),
            note=note if asked else "no length was asked for",
        )
        for name, rule in rules.items()
    ]


def _instrumentation(sets: SongSets) -> list[MetricResult]:
    counts = [
        astuple(instrumentation_change(bar_programs(item.song), item.plan))
        for item in sets.sounding
        if item.plan
    ]
    table = np.array(counts, dtype=np.int64)
    results = []
    for key in InstrumentationChange().rates():
        name = f"instrumentation_change_{key}"
        if not counts:
            results.append(undefined(name, "no song has sections"))
            continue

        def rate(draw: np.ndarray, key: str = key) -> float:
            return InstrumentationChange(*table[draw].sum(axis=0).tolist()).rates()[key]

        low, high = bootstrap_interval(len(table), rate, seed=sets.seed)
        note = _left_out(len(table), len(sets.requested))
        value = rate(np.arange(len(table)))
        results.append(MetricResult(name, value, low, high, len(table), note))
    return results


METRICS: tuple[SongMetric | SetMetric, ...] = (
    SetMetric("failures", _failures),
    SongMetric(
        "srs_notes_50",
        lambda view: _recurrence(view.note_ssm, 0.5),
        counts_silence=True,
    ),
    SongMetric(
        "srs_notes_70",
        lambda view: _recurrence(view.note_ssm, 0.7),
        counts_silence=True,
    ),
    SongMetric(
        "srs_notes_90",
        lambda view: _recurrence(view.note_ssm, 0.9),
        counts_silence=True,
    ),
    SetMetric("feature_frechet", _feature_frechet),
    SetMetric("two_sample_auc", _told_apart),
    SetMetric("phrase_fid", _phrase_fid),
    SetMetric("phrase_fid_official", _phrase_fid_official),
    SongMetric("srs", lambda view: _recurrence(view.latent_ssm)),
    SongMetric("srs_official", _official_recurrence, counts_silence=True),
    SongMetric("mmr", lambda view: view.memorisation.similarity),
    SongMetric(
        "mmr_official",
        counts_silence=True,
        measure=lambda view: view.memorisation.similarity_official,
    ),
    SongMetric("t2r", lambda view: view.memorisation.top2_ratio),
    SongMetric(
        "t2r_official",
        counts_silence=True,
        measure=lambda view: view.memorisation.top2_ratio_official,
    ),
    SongMetric("mr", lambda view: _is_memorised(view.memorisation), is_share=True),
    SongMetric(
        "mr_official",
        lambda view: _is_memorised_official(view.memorisation),
        is_share=True,
        counts_silence=True,
    ),
    SongMetric("mr_invariant", _is_memorised_in_disguise, is_share=True),
    SongMetric("longest_quotation_notes", lambda view: view.quotation.num_notes),
    SongMetric("longest_quotation_bars", lambda view: view.quotation.num_bars),
    SongMetric("longest_copied_run", lambda view: view.copied_run.num_bars),
    SongMetric("longest_copied_run_transposed", lambda view: view.transposed_run.num_bars),
    SongMetric("same_label_similarity", lambda view: _same_label(view, view.latent_ssm)),
    SongMetric(
        "same_label_similarity_notes",
        lambda view: _same_label(view, view.note_ssm),
        counts_silence=True,
    ),
    SongMetric("boundary_f1", _boundary_f1, counts_silence=True),
    note_metric("in_scale_rate", in_scale_rate),
    note_metric("note_density", note_density, counts_silence=True),
    note_metric("polyphony", polyphony),
    note_metric("groove_consistency", groove_consistency),
    note_metric("tracks_per_bar", tracks_per_bar, counts_silence=True),
    note_metric("empty_bar_rate", empty_bar_rate, counts_silence=True),
    note_metric("distinct_bar_rate", distinct_bar_rate),
    SetMetric("length_accuracy", _lengths),
    SetMetric("instrumentation_change", _instrumentation),
)


# ------------------------------------------------------------------------------ measuring songs
@dataclass(frozen=True, slots=True)
class SongMeasures:
    """What was measured on one song.

    Attributes:
        values: metric name to value, nan where undefined; shares as 0 and 1.
        nearest_song_id: training song with the nearest melody, "" without one.
        quotation: the longest passage of a training melody.
    """

    values: dict[str, float]
    nearest_song_id: str
    quotation: Quotation


def measure_song(
    item: EvaluatedSong,
    training: TrainingReference,
    *,
    leave_one_out: bool = False,
    metrics: Sequence[SongMetric | SetMetric] = METRICS,
) -> SongMeasures:
    """Measure one song; these are also the numbers shown beside it.

    Args:
        item: the song.
        training: the training melodies it is compared with.
        leave_one_out: take the training song of the same song_id (and its duplicates) out of the
            comparison; for real songs only, or copies would stay unseen.
        metrics: what is measured; metrics of sets are passed over.
    """
    view = SongView(item, training, leave_one_out=leave_one_out)
    return SongMeasures(
        {m.name: m.of_song(view) for m in metrics if isinstance(m, SongMetric)},
        view.memorisation.nearest_song_id,
        view.quotation,
    )


def song_values(
    songs: Sequence[EvaluatedSong | None],
    training: TrainingReference,
    *,
    leave_one_out: bool = False,
    metrics: Sequence[SongMetric | SetMetric] = METRICS,
) -> dict[str, np.ndarray]:
    """Value of each song, `[num_songs]` for each metric, nan where undefined or missing.

    Two sets in the same order, the second the real songs of the first one's plans, are compared
    by `paired.paired_ratio`.
    """
    measured = [
        None
        if item is None
        else measure_song(item, training, leave_one_out=leave_one_out, metrics=metrics).values
        for item in songs
    ]
    return {
        metric.name: np.array(
            [math.nan if values is None else values[metric.name] for values in measured]
        )
        for metric in metrics
        if isinstance(metric, SongMetric)
    }


def _table_entry(
    metric: SongMetric, values: np.ndarray, failures: Sequence[str], *, seed: int
) -> MetricResult:
    is_undefined = np.isnan(values)
    reasons = _reasons(
        failure for failure, without in zip(failures, is_undefined, strict=True) if without
    )
    if not metric.is_share:
        return mean_result(metric.name, values.tolist(), seed=seed, reasons=reasons)
    defined = values[~is_undefined]
    note = undefined_songs(len(values) - len(defined), len(values), reasons)
    return proportion_result(metric.name, [bool(value) for value in defined], note=note)


def evaluate_songs(
    generated: Sequence[EvaluatedSong | None],
    reference: Sequence[EvaluatedSong],
    training: TrainingReference | None,
    *,
    seed: int = 0,
    leave_one_out: bool = False,
    metrics: Sequence[SongMetric | SetMetric] = METRICS,
    values: Mapping[str, np.ndarray] | None = None,
) -> list[MetricResult]:
    """Every metric of a set of songs, official and exact, with 95 % intervals over songs.

    Args:
        generated: the songs asked for; None for one that is missing. Missing songs, silent ones
            and those whose latents are not finite count in `failures`; where they have no value,
            the note of a metric says so, and `num_items` is the number of songs that have one.
        reference: real songs; the distances between distributions are taken to them.
        training: the melodies of the training songs; None where `values` are there.
        seed: seed of the resampling.
        leave_one_out: see `measure_song`; for real songs measured against a training set that
            holds them.
        metrics: what is measured, in the order of the table.
        values: `song_values` of the same songs, where they are there already.

    Returns:
        Results in a fixed order. A metric that is undefined has value nan and a note.
    """
    if not generated:
        return [undefined("num_songs", "no songs to evaluate")]
    if values is None:
        if training is None:
            message = "songs are measured beside training melodies"
            raise ValueError(message)
        values = song_values(generated, training, leave_one_out=leave_one_out, metrics=metrics)
    sets = SongSets(generated, reference, seed)
    failures = [failure_of(item) for item in generated]
    results: list[MetricResult] = []
    for metric in metrics:
        if isinstance(metric, SetMetric):
            results += metric.measure(sets)
        else:
            results.append(_table_entry(metric, values[metric.name], failures, seed=seed))
    return results
