"""Songs given as tokens beside the real songs of their plans, without a store or latents.

    python -m benchmarks.evaluate_songs_npz SONGS.npz ... PACK [--json FOLDER] [--limit N]

SONGS.npz is written by `benchmarks.gpu_headline songs`, PACK by `benchmarks.headline_pack`. All
columns are compared with the same other training songs, whose plans no generated song has; the
column of the real songs of the same plans is what the generated ones are to be held against.
"""

import argparse
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.packed_songs import read_slots
from phrase_models.form.form_edits import obeyed
from phrase_models.form.form_extraction import Slots, form_of_slots, is_silent
from phrase_models.metrics.evaluated_song import (
    EvaluatedSong,
    TrainingReference,
    build_training_reference,
)
from phrase_models.metrics.evaluation import METRICS, evaluate_songs, song_values
from phrase_models.metrics.memorisation import build_training_melodies, melody_tokens
from phrase_models.metrics.paired import paired_ratio
from phrase_models.metrics.result import MetricResult, mean_result
from phrase_models.score.song import Section, parse_section_layout
from phrase_models.tokens.song_layout import bars_to_song, slots_to_bars
from phrase_models.training.randomness import numpy_generator

NUM_REFERENCE = 200
SLOTS = 3
PAIRED = (
    "srs_notes_50",
    "srs_notes_70",
    "srs_notes_90",
    "in_scale_rate",
    "note_density",
    "polyphony",
    "groove_consistency",
    "tracks_per_bar",
    "empty_bar_rate",
    "distinct_bar_rate",
    "boundary_f1",
    "same_label_similarity_notes",
    "melody_where_sung",
    "melody_after_instrumental",
)
TOLD_APART = tuple(
    metric for metric in METRICS if metric.name in {"feature_frechet", "two_sample_auc"}
)
OBEDIENCE = ("form_obeyed", "melody_where_sung", "melody_after_instrumental")


@dataclass(frozen=True)
class TokenSong:
    """Tokens of every slot (num_bars, 3) of a song and the sections it has, or was asked for."""

    song_id: str
    slots: Slots
    sections: tuple[Section, ...]
    requested_bars: int

    def evaluated(self) -> EvaluatedSong:
        """Its notes; bars after an end of song are left out."""
        bars, _ = slots_to_bars(self.slots, "role")
        song = bars_to_song(bars, song_id=self.song_id, sections=self.sections)
        plan = self.sections or None
        return EvaluatedSong(song, plan=plan, requested_bars=self.requested_bars)


def _cut(phrases: Sequence[list[int]]) -> list[list[list[int]]]:
    return [list(phrases[k : k + SLOTS]) for k in range(0, len(phrases), SLOTS)]


class Pack:
    """The real songs of a pack and the melodies of its training songs."""

    def __init__(self, folder: Path) -> None:
        entries, phrases, _ = read_slots(folder)
        self.songs: dict[str, TokenSong] = {}
        self.splits = {entry["song_id"]: entry["split"] for entry in entries}
        for entry in entries:
            first, last = entry["first_bar"], entry["first_bar"] + entry["num_bars"]
            self.songs[entry["song_id"]] = TokenSong(
                entry["song_id"],
                _cut(phrases[SLOTS * first : SLOTS * last]),
                parse_section_layout(entry["section_layout"]) if entry["section_layout"] else (),
                entry["num_bars"],
            )
        self.evaluated = {song_id: song.evaluated() for song_id, song in self.songs.items()}
        self.held_out = [self.evaluated[k] for k in self.songs if self.splits[k] != "train"]

    def training_reference(self) -> TrainingReference:
        """Melodies of the training songs; what held-out songs quote of them is the chance level."""
        melodies = {
            song_id: melody_tokens(item.song)
            for song_id, item in self.evaluated.items()
            if self.splits[song_id] == "train"
        }
        return build_training_reference(
            build_training_melodies(melodies), [item.song for item in self.held_out]
        )

    def other_songs(self, plans: Sequence[str], number: int = NUM_REFERENCE) -> list[EvaluatedSong]:
        """Training songs whose plans are not among these."""
        rest = [k for k in self.songs if self.splits[k] == "train" and k not in set(plans)]
        order = numpy_generator("evaluate songs", "reference").permutation(len(rest))
        return [self.evaluated[rest[int(k)]] for k in order[:number]]


