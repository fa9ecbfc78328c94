"""Columns of every table: type, unit, whether they may be empty, and what they mean.

Unit and meaning are written into the files as metadata of the Arrow fields.
"""

from dataclasses import dataclass

import polars as pl
import pyarrow as pa

TABLE_SCHEMA_VERSION = 1
TABLE_KEY = "phraseldm.table"
VERSION_KEY = "phraseldm.schema_version"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: of the column.
        dtype: polars type.
        meaning: one line for people.
        unit: of its values; "" for names and flags.
        optional: whether it may be empty (null), or left out of a row.
    """

    name: str
    dtype: pl.DataType
    meaning: str
    unit: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class TableSchema:
    """A table's name and columns, in the order of the file."""

    name: str
    columns: tuple[Column, ...]

    def arrow_schema(self) -> pa.Schema:
        """The schema as Arrow, with unit and meaning as metadata of each field."""
        empty = pl.DataFrame(schema={column.name: column.dtype for column in self.columns})
        types = empty.to_arrow().schema
        fields = [
            pa.field(
                column.name,
                types.field(column.name).type,
                nullable=column.optional,
                metadata={"unit": column.unit, "meaning": column.meaning},
            )
            for column in self.columns
        ]
        return pa.schema(fields)

    def file_metadata(self) -> dict[str, str]:
        """What the file says about itself."""
        return {TABLE_KEY: self.name, VERSION_KEY: str(TABLE_SCHEMA_VERSION)}


_STRING, _FLAG, _COUNT, _NUMBER = pl.String(), pl.Boolean(), pl.Int32(), pl.Float64()
_SMALL_LIST = pl.List(pl.Int16())
_SONG_ID = Column("song_id", _STRING, "name of the song, such as 001")
_SPLIT = Column("split", _STRING, "train or validation; decided once, at ingestion")


def _measured(name: str, meaning: str, unit: str = "", dtype: pl.DataType = _COUNT) -> Column:
    """A column of `songs` that is empty for songs rejected before it could be measured."""
    return Column(name, dtype, meaning, unit, optional=True)


SONGS = TableSchema(
    "songs",
    (
        _SONG_ID,
        Column("accepted", _FLAG, "whether the song is used"),
        Column("reason", _STRING, "ok, or the code of what is wrong with the song"),
        Column("detail", _STRING, "what is wrong, in a sentence", optional=True),
        _measured("split", _SPLIT.meaning, dtype=_STRING),
        _measured("duplicate_group", "songs with the same value are one piece", dtype=_STRING),
        _measured("num_bars", "length", "bars"),
        _measured("key_shift", "added to reach C major or A minor", "semitones"),
        _measured("tempo_bpm", "tempo", "beats/minute", _NUMBER),
        _measured("section_layout", "labels and lengths, such as i8A8B8o4", dtype=_STRING),
        _measured("label_file", "which annotator's sections are used", dtype=_STRING),
        _measured("num_notes", "notes kept", "notes"),
        _measured("num_phrases", "phrases that are not empty", "phrases"),
        _measured("num_tokens", "REMI-z tokens, one for each bar included", "tokens"),
        _measured("notes_in_file", "notes of the MIDI file", "notes"),
        _measured("beat_phase_ticks", "first beat after tick 0", "ticks", _NUMBER),
        _measured("offset16", "from the first beat to bar 0", "sixteenths"),
        _measured("num_segments", "runs of constant offset in the alignment", "segments"),
        _measured("residual16", "offset left over within a beat", "sixteenths"),
        _measured("match_near", "label melody notes found near the MIDI's", "fraction", _NUMBER),
        _measured("chord_agreement", "label chords that agree with the notes", "fraction", _NUMBER),
        _measured("lead_notes", "lost before bar 0", "notes"),
        _measured("gap_notes", "lost between alignment segments", "notes"),
        _measured("tail_notes", "lost after the last bar", "notes"),
        _measured("loss_fraction", "notes of the file that are lost", "fraction", _NUMBER),
        _measured("off_grid_fraction", "onsets far from the grid", "fraction", _NUMBER),
    ),
)

SECTIONS = TableSchema(
    "sections",
    (
        _SONG_ID,
        _SPLIT,
        Column("section_index", _COUNT, "place among the song's sections, from 0"),
        Column("label", _STRING, "one letter; upper case is sung"),
        Column("start_bar", _COUNT, "first bar", "bars"),
        Column("num_bars", _COUNT, "length", "bars"),
    ),
)

BARS = TableSchema(
    "bars",
    (
        _SONG_ID,
        _SPLIT,
        Column("bar_index", _COUNT, "place in the song, from 0", "bars"),
        Column("section_index", _COUNT, "the section it lies in, if labelled", optional=True),
        Column("bar_in_section", _COUNT, "place in that section, from 0", "bars", optional=True),
        Column("num_phrases", _COUNT, "phrases that are not empty", "phrases"),
        Column("num_notes", _COUNT, "notes that start in the bar", "notes"),
        Column("programs", _SMALL_LIST, "General MIDI programs, in the order of the phrases"),
    ),
)

PHRASES = TableSchema(
    "phrases",
    (
        _SONG_ID,
        _SPLIT,
        Column("bar_index", _COUNT, "the bar it lies in, from 0", "bars"),
        Column("slot_index", _COUNT, "place among the bar's phrases, from 0"),
        Column("program", _COUNT, "General MIDI program"),
        Column("tokens", _STRING, "REMI-z text"),
        Column("token_ids", _SMALL_LIST, "the same as token ids"),
        Column("num_notes", _COUNT, "notes", "notes"),
        Column("mean_pitch", _NUMBER, "mean over the notes", "MIDI pitch"),
    ),
)

NOTES = TableSchema(
    "notes",
    (
        _SONG_ID,
        Column("program", _COUNT, "General MIDI program"),
        Column("onset", _COUNT, "from the start of bar 0", "steps of 1/12 beat"),
        Column("pitch", _COUNT, "MIDI number", "MIDI pitch"),
        Column("duration", _COUNT, "length", "steps of 1/12 beat"),
        Column("velocity", _COUNT, "MIDI velocity, 1 to 127"),
    ),
)

CHORDS = TableSchema(
    "chords",
    (
        _SONG_ID,
        _SPLIT,
        Column("bar_index", _COUNT, "place in the song, from 0", "bars"),
        Column("first", _COUNT, "chord on beat 1; 0 none, 1 + 4 * root + quality", "chord id"),
        Column("second", _COUNT, "chord on beat 3", "chord id"),
    ),
)

LATENT_SONGS = TableSchema(
    "latent_songs",
    (
        _SONG_ID,
        _SPLIT,
        Column("first_row", pl.Int64(), "where the song starts in the latents", "rows"),
        Column("num_bars", _COUNT, "length", "bars"),
    ),
)

ROLL_SONGS = TableSchema(
    "roll_songs",
    (
        _SONG_ID,
        _SPLIT,
        Column("first_row", pl.Int64(), "where the song starts in the rolls", "bars"),
        Column("num_bars", _COUNT, "length", "bars"),
        Column("section_layout", _STRING, "labels and lengths, or empty where unknown"),
    ),
)
