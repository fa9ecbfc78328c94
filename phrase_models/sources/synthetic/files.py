"""Write composed songs in the folder layout and the text files of POP909's two repositories.

`POP909-Dataset/POP909` gets the MIDI files with beats, chords and keys in seconds and the index
workbook; `hierarchical-structure-analysis/POP909` gets labels, melody, chords, key and tempo on
the bar grid. As in the real files, beats lie off the multiples of a beat in the MIDI file by a
constant phase, bar 0 comes after a lead-in, the time signature and often the downbeats are of no
use, and some notes are a little late. The same configuration gives the same bytes.
"""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

import numpy as np
from miditoolkit import Instrument, MidiFile, TempoChange, TimeSignature
from miditoolkit import Note as MidiNote

from phrase_models.score.song import (
    BEATS_PER_BAR,
    BRIDGE,
    MELODY,
    PIANO,
    SIXTEENTH,
    STEPS_PER_BAR,
    Note,
    format_section_layout,
)
from phrase_models.sources.synthetic.composer import (
    TICKS_PER_BEAT,
    ComposedSong,
    SyntheticConfig,
    compose_song,
)
from phrase_models.sources.synthetic.harmony import merge_repeats

TICKS_PER_SIXTEENTH: Final = TICKS_PER_BEAT // 4
TRACK_NAMES: Final = {MELODY: "MELODY", BRIDGE: "BRIDGE", PIANO: "PIANO"}
LATE_SHARE: Final = 0.06
LATEST_TICKS: Final = 15  # well inside half a 48th of a bar, so that rounding recovers the grid
RELEASE_TICKS: Final = 4  # a note ends a little before the grid
TIMING_STREAM: Final = 1  # sets the late notes' generator apart from the composer's
INDEX_COLUMNS: Final = (
    "song_id",
    "name",
    "artist",
    "modify_times",
    "num_beats_per_measure",
    "num_quavers_per_beat",
)
ZIP_DATE: Final = (2000, 1, 1, 0, 0, 0)

_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_SHEETS: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_SHEET_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def write_corpus(folder: Path, config: SyntheticConfig) -> None:
    """Compose a corpus and write it, so that `folder` can be read as a copy of POP909.

    Args:
        folder: gets `POP909-Dataset` and `hierarchical-structure-analysis`; made if missing.
            Files of the same name are replaced, others are left alone.
        config: number of songs, seed and bounds.
    """
    names = []
    for index in range(config.num_songs):
        song = compose_song(config, index)
        write_song(folder, song)
        names.append(song.song.song_id)
    write_index(folder, names)


def write_index(folder: Path, song_ids: Sequence[str]) -> None:
    """Write the index workbook of a corpus whose songs are written."""
    rows = [
        (song_id, f"Synthetic song {song_id}", "phraseldm", "1", "2", "2") for song_id in song_ids
    ]
    index_path = folder / "POP909-Dataset" / "POP909" / "index.xlsx"
    _write_workbook(index_path, [INDEX_COLUMNS, *rows])


def write_song(folder: Path, composed: ComposedSong) -> None:
    """Write the files of one song below both repositories' folders.

    Args:
        folder: the folder that holds both.
        composed: the song.
    """
    song_id = composed.song.song_id
    dataset = folder / "POP909-Dataset" / "POP909" / song_id
    analysis = folder / "hierarchical-structure-analysis" / "POP909" / song_id
    dataset.mkdir(parents=True, exist_ok=True)
    analysis.mkdir(parents=True, exist_ok=True)
    _write_midi(dataset / f"{song_id}.mid", composed)
    for name, text in _dataset_texts(composed).items():
        _write_text(dataset / name, text)
    for name, text in _analysis_texts(composed).items():
        _write_text(analysis / name, text)


def _write_text(path: Path, text: str) -> None:
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(text, encoding="utf-8", newline="\n")
    aside.replace(path)


def _tick_of(composed: ComposedSong, sixteenths: float) -> float:
    """Ticks from the start of the file to a place counted from the barline of bar 0."""
    lead_in = composed.lead_in_beats * TICKS_PER_BEAT
    return composed.beat_phase_ticks + lead_in + sixteenths * TICKS_PER_SIXTEENTH


