"""A small song with three tracks and sections that come again."""

import pytest

from phrase_models.score.song import (
    BRIDGE,
    MELODY,
    PIANO,
    STEPS_PER_BAR,
    Note,
    Song,
    Track,
    parse_section_layout,
)

CHORDS = {
    "i": ((48, 55, 60), (45, 52, 60)),
    "A": ((48, 55, 64), (43, 55, 62), (45, 57, 64), (41, 53, 60)),
    "B": ((41, 53, 60), (43, 55, 62), (40, 52, 59), (45, 57, 64)),
    "b": ((41, 53, 57), (43, 55, 59)),
    "o": ((41, 53, 60), (48, 55, 64)),
}
TUNES = {
    "A": ((76, 74, 72, 74), (79, 79, 77, 74), (76, 72, 69, 72), (74, 72, 71, 72)),
    "B": ((81, 79, 77, 76), (79, 77, 76, 74), (76, 79, 83, 79), (81, 79, 76, 72)),
}


def compose(layout: str, tempo_bpm: float = 92.0) -> Song:
    """Piano broken chords throughout, a tune in sung sections, a bridge that answers it."""
    melody, bridge, piano = [], [], []
    sections = parse_section_layout(layout)
    for section in sections:
        chords, tunes = CHORDS[section.label], TUNES.get(section.label, ())
        for bar_in_section in range(section.num_bars):
            start = (section.start_bar + bar_in_section) * STEPS_PER_BAR
            chord = chords[bar_in_section % len(chords)]
            for eighth in range(8):
                pitch = chord[(0, 1, 2, 1, 2, 1, 2, 1)[eighth]]
                piano.append(Note(start + 6 * eighth, pitch, 12, 96 if eighth % 4 == 0 else 72))
            if tunes:
                tune = tunes[bar_in_section % len(tunes)]
                for (onset, duration), pitch in zip(
                    ((0, 15), (18, 6), (24, 12), (36, 9)), tune, strict=True
                ):
                    melody.append(Note(start + onset, pitch, duration, 110))
            if section.label == "B" or not tunes:
                for onset, step in ((12, 2), (30, 1), (42, 2)):
                    bridge.append(Note(start + onset, chord[step] + 12, 6, 84))
    tracks = tuple(
        Track(program, tuple(sorted(notes)))
        for program, notes in ((MELODY, melody), (BRIDGE, bridge), (PIANO, piano))
    )
    num_bars = sum(section.num_bars for section in sections)
    return Song("example", num_bars, tracks, sections, tempo_bpm)


@pytest.fixture(scope="session")
def song() -> Song:
    return compose("i2 A4 B4 A4 o2")
