"""A form as a grid of text that people read and edit.

One block a section, one line an instrument, one cell a bar, bars counted from 1::

    # A4, bars 5 to 8
    melody  *   *   *   ~5
    bridge  .   .   .   .
    piano   *   =5  =1  ^1

`.` is silent, `*` new, `=5` repeats bar 5, `~5` has its onsets and pitches, `^5` its rhythm.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from phrase_models.errors import ConfigurationError
from phrase_models.form.song_form import NO_SOURCE, SLOT_NAMES, CellState, SongForm, first_fault
from phrase_models.score.song import Section

_MARKS = {
    CellState.SILENT: ".",
    CellState.NEW: "*",
    CellState.REPEATS: "=",
    CellState.VARIES_NOTES: "~",
    CellState.VARIES_RHYTHM: "^",
}
_STATES = {mark: state for state, mark in _MARKS.items()}
_CELL = re.compile(r"([.*])|([=~^])(\d{1,6})", re.ASCII)
_NAME_WIDTH = max(map(len, SLOT_NAMES))
_HEADING = re.compile(r"#\s*([A-Za-z])(\d+), bars \d+ to (\d+)\s*", re.ASCII)
LEGEND = ". silent   * new   =5 repeats bar 5   ~5 its notes, other durations   ^5 its rhythm"
"""What the marks of a grid mean, in a line."""
_BARS_A_BLOCK = 8
"""Bars of a block where no sections are known."""


def format_form(form: SongForm, sections: Sequence[Section] | None = None) -> str:
    """The grid of a form of three slots, which `parse_form` reads back.

    Args:
        form: of N bars.
        sections: contiguous from bar 0, for the blocks and their headings; bars beyond them, or
            all without them, come in blocks of eight.

    Raises:
        ConfigurationError: for a form of another number of slots.
    """
    if form.num_slots != len(SLOT_NAMES):
        message = f"A form is written with {len(SLOT_NAMES)} instruments, not {form.num_slots}."
        raise ConfigurationError(message)
    cells = [[_format_cell(form, bar, slot) for slot in range(3)] for bar in range(form.num_bars)]
    width = max(len(cell) for bar in cells for cell in bar)
    blocks = []
    for label, start, end in blocks_of(form.num_bars, sections or ()):
        lines = [f"# {label}bars {start + 1} to {end}"]
        for slot, name in enumerate(SLOT_NAMES):
            row = " ".join(bar[slot].ljust(width) for bar in cells[start:end])
            lines.append(f"{name.ljust(_NAME_WIDTH)}  {row}".rstrip())
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


def _format_cell(form: SongForm, bar: int, slot: int) -> str:
    mark, source = _MARKS[CellState(form.states[bar, slot])], form.sources[bar, slot]
    return mark if source == NO_SOURCE else f"{mark}{source + 1}"


def blocks_of(num_bars: int, sections: Sequence[Section]) -> Iterator[tuple[str, int, int]]:
    """Label, such as "A8, ", first and end bar of each block: of sections, else of eight bars."""
    start = 0
    for section in sections:
        end = min(start + section.num_bars, num_bars)
        if start < end:
            yield f"{section.label}{section.num_bars}, ", start, end
        start = end
    for block in range(start, num_bars, _BARS_A_BLOCK):
        yield "", block, min(block + _BARS_A_BLOCK, num_bars)


@dataclass(slots=True)
class _Row:
    """The cells of an instrument so far: state, source and line of each; and how many lines."""

    states: list[CellState] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    num_blocks: int = 0


def parse_form(text: str) -> SongForm:
    """Read a grid as `format_form` writes it.

    What follows a `#` is a comment; blanks, empty lines, bar lines (`|`), capitals and a colon
    after the name do not matter. A block holds a line of each instrument in any order, all equally
    long.

    Raises:
        ConfigurationError: one sentence with the number of the line.
    """
    rows = {name: _Row() for name in SLOT_NAMES}
    number = 0
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#")[0].replace("|", " ").replace(":", " ").split()
        if words:
            _read_row(words, number, rows)
    _check_blocks(rows, number, complete=True)
    states = np.array([row.states for row in rows.values()], np.int8).T
    sources = np.array([row.sources for row in rows.values()], np.int64).T
    if not states.size:
        message = "The form holds no bar; it needs lines such as 'melody * * =1 =2'."
        raise ConfigurationError(message)
    fault = first_fault(states, sources)
    if fault is not None:
        raise _error(rows[SLOT_NAMES[fault.slot]].lines[fault.bar], fault.complaint)
    return SongForm(states, sources)


def layout_of_headings(text: str) -> str | None:
    """The sections that headings of a form or a texture name, such as "i4 A8", or None.

    Headings count where each follows on the one before it, from bar 1: otherwise blocks were
    added or taken out by hand, and the layout is to be given.
    """
    found = [match for line in text.splitlines() if (match := _HEADING.fullmatch(line.strip()))]
    ends = np.cumsum([int(match[2]) for match in found])
    if not found or ends.tolist() != [int(match[3]) for match in found]:
        return None
    return " ".join(f"{match[1]}{match[2]}" for match in found)


def _read_row(words: list[str], number: int, rows: dict[str, _Row]) -> None:
    name = words[0].lower()
    if name not in rows:
        raise _error(number, f"{words[0]!r} is no instrument; there are {', '.join(rows)}")
    if len(words) == 1:
        raise _error(number, f"the {name} has no cells")
    row = rows[name]
    if row.num_blocks > min(other.num_blocks for other in rows.values()):
        raise _error(number, f"the {name} begins another block before all instruments had a line")
    for word in words[1:]:
        match = _CELL.fullmatch(word)
        if match is None:
            raise _error(number, f"{word!r} is no cell such as . * =5 ~5 ^5")
        row.states.append(_STATES[match[1] or match[2]])
        row.sources.append(int(match[3]) - 1 if match[3] else NO_SOURCE)
        row.lines.append(number)
    row.num_blocks += 1
    _check_blocks(rows, number, complete=False)


def _check_blocks(rows: dict[str, _Row], number: int, *, complete: bool) -> None:
    """Where all instruments have had their line of a block, they have equally many bars."""
    if len({row.num_blocks for row in rows.values()}) > 1:
        if complete:
            missing = min(rows, key=lambda name: rows[name].num_blocks)
            raise _error(number, f"the {missing} has no line in the last block")
        return
    if len({len(row.states) for row in rows.values()}) > 1:
        bars = ", ".join(f"{name} {len(row.states)}" for name, row in rows.items())
        raise _error(number, f"the instruments do not have equally many bars so far ({bars})")


def _error(number: int, complaint: str) -> ConfigurationError:
    return ConfigurationError(f"Line {number} of the form: {complaint}.")