def _seconds_of(composed: ComposedSong, beat: float) -> float:
    """Seconds from the start of the file to a beat counted from the barline of bar 0."""
    microseconds = round(60_000_000 / composed.song.tempo_bpm)
    return _tick_of(composed, 4 * beat) / TICKS_PER_BEAT * microseconds / 1_000_000


def _write_midi(path: Path, composed: ComposedSong) -> None:
    """Write the three tracks, all on program 0 and told apart by name, in the written key."""
    generator = np.random.default_rng([composed.seed, composed.index, TIMING_STREAM])
    midi = MidiFile(ticks_per_beat=TICKS_PER_BEAT)
    midi.tempo_changes = [TempoChange(composed.song.tempo_bpm, 0)]
    midi.time_signature_changes = [TimeSignature(1, 4, 0)]
    notes_of = {track.program: track.notes for track in composed.song.tracks}
    for program, name in TRACK_NAMES.items():
        notes = notes_of.get(program, ())
        late = generator.integers(5, LATEST_TICKS + 1, len(notes))
        late *= generator.random(len(notes)) < LATE_SHARE
        instrument = Instrument(program=0, is_drum=False, name=name)
        instrument.notes = [
            _played(note, composed, int(ticks)) for note, ticks in zip(notes, late, strict=True)
        ]
        midi.instruments.append(instrument)
    aside = path.with_name(path.name + ".tmp")
    midi.dump(str(aside))
    aside.replace(path)


def _played(note: Note, composed: ComposedSong, late_ticks: int) -> MidiNote:
    start = round(_tick_of(composed, note.onset / SIXTEENTH))
    end = round(_tick_of(composed, (note.onset + note.duration) / SIXTEENTH))
    return MidiNote(
        velocity=note.velocity,
        pitch=note.pitch - composed.song.key_shift,
        start=start + late_ticks,
        end=end - RELEASE_TICKS,
    )


def _dataset_texts(composed: ComposedSong) -> dict[str, str]:
    """Beats, chords and keys against seconds, as the dataset's own annotation gives them."""
    song = composed.song
    end = BEATS_PER_BAR * song.num_bars
    beats = range(-composed.lead_in_beats, end + 1)
    beat_midi: list[str] = []
    beat_audio: list[str] = []
    for beat in beats:
        place = (beat + composed.downbeat_error) % BEATS_PER_BAR
        seconds = _seconds_of(composed, beat)
        beat_midi.append(f"{seconds!r} {float(place % 2 == 0)} {float(place == 0)}")
        beat_audio.append(f"{seconds:.2f}\t{place + 1:.1f}")
    chords = [
        *((beat, beat + 1, "N") for beat in range(-composed.lead_in_beats, 0)),
        *_timed_chords(composed),
    ]
    chord_midi = [
        f"{_seconds_of(composed, start):.6f}\t{_seconds_of(composed, stop):.6f}\t{name}"
        for start, stop, name in chords
    ]
    chord_audio = [
        f"{_seconds_of(composed, start)!r}\t{_seconds_of(composed, stop)!r}\t{name}"
        for start, stop, name in chords
    ]
    keys = [
        f"{_seconds_of(composed, start)!r}\t{_seconds_of(composed, stop)!r}\t{name}"
        for start, stop, name in _timed_keys(composed)
    ]
    return {
        "beat_midi.txt": _lines(beat_midi),
        "beat_audio.txt": _lines(beat_audio),
        "chord_midi.txt": _lines(chord_midi),
        "chord_audio.txt": _lines(chord_audio),
        "key_audio.txt": _lines(keys),
    }


def _timed_chords(composed: ComposedSong) -> list[tuple[int, int, str]]:
    timed: list[tuple[int, int, str]] = []
    beat = 0
    for chord in merge_repeats(composed.chords):
        name = chord.name(-composed.song.key_shift)
        timed.append((beat, beat + chord.num_beats, name))
        beat += chord.num_beats
    return timed


