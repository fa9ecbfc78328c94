"""Forms, layouts and chords that the priors draw, beside those of held-out songs.

    python -m benchmarks.form_priors TABLES_FOLDER [CHORDS_FOLDER]

TABLES_FOLDER is an artifact of `tokenise_songs`. CHORDS_FOLDER, if given, holds a folder for each
song with `finalized_chord.txt` (the POP909 folder of hierarchical-structure-analysis).

Drawn forms are those of the held-out songs' layouts. Rows of recurrence are songs whose slots are
filled from training songs by the form (`filled_songs`), each compared with the same filling by the
true form, as ratio of means with an interval of 95 % over songs.
"""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.filled_songs import THRESHOLDS, mean_recurrence
from phrase_models.form.chord_prior import NUM_CHORDS, ChordPrior
from phrase_models.form.form_extraction import form_of_slots
from phrase_models.form.form_lending import (
    LendingSong,
    lend_to_layout,
    nearest_distances,
    share_reproduced,
)
from phrase_models.form.form_prior import FormPrior
from phrase_models.form.layout_prior import NUM_KINDS, LayoutPrior
from phrase_models.form.song_form import SLOT_NAMES, CellState, SongForm, repeated_bars, roots
from phrase_models.score.song import ROLE_PROGRAMS, Section
from phrase_models.sources.pop909.annotations import chord_root
from phrase_models.tokens.vocabulary import EMPTY_SLOT
from phrase_models.training.randomness import numpy_generator

DRAWS = 3
QUALITIES = {"maj": 0, "min": 1, "dim": 2, "hdim": 2}


@dataclass(frozen=True, slots=True)
class RealSong:
    song_id: str
    split: str
    key_shift: int
    sections: tuple[Section, ...]
    slots: list[list[list[int]]]
    form: SongForm


def read_songs(tables: Path) -> list[RealSong]:
    songs = pl.read_parquet(tables / "songs.parquet").filter(pl.col("accepted"))
    sections: dict[str, list[Section]] = {}
    rows = pl.read_parquet(tables / "sections.parquet").sort("song_id", "section_index")
    for song_id, *section in rows.select("song_id", "label", "start_bar", "num_bars").iter_rows():
        sections.setdefault(song_id, []).append(Section(*section))
    slots = {
        song_id: [[[EMPTY_SLOT] for _ in ROLE_PROGRAMS] for _ in range(num_bars)]
        for song_id, num_bars in songs.select("song_id", "num_bars").iter_rows()
    }
    phrases = pl.read_parquet(tables / "phrases.parquet")
    columns = ("song_id", "bar_index", "program", "token_ids")
    for song_id, bar, program, ids in phrases.select(columns).iter_rows():
        slots[song_id][bar][ROLE_PROGRAMS.index(program)] = ids
    return [
        RealSong(
            song_id,
            split,
            key_shift,
            tuple(sections[song_id]),
            slots[song_id],
            form_of_slots(slots[song_id], sections[song_id]),
        )
        for song_id, split, key_shift in songs.select("song_id", "split", "key_shift").iter_rows()
    ]


def read_chords(folder: Path, song: RealSong) -> np.ndarray:
    """(N, 2) ids on beats 1 and 3, in C; silence after the last chord."""
    beats: list[int] = []
    for line in (folder / song.song_id / "finalized_chord.txt").read_text().splitlines():
        words = line.split()
        root = chord_root(words[0])
        quality = QUALITIES.get(re.split(r"[/(\d]", words[0].partition(":")[2])[0], 3)
        chord = 0 if root < 0 else 1 + 4 * ((root + song.key_shift) % 12) + quality
        beats += [chord] * int(words[-1])
    num_beats = 4 * song.form.num_bars
    return np.array((beats + [0] * num_beats)[:num_beats:2]).reshape(-1, 2)


# ------------------------------------------------------------------ statistics of forms
def distinct(form: SongForm) -> list[float]:
    """Shares of distinct bars, and of distinct phrases of each slot."""
    first, plays = roots(form), form.states > 0
    bars = {tuple(row) for row in np.where(plays, first, -1).tolist()}
    slots = range(form.num_slots)
    phrases = [len(set(first[plays[:, s], s])) / max(1, plays[:, s].sum()) for s in slots]
    return [len(bars) / form.num_bars, *phrases]


