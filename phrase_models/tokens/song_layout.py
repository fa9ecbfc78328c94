"""Songs <-> bars of phrases <-> text and slots.

Phrases of a bar stand in the order of their mean pitch, descending; ties go to the earlier first
onset, then to melody, bridge, piano. A note belongs to the bar of its onset, whole.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, cast, get_args

from phrase_models.errors import ConfigurationError, UserError
from phrase_models.score.song import (
    MAX_DURATION,
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
from phrase_models.tokens.remiz import DecodeReport, decode, encode, from_text, remiz_order, to_text

SlotLayout = Literal["role", "pitch_order"]
NUM_PHRASE_SLOTS = 3


def _program_rank(program: int) -> tuple[int, int]:
    """Roles first, in their order; other programs by number."""
    rank = ROLE_PROGRAMS.index(program) if program in ROLE_PROGRAMS else len(ROLE_PROGRAMS)
    return (rank, program)


def _phrase_rank(phrase: Phrase) -> tuple[float, int, tuple[int, int]]:
    return (-phrase.mean_pitch, phrase.notes[0].onset, _program_rank(phrase.program))


def song_to_bars(song: Song) -> list[list[Phrase]]:
    """Phrases of every bar, in REMI-z order; an empty list for a silent bar."""
    bars: list[dict[int, list[PhraseNote]]] = [{} for _ in range(song.num_bars)]
    for track in song.tracks:
        for note in track.notes:
            bar, onset = divmod(note.onset, STEPS_PER_BAR)
            if 0 <= bar < song.num_bars:
                notes = bars[bar].setdefault(track.program, [])
                notes.append(PhraseNote(onset, note.pitch, min(note.duration, MAX_DURATION)))
    return [
        sorted(
            (
                Phrase(program, tuple(sorted(notes, key=remiz_order)))
                for program, notes in bar.items()
            ),
            key=_phrase_rank,
        )
        for bar in bars
    ]


def bars_to_song(
    bars: Sequence[Sequence[Phrase]],
    *,
    song_id: str = "",
    sections: tuple[Section, ...] = (),
    tempo_bpm: float = 90.0,
    key_shift: int = 0,
) -> Song:
    """Bars of phrases as a song.

    Phrases of one program in one bar are joined. A note still sounding when its pitch is struck
    again in the same track ends there, so that the song survives a MIDI file.
    """
    notes: dict[int, dict[tuple[int, int], int]] = {}
    for bar_index, phrases in enumerate(bars):
        for phrase in phrases:
            track = notes.setdefault(phrase.program, {})
            for note in phrase.notes:
                place = (bar_index * STEPS_PER_BAR + note.onset, note.pitch)
                track[place] = max(note.duration, track.get(place, 0))
    tracks = tuple(
        Track(program, _without_overlaps(notes[program]))
        for program in sorted(notes, key=_program_rank)
    )
    return Song(song_id, len(bars), tracks, sections, tempo_bpm, key_shift)


def _without_overlaps(durations: dict[tuple[int, int], int]) -> tuple[Note, ...]:
    next_onset: dict[int, int] = {}
    notes = []
    for onset, pitch in sorted(durations, reverse=True):
        duration = durations[onset, pitch]
        if pitch in next_onset:
            duration = min(duration, next_onset[pitch] - onset)
        next_onset[pitch] = onset
        notes.append(Note(onset, pitch, duration))
    return tuple(reversed(notes))


# --------------------------------------------------------------------------- text
def song_to_text(song: Song) -> str:
    """REMI-z text of a song; every bar ends in `b-1`."""
    end = vocabulary.TOKENS[vocabulary.END_OF_BAR]
    words = []
    for bar in song_to_bars(song):
        words += [to_text(encode(phrase)) for phrase in bar]
        words.append(end)
    return " ".join(words)


def text_to_song(text: str, song_id: str = "") -> Song:
    """REMI-z text as a song.

    Raises:
        UserError: for a word that is no token, an unfinished bar, or tokens that are no phrases.
    """
    ids = from_text(text)
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
    return bars_to_song(bars[:-1], song_id=song_id)


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
    """
    if layout == "role":
        return [_role_slots(bar) for bar in bars]
    return [_pitch_order_slots(bar) for bar in bars]


def _role_slots(bar: Sequence[Phrase]) -> list[list[int]]:
    by_program = {phrase.program: encode(phrase) for phrase in bar}
    return [by_program.get(program, [vocabulary.EMPTY_SLOT]) for program in ROLE_PROGRAMS]


def _pitch_order_slots(bar: Sequence[Phrase]) -> list[list[int]]:
    phrases = [encode(phrase) for phrase in bar[:NUM_PHRASE_SLOTS]]
    empty = [[vocabulary.EMPTY_SLOT] for _ in range(NUM_PHRASE_SLOTS - len(phrases))]
    return [*phrases, *empty, [vocabulary.END_OF_BAR]]


def slots_to_bars(
    slots: Iterable[Sequence[Sequence[int]]], layout: SlotLayout
) -> tuple[list[list[Phrase]], DecodeReport]:
    """Phrases of every bar up to the first end of song; total, counting repairs.

    In layout "role" the slot decides the program, whatever the tokens say: a phrase that names
    another counts as one repair.
    """
    bars: list[list[Phrase]] = []
    repairs = DecodeReport()
    for bar in slots:
        if any(list(slot) == [vocabulary.END_OF_SONG] for slot in bar):
            break
        phrases: list[Phrase] = []
        for index, slot in enumerate(bar[:NUM_PHRASE_SLOTS]):
            phrase, report = decode(slot)
            repairs += report
            if phrase is None:
                continue
            if layout == "role" and phrase.program != ROLE_PROGRAMS[index]:
                phrase = Phrase(ROLE_PROGRAMS[index], phrase.notes)
                repairs += DecodeReport(1)
            phrases.append(phrase)
        bars.append(sorted(phrases, key=_phrase_rank))
    return bars, repairs