def _timed_keys(composed: ComposedSong) -> list[tuple[int, int, str]]:
    end = BEATS_PER_BAR * composed.song.num_bars
    if composed.final_key == composed.key:
        return [(0, end, composed.key.name)]
    change = BEATS_PER_BAR * composed.final_key_bar
    return [(0, change, composed.key.name), (change, end, composed.final_key.name)]


def _analysis_texts(composed: ComposedSong) -> dict[str, str]:
    """Labels, melody, chords, key and tempo on the grid of bars."""
    song = composed.song
    keys = [name for _, _, name in _timed_keys(composed)]
    label = format_section_layout(song.sections).replace(" ", "")
    return {
        "human_label1.txt": label + "\n",
        "human_label2.txt": _other_label(composed) + "\n",
        "melody.txt": _lines(_melody_lines(composed)),
        "finalized_chord.txt": _lines(_chord_lines(composed)),
        "analyzed_key.txt": _lines(keys),
        "tempo.txt": f"{int(song.tempo_bpm)}",
    }


def _other_label(composed: ComposedSong) -> str:
    """The second annotator's label: in every fourth song 8 bars count as twice 4."""
    sections = composed.song.sections
    text = format_section_layout(sections).replace(" ", "")
    if composed.index % 4:
        return text
    return "".join(
        f"{section.label}4{section.label}4"
        if section.num_bars == 8
        else f"{section.label}{section.num_bars}"
        for section in sections
    )


def _melody_lines(composed: ComposedSong) -> list[str]:
    """Pitch (0 a rest) and length in 16ths, one after the other from bar 0, in the written key."""
    melody = next((track.notes for track in composed.song.tracks if track.program == MELODY), ())
    lines: list[str] = []
    reached = 0
    for note in melody:
        if note.onset > reached:
            lines.append(f"0 {(note.onset - reached) // SIXTEENTH}")
        lines.append(f"{note.pitch - composed.song.key_shift} {note.duration // SIXTEENTH}")
        reached = note.onset + note.duration
    if not lines:
        lines.append(f"0 {composed.song.num_bars * STEPS_PER_BAR // SIXTEENTH}")
    return lines


def _chord_lines(composed: ComposedSong) -> list[str]:
    """Name, sorted pitch classes, pitch class of the bass, length in beats."""
    lines: list[str] = []
    transposition = -composed.song.key_shift
    for chord in merge_repeats(composed.chords):
        members = sorted((member + transposition) % 12 for member in chord.pitch_classes)
        bass = (chord.bass + transposition) % 12
        lines.append(f"{chord.name(transposition)} {members} {bass} {chord.num_beats} ")
    return lines


def _lines(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _write_workbook(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Write a workbook of one sheet, all cells inline text as in the original, without dates."""
    row_texts = []
    for number, row in enumerate(rows, start=1):
        cells = "".join(
            f'<c r="{chr(ord("A") + column)}{number}" t="inlineStr">'
            f"<is><t>{escape(value)}</t></is></c>"
            for column, value in enumerate(row)
        )
        row_texts.append(f'<row r="{number}">{cells}</row>')
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels"'
        ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEET_TYPE}.sheet.main+xml"/>'
        '<Override PartName="/xl/worksheets/sheet1.xml"'
        f' ContentType="{_SHEET_TYPE}.worksheet+xml"/></Types>',
        "_rels/.rels": _relationship("officeDocument", "xl/workbook.xml"),
        "xl/workbook.xml": f'<workbook xmlns="{_SHEETS}" xmlns:r="{_OFFICE}"><sheets>'
        '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relationship("worksheet", "worksheets/sheet1.xml"),
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_SHEETS}"><sheetData>'
        f"{''.join(row_texts)}</sheetData></worksheet>",
    }
    aside = path.with_name(path.name + ".tmp")
    with zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
        for name, text in parts.items():
            entry = zipfile.ZipInfo(name, ZIP_DATE)
            entry.create_system = 3  # else it depends on the system that writes
            archive.writestr(entry, (_XML + text).encode())
    aside.replace(path)


def _relationship(kind: str, target: str) -> str:
    return (
        f'<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="rId1" Type="{_OFFICE}/{kind}" Target="{target}"/></Relationships>'
    )