def read_generated(path: Path, pack: Pack) -> list[TokenSong]:
    """The songs of a file; each has the sections and the length of the song whose plan it took."""
    return [replace(pack.songs[song_id], slots=slots) for song_id, slots in read_tokens(path)]


def read_tokens(path: Path) -> Iterator[tuple[str, list[list[list[int]]]]]:
    """Name and slots of the songs of a file."""
    with np.load(path) as file:
        ends = np.cumsum(file["lengths"]).tolist()
        tokens = file["token_ids"].tolist()
        song_ids, num_bars = file["song_ids"].tolist(), file["num_bars"].tolist()
    phrases = [tokens[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)]
    first = 0
    for song_id, bars in zip(song_ids, num_bars, strict=True):
        yield song_id, _cut(phrases[SLOTS * first : SLOTS * (first + bars)])
        first += bars


# ----------------------------------------------------------------------- the plan obeyed
def obedience(song: TokenSong, real: TokenSong) -> dict[str, float]:
    """Share of cells as in the form of the real song; of its melody bars, those with melody."""
    sings = _melody_bars(real, len(real.slots))
    ours = _melody_bars(song, len(real.slots))
    after = np.zeros(len(sings), dtype=bool)
    for before, section in zip(real.sections, real.sections[1:], strict=False):
        sung_before = any(
            other.label.isupper() and other.start_bar < before.start_bar for other in real.sections
        )
        if section.label.isupper() and before.label.islower() and sung_before:
            after[section.start_bar : section.start_bar + section.num_bars] = True
    return {
        "form_obeyed": obeyed(form_of_slots(real.slots, real.sections), song.slots),
        "melody_where_sung": _share(ours[sings]),
        "melody_after_instrumental": _share(ours[sings & after]),
    }


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if len(flags) else math.nan


def _melody_bars(song: TokenSong, num_bars: int) -> np.ndarray:
    flags = [not is_silent(bar[0]) for bar in song.slots[:num_bars]]
    return np.array(flags + [False] * (num_bars - len(flags)), dtype=bool)


# ----------------------------------------------------------------------- columns
@dataclass(frozen=True)
class Column:
    """What was measured of one set of songs: values of each song, and the table's results."""

    values: Mapping[str, np.ndarray]
    results: dict[str, MetricResult]


def measure(
    items: Sequence[EvaluatedSong],
    other: Sequence[EvaluatedSong],
    held_out: Sequence[EvaluatedSong] | None,
    training: TrainingReference,
    *,
    leave_one_out: bool = False,
) -> Column:
    """All metrics against other training songs; what tells apart also against held-out songs."""
    values = song_values(items, training, leave_one_out=leave_one_out)
    results = {r.name: r for r in evaluate_songs(items, other, training, values=values)}
    if held_out is not None:
        for result in evaluate_songs(items, held_out, training, metrics=TOLD_APART):
            name = f"{result.name} (against held-out)"
            results[name] = replace(result, name=name)
    return Column(values, results)


def with_obedience(column: Column, songs: Sequence[TokenSong], real: Sequence[TokenSong]) -> Column:
    """The column and how the plans were obeyed."""
    rows = [obedience(song, other) for song, other in zip(songs, real, strict=True)]
    values = {name: np.array([row[name] for row in rows]) for name in OBEDIENCE}
    results = {name: mean_result(name, values[name].tolist()) for name in OBEDIENCE}
    return Column({**column.values, **values}, {**column.results, **results})


# ----------------------------------------------------------------------- printing
def cell(result: MetricResult | None) -> str:
    if result is None:
        return ""
    if math.isnan(result.value):
        return "undefined"
    interval = "" if math.isnan(result.low) else f" [{result.low:.3f}, {result.high:.3f}]"
    return f"{result.value:.3f}{interval}"