def runs(forms: Sequence[SongForm], slot: int) -> np.ndarray:
    """Lengths of runs of bars in a row that repeat bars in a row."""
    lengths = []
    for form in forms:
        lag, length = None, 0
        for bar in range(form.num_bars + 1):
            here = None
            if bar < form.num_bars and form.states[bar, slot] == CellState.REPEATS:
                here = bar - int(form.sources[bar, slot])
            if here != lag and length:
                lengths.append(length)
                length = 0
            lag, length = here, length + (here is not None)
    return np.array(lengths)


def statistics(forms: Sequence[SongForm]) -> dict[str, str]:
    states = np.concatenate([form.states for form in forms])
    exact = (states == CellState.REPEATS).sum(axis=1)
    shares = np.array([distinct(form) for form in forms])
    rows = {}
    for slot, name in enumerate(SLOT_NAMES):
        of = [float((states[:, slot] == state).mean()) for state in CellState]
        rows[f"{name}: silent / new / repeats / same notes / rhythm"] = _line(of)
        of_slot = runs(forms, slot)
        weighted = float(np.square(of_slot).sum() / of_slot.sum())
        rows[f"{name}: mean run, mean run of a repeated bar"] = _line([of_slot.mean(), weighted], 1)
    rows["all three slots exact / none"] = _line([(exact == 3).mean(), (exact == 0).mean()])
    rows["bars repeated as a whole"] = _line([np.concatenate([*map(repeated_bars, forms)]).mean()])
    rows["distinct bars, deviation over songs"] = _line([shares[:, 0].mean(), shares[:, 0].std()])
    rows["distinct phrases by slot"] = _line(shares[:, 1:].mean(axis=0))
    return rows


def _line(values: Sequence[float] | np.ndarray, digits: int = 3) -> str:
    return " / ".join(f"{value:.{digits}f}" for value in values)


def ratio_interval(drawn: np.ndarray, true: np.ndarray) -> str:
    """Ratio of means with its interval over songs, both (songs, 3)."""
    rng, count = numpy_generator(0, "ratio_interval"), len(true)
    ratios = [drawn[i].mean(0) / true[i].mean(0) for i in rng.integers(count, size=(1000, count))]
    low, high = np.quantile(ratios, [0.025, 0.975], axis=0)
    centre = drawn.mean(axis=0) / true.mean(axis=0)
    return "  ".join(
        f"{c:.2f} [{a:.2f}, {b:.2f}]" for c, a, b in zip(centre, low, high, strict=True)
    )


# ------------------------------------------------------------------ the table
def main(tables: Path, chords: Path | None) -> None:
    songs = read_songs(tables)
    training = [song for song in songs if song.split == "train"]
    held_out = [song for song in songs if song.split == "validation"]
    print(f"{len(training)} training songs, {len(held_out)} held out, {DRAWS} draws of each layout")
    prior = FormPrior.fit([(song.sections, song.form) for song in training])
    cells = sum(song.form.states.size for song in held_out)
    score = sum(prior.log_likelihood(song.sections, song.form) for song in held_out)
    print(f"forms: held-out log likelihood {score / cells:.3f} nats a cell (at least)")
    empty = {name: table.emptied() for name, table in prior.tables.items()}
    blank = replace(prior, tables=empty, copy_odds=np.ones(3))
    score = sum(blank.log_likelihood(song.sections, song.form) for song in held_out)
    print(f"forms: {score / cells:.3f} with all decisions equally likely")
    print(f"forms: {len(json.dumps(prior.to_json())) / 1e6:.2f} MB of JSON")
    lenders = [LendingSong(song.sections, song.form) for song in training]
    forms = {"training": [song.form for song in training], "held out": [s.form for s in held_out]}
    forms["drawn"], forms["lent"] = [], []
    for draw in range(DRAWS):
        for song in held_out:
            rng = numpy_generator(draw, "form", song.song_id)
            forms["drawn"].append(prior.sample(song.sections, rng))
            forms["lent"].append(lend_to_layout(rng, lenders, song.sections).form)
    columns = {name: statistics(of) for name, of in forms.items()}
    for row in columns["training"]:
        print(row)
        for name, column in columns.items():
            print(f"    {name:10} {column[row]}")
    print_recurrence(training, held_out, forms)
    known = forms["training"]
    for name in ("held out", "drawn", "lent"):
        nearest = nearest_distances(forms[name], known)
        share = share_reproduced(forms[name], known, forms["held out"])
        print(f"{name}: nearest training form {np.mean(nearest):.3f}, too near {share:.3f}")
    print_layouts(training, held_out)
    if chords is not None:
        print_chords(training, held_out, chords)


