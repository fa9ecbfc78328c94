"""Draws `song.png`, a song with its sections and form: python docs/make_song_picture.py SONGS.

SONGS is a folder that `phraseldm generate` wrote; its first song is drawn.
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure

from phrase_models.form.song_form import CellState
from phrase_models.score.song import ROLE_NAMES, ROLE_PROGRAMS, STEPS_PER_BAR
from phrase_models.song_batch import read_batch

PICTURE = Path(__file__).resolve().parent / "song.png"
COLOURS = ("#c2410c", "#0f766e", "#1d4ed8")
SHADES = {
    CellState.SILENT: "#ffffff",
    CellState.NEW: "#1f2937",
    CellState.REPEATS: "#9ca3af",
    CellState.VARIES_NOTES: "#d8b4fe",
    CellState.VARIES_RHYTHM: "#ede9fe",
}


def draw(folder: Path) -> None:
    """Piano roll above, form below: new dark, repeated grey, varied violet, silent white."""
    made = read_batch(folder)[0]
    song, form = made.song, made.request.form
    figure = Figure(figsize=(11, 3.6), dpi=110, layout="constrained")
    roll, grid = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    for program, colour in zip(ROLE_PROGRAMS, COLOURS, strict=True):
        notes = [n for track in song.tracks if track.program == program for n in track.notes]
        spans = [(n.onset / STEPS_PER_BAR, n.duration / STEPS_PER_BAR) for n in notes]
        for note, (start, length) in zip(notes, spans, strict=True):
            roll.barh(note.pitch, length, left=start, height=1.0, color=colour)
        roll.barh(0, 0, color=colour, label=ROLE_NAMES[program].lower())
    for section in song.sections:
        roll.axvline(section.start_bar, color="#9ca3af", linewidth=0.7)
        label = f"{section.label}{section.num_bars}"
        roll.text(section.start_bar + 0.2, 101, label, fontsize=8, color="#374151")
    roll.set(ylim=(30, 106), ylabel="pitch", xlim=(0, song.num_bars))
    roll.legend(loc="lower right", fontsize=7, ncols=3)
    if form is not None:
        for bar in range(form.num_bars):
            for slot in range(form.num_slots):
                shade = SHADES[CellState(int(form.states[bar, slot]))]
                grid.barh(-slot, 0.94, left=bar, height=0.9, color=shade)
    names = [ROLE_NAMES[program].lower() for program in ROLE_PROGRAMS]
    grid.set(yticks=[0, -1, -2], yticklabels=names, xlabel="bar")
    figure.savefig(PICTURE)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
