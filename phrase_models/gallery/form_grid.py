"""The form of a song as a strip under its piano roll: a row an instrument, a cell a bar."""

from html import escape

from phrase_models.form.song_form import NO_SOURCE, CellState, SongForm, slot_name
from phrase_models.gallery.piano_roll import OTHER_TRACK_COLOURS, track_colour
from phrase_models.score.song import ROLE_PROGRAMS

_LOOKS = {
    CellState.SILENT: ("", "silent"),
    CellState.NEW: ("new", "new"),
    CellState.REPEATS: ("same", "repeats bar {}"),
    CellState.VARIES_NOTES: ("like", "varies bar {}: its notes with other lengths"),
    CellState.VARIES_RHYTHM: ("like", "varies bar {}: its rhythm with other notes"),
}
"""Class of the style sheet, and words for people, where `{}` is the number of the source."""
_LEGEND = (
    ("new", "something new"),
    ("same", "repeats an earlier bar"),
    ("like", "varies an earlier bar"),
    ("", "silent"),
)


def form_strip(form: SongForm | None, num_bars: int) -> str:
    """Rows of cells, as wide as the roll above them; empty without a form.

    Args:
        form: of the song as planned; bars that the song does not have are left out.
        num_bars: of the song as it came out.
    """
    if form is None or not num_bars:
        return ""
    rows = "".join(_row(form, slot, num_bars) for slot in range(form.num_slots))
    return f'<div class="form">{rows}</div>'


def form_names(form: SongForm | None, num_bars: int) -> str:
    """A letter for each row of the strip, to stand at its left."""
    if form is None or not num_bars:
        return ""
    letters = "".join(
        f'<b title="{slot_name(slot)}">{slot_name(slot)[0].upper()}</b>'
        for slot in range(form.num_slots)
    )
    return f'<div class="names">{letters}</div>'


def form_legend(form: SongForm | None) -> str:
    """What the cells mean, in a line."""
    if form is None:
        return ""
    items = "".join(
        f'<span><i class="{look}"></i>{words}</span>'.replace(' class=""', "")
        for look, words in _LEGEND
    )
    return (
        f'<p class="legend"><span>Plan, bar by bar (melody, bridge, piano):</span>{items}'
        "<span>Point at a bar to see which one it takes up.</span></p>"
    )


def _row(form: SongForm, slot: int, num_bars: int) -> str:
    colour = (
        track_colour(ROLE_PROGRAMS[slot])
        if slot < len(ROLE_PROGRAMS)
        else OTHER_TRACK_COLOURS[slot % len(OTHER_TRACK_COLOURS)]
    )
    shown = min(form.num_bars, num_bars)
    cells = "".join(_cell(form, bar, slot) for bar in range(shown)) + "<i></i>" * (num_bars - shown)
    return f'<div style="--colour:{colour}">{cells}</div>'


def _cell(form: SongForm, bar: int, slot: int) -> str:
    look, words = _LOOKS[CellState(form.states[bar, slot])]
    source = int(form.sources[bar, slot])
    title = escape(f"{slot_name(slot)}, bar {bar + 1}: {words.format(source + 1)}")
    named = f' class="{look}"' if look else ""
    taken_up = "" if source == NO_SOURCE else f' data-source="{source}"'
    return f'<i{named}{taken_up} title="{title}"></i>'
