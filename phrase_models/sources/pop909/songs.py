"""A POP909 song with its human analysis -> a `Song` on the grid, or the reason why not.

Two checkouts lie side by side: POP909-Dataset (MIDI, beats, chords) and
hierarchical-structure-analysis (sections, bar-aligned melody and chords, key). Nothing here raises
for a bad song: it comes back with a reason and a sentence.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from phrase_models.errors import BadAnnotationError, BadMidiError, UserError
from phrase_models.score.chords import chords_of_beats
from phrase_models.score.grid import grid_notes, off_grid_fraction, quantise
from phrase_models.score.song import (
    MELODY,
    SIXTEENTH,
    Section,
    Song,
    Track,
    format_section_layout,
)
from phrase_models.score.transforms import choose_key, shift_to_c, transpose
from phrase_models.sources.acceptance_rules import Facts, IngestConfig, judge
from phrase_models.sources.pop909 import annotations
from phrase_models.sources.pop909.alignment import Alignment, Evidence, align, to_grid
from phrase_models.sources.pop909.annotations import BadLabelError, MissingFileError
from phrase_models.sources.pop909.raw_song import (
    SIXTEENTHS_PER_BAR,
    RawSong,
    RawTrack,
    read_raw_song,
)
from phrase_models.sources.source import IngestedSong, SongEntry

DATASET, STRUCTURE = Path("POP909-Dataset/POP909"), Path("hierarchical-structure-analysis/POP909")
INDEX_COLUMNS = ("song_id", "num_beats_per_measure", "num_quavers_per_beat")
REASON_OF_ERROR: dict[type[UserError], str] = {  # the first that fits
    BadMidiError: "bad_midi",
    MissingFileError: "missing_file",
    BadLabelError: "bad_label",
    BadAnnotationError: "bad_annotation",
    UserError: "unusable",
}


@dataclass(frozen=True, slots=True)
class IndexedSong(SongEntry):
    """A song that is listed, or lies there.

    Attributes:
        num_beats_per_measure, num_quavers_per_beat: of the index; (2, 2) is 4/4.
        named: whether the folder's name is UTF-8; else the id is not that name.
    """

    num_beats_per_measure: int
    num_quavers_per_beat: int
    named: bool = field(default=True, kw_only=True)


# --------------------------------------------------------------------------- which songs
def list_songs(pop909_root: Path) -> list[IndexedSong]:
    """Songs of the index and of the folders, by id; one that is listed may be absent.

    Folders that version control and archivers leave behind are no songs.

    Raises:
        BadAnnotationError: if the index is there but is no such table.
    """
    folder = pop909_root / DATASET
    found = _song_folders(folder) if folder.is_dir() else {}
    index = _read_index(folder / "index.xlsx")
    return [
        IndexedSong(
            song_id,
            *index.get(song_id, (2, 2)),
            present=song_id in found,
            named=found.get(song_id, song_id) == song_id,
        )
        for song_id in sorted(found.keys() | index.keys())
    ]


def _song_folders(folder: Path) -> dict[str, str]:
    """Names of folders by song id, which is the name as far as it is text."""
    names = [
        path.name
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith((".", "__MACOSX"))
    ]
    return {os.fsencode(name).decode(errors="backslashreplace"): name for name in names}


def _read_index(path: Path) -> dict[str, tuple[int, int]]:
    if not path.is_file():
        return {}
    import openpyxl  # a seventh of a second, and every command loads the sources

    try:
        book = openpyxl.load_workbook(path, read_only=True)
        rows = list(book.worksheets[0].iter_rows(values_only=True))
        columns = [rows[0].index(name) for name in INDEX_COLUMNS]
        cells = [tuple(str(row[column]) for column in columns) for row in rows[1:]]
        return {
            song_id.zfill(3): (int(float(beats)), int(float(quavers)))
            for song_id, beats, quavers in cells
            if song_id.isdigit()
        }
    except Exception as error:  # the parser raises whatever a broken file makes it
        message = (
            f"Index {path} is no table with the columns {', '.join(INDEX_COLUMNS)}; "
            "copy it again from POP909-Dataset."
        )
        raise BadAnnotationError(message) from error


# --------------------------------------------------------------------------- one song
def ingest_song(pop909_root: Path, entry: IndexedSong, config: IngestConfig) -> IngestedSong:
    """Read, align and judge one song; a bad file is a reason, never an exception."""
    song_id = entry.song_id
    if not entry.present:
        sentence = f"The index lists song {song_id}, but its folder is missing."
        return IngestedSong(song_id, accepted=False, reason="missing_folder", detail=sentence)
    if not entry.named:
        sentence = f"The name of folder {song_id} is not UTF-8; rename it."
        return IngestedSong(song_id, accepted=False, reason="bad_name", detail=sentence)
    try:
        return _ingest(pop909_root, entry, config)
    except UserError as error:
        reason = next(code for kind, code in REASON_OF_ERROR.items() if isinstance(error, kind))
        return IngestedSong(song_id, accepted=False, reason=reason, detail=str(error))


def _ingest(root: Path, entry: IndexedSong, config: IngestConfig) -> IngestedSong:
    song_id = entry.song_id
    analysis = root / STRUCTURE / song_id
    raw = read_raw_song(root / DATASET / song_id / f"{song_id}.mid")
    melody = annotations.read_melody(analysis / "melody.txt")
    chords = annotations.read_beat_chords(analysis / "finalized_chord.txt")
    keys = annotations.read_key_candidates(analysis / "analyzed_key.txt")
    labels = _read_labels(analysis)
    alignment = align(_evidence(raw, melody, chords, labels[0]))
    placed = [_place(track, alignment) for track in raw.tracks]
    label_index, sections, trailing = _choose_label(labels, placed)
    unlabelled = _melody_after(placed, _num_bars(sections))
    if trailing == 1:
        sections = _shorten(sections)
    num_bars = _num_bars(sections)
    losses = _losses(placed, num_bars)
    num_notes = sum(len(track.pitches) for track in raw.tracks)
    starts = np.concatenate([track.starts for track in raw.tracks])
    facts = Facts(
        beats_per_measure=entry.num_beats_per_measure,
        quavers_per_beat=entry.num_quavers_per_beat,
        match_near=alignment.match_near,
        chord_agreement=alignment.chord_agreement,
        unlabelled_melody_notes=unlabelled,
        empty_end_bars=trailing,
        num_bars=num_bars,
        loss_fraction=sum(losses) / num_notes,
        off_grid_fraction=off_grid_fraction(starts),
    )
    reason, sentence = judge(facts, config)
    song, statistics = _finish(song_id, raw, alignment, sections, keys, chords, config)
    statistics |= {
        "label_file": str(label_index + 1),
        "notes_in_file": num_notes,
        "lead_notes": losses[0],
        "gap_notes": losses[1],
        "tail_notes": losses[2],
        "loss_fraction": facts.loss_fraction,
        "off_grid_fraction": facts.off_grid_fraction,
    }
    accepted = reason == "ok"
    return IngestedSong(
        song_id,
        accepted,
        reason,
        sentence,
        song if accepted else None,
        statistics,
        tuple(pitch for _, pitch in melody),
    )


def _finish(
    song_id: str,
    raw: RawSong,
    alignment: Alignment,
    sections: tuple[Section, ...],
    keys: Sequence[int],
    chords: Sequence[int],
    config: IngestConfig,
) -> tuple[Song, dict[str, int | float | str | None]]:
    """The song in C major or A minor, and what describes it."""
    num_bars = _num_bars(sections)
    tracks = tuple(_grid_track(track, alignment, num_bars, config.grid) for track in raw.tracks)
    tracks = tuple(track for track in tracks if track.notes)
    major, _ = choose_key(tracks, keys)
    written = Song(
        song_id,
        num_bars,
        tracks,
        sections,
        round(raw.tempo_bpm, 3),
        # The alignment moved the notes to the bars of the analysis, which the chords count too.
        chords=chords_of_beats(chords, num_bars),
    )
    song = transpose(written, shift_to_c(major))
    return song, {
        "num_bars": num_bars,
        "section_layout": format_section_layout(sections),
        "key_shift": song.key_shift,
        "tempo_bpm": song.tempo_bpm,
        "num_notes": song.num_notes,
        "beat_phase_ticks": round(raw.phase, 3),
        "offset16": alignment.segments[0].offset,
        "num_segments": len(alignment.segments),
        "residual16": alignment.residual,
        "match_near": alignment.match_near,
        "chord_agreement": alignment.chord_agreement,
    }


# --------------------------------------------------------------------------- evidence
def _read_labels(analysis: Path) -> list[tuple[Section, ...]]:
    """Sections of the first annotator, and of the second where there is one."""
    labels = [annotations.read_sections(analysis / "human_label1.txt")]
    if (analysis / "human_label2.txt").is_file():
        labels.append(annotations.read_sections(analysis / "human_label2.txt"))
    return labels


def _evidence(
    raw: RawSong,
    melody: Sequence[tuple[int, int]],
    chords: Sequence[int],
    sections: Sequence[Section],
) -> Evidence:
    notes = np.array(melody, np.int64).reshape(-1, 2)
    midi = next((track for track in raw.tracks if track.program == MELODY), None)
    midi_notes = (
        np.stack((quantise(midi.starts), midi.pitches), 1) if midi else np.zeros((0, 2), np.int64)
    )
    last_melody_beat = int(notes[:, 0].max() // 4) + 1 if len(notes) else 0
    num_beats = max(len(chords), last_melody_beat, 4 * _num_bars(sections))
    return Evidence(
        midi_notes=midi_notes,
        notes=notes,
        midi_roots=raw.roots,
        first_sixteenth=raw.first_sixteenth,
        roots=np.array([annotations.root_of(chord) for chord in chords], np.int64),
        boundaries=frozenset(4 * section.start_bar for section in sections),
        num_beats=num_beats,
    )


# --------------------------------------------------------------------------- bars
@dataclass(frozen=True, slots=True)
class PlacedTrack:
    """Onsets of a track in 16ths from bar 0, and which fall into a gap between segments."""

    program: int
    onsets: NDArray[np.int64]
    in_gap: NDArray[np.bool_]


def _place(track: RawTrack, alignment: Alignment) -> PlacedTrack:
    sixteenths = quantise(track.starts)
    offsets, in_gap = to_grid(alignment.segments, sixteenths)
    return PlacedTrack(track.program, sixteenths - offsets, in_gap)


def _grid_track(track: RawTrack, alignment: Alignment, num_bars: int, grid: int) -> Track:
    """Notes of a track within the labelled bars, on the 16th or the 48 grid."""
    offsets, in_gap = to_grid(alignment.segments, quantise(track.starts))
    steps = SIXTEENTH if grid == 16 else 1
    scale = SIXTEENTH // steps
    starts = quantise(track.starts * scale) - offsets * scale
    ends = quantise(track.ends * scale) - offsets * scale
    kept = ~in_gap & (starts >= 0) & (starts < num_bars * SIXTEENTHS_PER_BAR * scale)
    notes = grid_notes(
        starts[kept], ends[kept], track.pitches[kept], track.velocities[kept], steps=steps
    )
    return Track(track.program, notes)


def _num_bars(sections: Sequence[Section]) -> int:
    return sum(section.num_bars for section in sections)


def _shorten(sections: tuple[Section, ...]) -> tuple[Section, ...]:
    """One bar less at the end."""
    *kept, last = sections
    if last.num_bars > 1:
        kept.append(Section(last.label, last.start_bar, last.num_bars - 1))
    return tuple(kept)


def _melody_after(placed: Sequence[PlacedTrack], num_bars: int) -> int:
    end = num_bars * SIXTEENTHS_PER_BAR
    return sum(
        int(((track.onsets >= end) & ~track.in_gap).sum())
        for track in placed
        if track.program == MELODY
    )


def _empty_end_bars(placed: Sequence[PlacedTrack], num_bars: int) -> int:
    """Labelled bars after the last one with an onset."""
    end = num_bars * SIXTEENTHS_PER_BAR
    onsets = np.concatenate([track.onsets[~track.in_gap] for track in placed])
    inside = onsets[(onsets >= 0) & (onsets < end)]
    last = int(inside.max()) // SIXTEENTHS_PER_BAR + 1 if len(inside) else 0
    return num_bars - last


def _choose_label(
    labels: Sequence[tuple[Section, ...]], placed: Sequence[PlacedTrack]
) -> tuple[int, tuple[Section, ...], int]:
    """The first annotator's sections, unless the second's end fits the music better.

    Returns:
        Index of the label, its sections, and how many of its last bars are empty.
    """

    def cost(index: int) -> tuple[bool, bool, bool]:
        num_bars = _num_bars(labels[index])
        after = _melody_after(placed, num_bars)
        return after > 4, _empty_end_bars(placed, num_bars) > 0, after > 0

    best = min(range(len(labels)), key=lambda index: (cost(index), index))
    return best, labels[best], _empty_end_bars(placed, _num_bars(labels[best]))


def _losses(placed: Sequence[PlacedTrack], num_bars: int) -> tuple[int, int, int]:
    """Notes before bar 0, in gaps, and after the last bar."""
    end = num_bars * SIXTEENTHS_PER_BAR
    lead = sum(int(((track.onsets < 0) & ~track.in_gap).sum()) for track in placed)
    gap = sum(int(track.in_gap.sum()) for track in placed)
    tail = sum(int(((track.onsets >= end) & ~track.in_gap).sum()) for track in placed)
    return lead, gap, tail