def print_recurrence(
    training: list[RealSong], held_out: list[RealSong], forms: dict[str, list[SongForm]]
) -> None:
    order = numpy_generator(0, "donors").permutation(len(training))
    donors = [training[i].slots for i in order[: DRAWS * len(held_out)]]
    layouts = [song.sections for song in held_out] * DRAWS
    measured = {}
    for name in ("held out", "drawn", "lent"):
        of = forms[name] * (DRAWS if name == "held out" else 1)
        rows = mean_recurrence(list(zip(layouts, of, strict=True)), donors)
        measured[name] = np.nanmean(rows.reshape(DRAWS, len(held_out), 3), axis=0)
        print(f"note SRS at {THRESHOLDS}, {name}: {_line(measured[name].mean(axis=0))}")
    for name in ("drawn", "lent"):
        print(f"    {name} by true forms: {ratio_interval(measured[name], measured['held out'])}")


def print_layouts(training: list[RealSong], held_out: list[RealSong]) -> None:
    prior = LayoutPrior.fit([song.sections for song in training])
    sections = sum(len(song.sections) for song in held_out)
    score = sum(prior.log_likelihood(song.sections) for song in held_out)
    uniform = -np.log(NUM_KINDS * 32)
    print(f"layouts: {score / sections:.3f} nats a section (uniform {uniform:.3f})")
    rng = numpy_generator(0, "layouts")
    drawn = [prior.sample(rng) for _ in range(400)]
    known = {tuple((s.label, s.num_bars) for s in song.sections) for song in training}
    for name, layouts in (("held out", [song.sections for song in held_out]), ("drawn", drawn)):
        bars = [sum(s.num_bars for s in layout) for layout in layouts]
        same = [tuple((s.label, s.num_bars) for s in layout) in known for layout in layouts]
        numbers = [np.mean(bars), np.std(bars), np.mean([len(layout) for layout in layouts])]
        outro = np.mean([layout[-1].label in {"o", "X"} for layout in layouts])
        print(
            f"    {name:10} bars, deviation, sections {_line(numbers, 1)}; ends in o or X "
            f"{outro:.3f}; is a training song's layout {np.mean(same):.3f}"
        )


def print_chords(training: list[RealSong], held_out: list[RealSong], folder: Path) -> None:
    fitted = [(song.sections, song.form, read_chords(folder, song)) for song in training]
    prior = ChordPrior.fit(fitted)
    halves, score = 0, 0.0
    rows: dict[str, list[list[float]]] = {"held out": [], "drawn": []}
    for song in held_out:
        real = read_chords(folder, song)
        halves += real.size
        score += prior.log_likelihood(song.sections, song.form, real)
        rng = numpy_generator(0, "chords", song.song_id)
        drawn = prior.sample(song.sections, song.form, rng)
        for name, chords in (("held out", real), ("drawn", drawn)):
            flat = chords.ravel()
            same = [float((flat[2 * lag :] == flat[: -2 * lag]).mean()) for lag in (1, 2, 4, 8)]
            changes = float((flat[1:] != flat[:-1]).mean())
            rows[name].append([*same, changes, len(set(flat.tolist()))])
    print(f"chords: {score / halves:.3f} nats a half bar (uniform {-np.log(NUM_CHORDS):.3f})")
    for name, values in rows.items():
        mean = np.mean(values, axis=0)
        print(f"    {name:10} same at 1, 2, 4, 8 bars, changes, kinds: {_line(mean)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
