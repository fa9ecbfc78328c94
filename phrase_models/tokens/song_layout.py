"""Songs <-> bars of phrases <-> text and slots.

Phrases of a bar stand in the order of their mean pitch, descending; ties go to the earlier first
onset, then to melody, bridge, piano. A note belongs to the bar of its onset, whole.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, cast, get_args

from phrase_models.errors import ConfigurationError, UserError
from phrase_models.score.grid import clean_track
from phrase_models.score.song import (
    ROLE_PROGRAMS,
    STEPS_PER_BAR,
    Note,
    Phrase,
    PhraseNote,
    Section,
    Song,
    Track,
)
from phrase_models.tokens import vocabulary
from phrase_models.tokens.remiz import DecodeReport, decode, encode, from_text, tidy_notes, to_text
from phrase_models.tokens.song_tokens import PROGRAM_RANKS, encode_song

SlotLayout = Literal["role", "pitch_order"]
NUM_PHRASE_SLOTS = 3


def _phrase_rank(phrase: Phrase) -> tuple[float, int, int]:
    return (-phrase.mean_pitch, phrase.notes[0].onset, PROGRAM_RANKS[phrase.program])


def song_to_bars(song: Song) -> list[list[Phrase]]:
    """Phrases of every bar, in REMI-z order; an empty list for a silent bar.

    A note keeps its duration over the barline.

    Raises:
        ValueError: if a note lies outside the bars of the song.
    """
    bars: list[list[Phrase]] = [[] for _ in range(song.num_bars)]
    for track in song.tracks:
        notes: dict[int, list[PhraseNote]] = {}
        for note in track.notes:
            bar_index, onset = divmod(note.onset, STEPS_PER_BAR)
            phrase_note = PhraseNote(onset, note.pitch, note.duration)
            notes.setdefault(bar_index, []).append(phrase_note)
        for bar_index, bar_notes in notes.items():
            if not 0 <= bar_index < song.num_bars:
                message = f"song {song.song_id!r} of {song.num_bars} bars has notes in {bar_index}"
                raise ValueError(message)
            bars[bar_index].append(Phrase(track.program, tidy_notes(bar_notes)))
    return [sorted(bar, key=_phrase_rank) if len(bar) > 1 else bar for bar in bars]


def bars_to_song(
    bars: Sequence[Sequence[Phrase]],
    *,
    song_id: str = "",
    sections: Sequence[Section] = (),
    tempo_bpm: float = 90.0,
    key_shift: int = 0,
) -> Song:
    """Bars of phrases as a song.

    Phrases of one program in one bar are joined. A note still sounding when its pitch is struck
    again in the same track ends there, so that the song survives a MIDI file.

    Args:
        bars: phrases of each bar, in any order.
        song_id: its name.
        sections: cut where they reach over the last bar.
        tempo_bpm: beats a minute.
        key_shift: semitones that were added to reach C major or A minor.
    """
    notes: dict[int, list[Note]] = {}
    for bar_index, phrases in enumerate(bars):
        start = bar_index * STEPS_PER_BAR
        for phrase in phrases:
            if phrase.notes:
                notes.setdefault(phrase.program, []).extend(
                    [Note(start + note.onset, note.pitch, note.duration) for note in phrase.notes]
                )
    tracks = tuple(
        Track(program, clean_track(notes[program]))
        for program in sorted(notes, key=PROGRAM_RANKS.__getitem__)
    )
    inside = tuple(
        Section(
            section.label, section.start_bar, min(section.num_bars, len(bars) - section.start_bar)
        )
        for section in sections
        if section.start_bar < len(bars)
    )
    return Song(song_id, len(bars), tracks, inside, tempo_bpm, key_shift)


# --------------------------------------------------------------------------- text
def song_to_text(song: Song) -> str:
    """REMI-z text of a song; every bar ends in `b-1`."""
    return to_text(encode_song(song).ids.tolist())


def text_to_song(text: str, song_id: str = "") -> Song:
    """REMI-z text as a song.

    Raises:
        UserError: for a word that is no token, an unfinished bar, or tokens that are no phrases.
    """
    return bars_to_song(ids_to_bars(from_text(text)), song_id=song_id)


def ids_to_bars(ids: Sequence[int]) -> list[list[Phrase]]:
    """Phrases of every bar of correct tokens.

    Raises:
        UserError: for an unfinished bar, or tokens that are no phrases.
    """
    if not ids or ids[-1] != vocabulary.END_OF_BAR:
        message = "The tokens do not end in b-1, the end of a bar; the text may be cut off."
        raise UserError(message)
    bars: list[list[Phrase]] = [[]]
    phrase: list[int] = []
    for token in ids:
        starts = vocabulary.FIRST_PROGRAM <= token < vocabulary.FIRST_ONSET
        if phrase and (starts or token == vocabulary.END_OF_BAR):
            bars[-1].append(_strict_phrase(phrase, len(bars)))
            phrase = []
        if token == vocabulary.END_OF_BAR:
            bars.append([])
        else:
            phrase.append(token)
    return bars[:-1]


def _strict_phrase(ids: Sequence[int], bar_number: int) -> Phrase:
    phrase, report = decode(ids)
    if phrase is None or report.num_repairs:
        message = (
            f"Bar {bar_number} of the tokens holds no valid phrase: {to_text(ids)[:60]!r}; "
            "a phrase is i- followed by o- and pairs of p- and d-."
        )
        raise UserError(message)
    return phrase


# --------------------------------------------------------------------------- slots
def check_layout(name: str) -> SlotLayout:
    """A stored name as a layout.

    Raises:
        ConfigurationError: for any other name.
    """
    for layout in get_args(SlotLayout):
        if name == layout:
            return cast("SlotLayout", layout)
    message = f"There is no slot layout {name!r}; there are {', '.join(get_args(SlotLayout))}."
    raise ConfigurationError(message)


def slots_per_bar(layout: SlotLayout) -> int:
    """Three roles, or three phrases and the end of the bar."""
    return NUM_PHRASE_SLOTS if layout == "role" else NUM_PHRASE_SLOTS + 1


def bars_to_slots(bars: Sequence[Sequence[Phrase]], layout: SlotLayout) -> list[list[list[int]]]:
    """Token ids of every slot of every bar.

    Layout "role" has a slot for melody, bridge and piano; "pitch_order" (paper section 3.3) has
    the phrases by descending mean pitch, then the end of the bar. Silent slots hold the empty
    phrase.

    Raises:
        ValueError: if a bar has a program twice, one that is no role (layout "role"), or more than
            three phrases.
    """
    make = _role_slots if layout == "role" else _pitch_order_slots
    return [make(bar) for bar in bars]


def _role_slots(bar: Sequence[Phrase]) -> list[list[int]]:
    slots = {program: [vocabulary.EMPTY_SLOT] for program in ROLE_PROGRAMS}
    slots.update((phrase.program, encode(phrase)) for phrase in bar)
    if len(slots) > NUM_PHRASE_SLOTS or len({phrase.program for phrase in bar}) < len(bar):
        message = f"programs {[phrase.program for phrase in bar]} of a bar are no distinct roles"
        raise ValueError(message)
    return list(slots.values())


def _pitch_order_slots(bar: Sequence[Phrase]) -> list[list[int]]:
    if len({phrase.program for phrase in bar}) < len(bar) or len(bar) > NUM_PHRASE_SLOTS:
        message = f"programs {[phrase.program for phrase in bar]} of a bar do not fit its slots"
        raise ValueError(message)
    phrases = [encode(phrase) for phrase in sorted(bar, key=_phrase_rank)]
    empty = [[vocabulary.EMPTY_SLOT] for _ in range(NUM_PHRASE_SLOTS - len(phrases))]
    return [*phrases, *empty, [vocabulary.END_OF_BAR]]


def slots_to_bars(
    slots: Iterable[Sequence[Sequence[int]]], layout: SlotLayout
) -> tuple[list[list[Phrase]], DecodeReport]:
    """Phrases of every bar up to the first end of song; total, counting repairs.

    A bar in which the end of song comes after music is kept up to there. Repairs beyond those of
    `decode`, each counted once: an end of song that is not the first slot of its bar; music or
    silence in the slot of the end of bar, which is ignored, and an end of bar in any other slot;
    in layout "role" a phrase of another program than its slot's, which decides; in "pitch_order" a
    program that is no role, which becomes the first role still silent, and a program that came
    before in the bar, whose phrases are joined.
    """
    bars: list[list[Phrase]] = []
    report = DecodeReport()
    for bar in slots:
        ids = [list(slot) for slot in bar]
        end = ids.index(_END_OF_SONG) if _END_OF_SONG in ids else None
        phrases, repairs = _read_bar(ids[:end], layout)
        report += repairs
        if phrases or end is None:
            bars.append(phrases)
        if end is not None:
            return bars, report + DecodeReport(int(end > 0))
    return bars, report


_END_OF_SONG = [vocabulary.END_OF_SONG]
_END_OF_BAR = [vocabulary.END_OF_BAR]


def _read_bar(bar: Sequence[list[int]], layout: SlotLayout) -> tuple[list[Phrase], DecodeReport]:
    report = DecodeReport()
    phrases: dict[int, Phrase] = {}
    for index, ids in enumerate(bar):
        if index >= NUM_PHRASE_SLOTS or ids == _END_OF_BAR:
            report += DecodeReport(int((index == NUM_PHRASE_SLOTS) != (ids == _END_OF_BAR)))
            continue
        phrase, repairs = decode(ids)
        report += repairs
        if phrase is None:
            continue
        program = ROLE_PROGRAMS[index] if layout == "role" else _role(phrase.program, phrases)
        report += DecodeReport(int(program != phrase.program or program in phrases))
        if program in phrases:
            notes = tidy_notes(phrases[program].notes + phrase.notes)
            phrases[program] = Phrase(program, notes)
        else:
            phrases[program] = Phrase(program, phrase.notes)
    return sorted(phrases.values(), key=_phrase_rank), report


def _role(program: int, taken: dict[int, Phrase]) -> int:
    if program in ROLE_PROGRAMS:
        return program
    return next(role for role in ROLE_PROGRAMS if role not in taken)