def table(columns: Mapping[str, Column], ratios: Mapping[str, MetricResult]) -> str:
    """Markdown: a metric a line; those that no column has are named below with the reason."""
    names = dict.fromkeys(name for column in columns.values() for name in column.results)
    lines = [
        f"| metric | {' | '.join(columns)} | ratio, paired by plan |",
        "|---" * (len(columns) + 2) + "|",
    ]
    absent = []
    for name in names:
        results = [column.results.get(name) for column in columns.values()]
        if all(result is None or math.isnan(result.value) for result in results):
            absent.append(name)
            continue
        cells = " | ".join(map(cell, results))
        lines.append(f"| {name} | {cells} | {cell(ratios.get(name))} |")
    lines += ["", f"Not measured here (they need latents): {', '.join(absent)}."]
    for label, column in columns.items():
        lines.append(f"{label}: {longest(column)}")
    for name in ("two_sample_auc_songs", "two_sample_auc_songs (against held-out)", "failures"):
        note = columns["generated"].results[name].note
        if note:
            lines.append(f"{name}: {note}")
    return "\n".join(lines)


def longest(column: Column) -> str:
    """The largest of what the table has the means of."""
    names = ("longest_quotation_notes", "longest_copied_run", "longest_copied_run_transposed")
    return ", ".join(f"{name} at most {np.nanmax(column.values[name]):.0f}" for name in names)


def as_json(results: Mapping[str, MetricResult]) -> dict[str, dict]:
    return {
        name: {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(result).items()
        }
        for name, result in results.items()
    }


def main() -> None:
    """Measure each file of songs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", type=Path, nargs="+")
    parser.add_argument("pack", type=Path)
    parser.add_argument("--json", type=Path, help="folder for the figures and values of each song")
    parser.add_argument("--limit", type=int, help="only so many songs of each file")
    arguments = parser.parse_args()
    started = time.perf_counter()
    pack = Pack(arguments.pack)
    training = pack.training_reference()
    print(
        f"{len(pack.held_out)} held-out songs quote up to {max(training.chance.num_moves)} moves; "
        f"memorised means more than {training.chance.threshold:.1f}"
    )
    real_columns: dict[tuple[str, ...], tuple[Column, Column]] = {}
    for path in arguments.songs:
        songs = read_generated(path, pack)[: arguments.limit]
        real = [pack.songs[song.song_id] for song in songs]
        plans = tuple(song.song_id for song in songs)
        other = pack.other_songs(plans)
        if plans not in real_columns:
            items = [pack.evaluated[song_id] for song_id in plans]
            same = measure(items, other, pack.held_out, training, leave_one_out=True)
            real_columns[plans] = (
                with_obedience(same, real, real),
                measure(pack.held_out, other, None, training),
            )
        same, held_out = real_columns[plans]
        items = [song.evaluated() for song in songs]
        ours = with_obedience(measure(items, other, pack.held_out, training), songs, real)
        ratios = {name: paired_ratio(name, ours.values[name], same.values[name]) for name in PAIRED}
        columns = {"generated": ours, "real, same plans": same, "real, held-out": held_out}
        print(f"\n## {path}: {len(songs)} songs\n\n{table(columns, ratios)}")
        print(f"\n{time.perf_counter() - started:.0f} s since the start", flush=True)
        if arguments.json:
            arguments.json.mkdir(parents=True, exist_ok=True)
            content = {
                "columns": {name: as_json(column.results) for name, column in columns.items()},
                "ratios": as_json(ratios),
                "values": {
                    name: {
                        key: [None if math.isnan(x) else x for x in numbers.tolist()]
                        for key, numbers in column.values.items()
                    }
                    for name, column in columns.items()
                },
                "plans": plans,
            }
            target = arguments.json / f"{path.parent.name}-{path.stem}.json"
            target.write_text(json.dumps(content))


if __name__ == "__main__":
    main()
