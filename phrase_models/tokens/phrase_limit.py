"""Phrases that a model cannot hold: which of their notes stay.

The longest notes stay, of equal ones the earliest, then the highest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from phrase_models.score.reading_report import part_name
from phrase_models.score.song import Phrase, PhraseNote, Song
from phrase_models.tokens.remiz import remiz_order
from phrase_models.tokens.song_layout import bars_to_song, song_to_bars

TOKENS_OF_NOTE = 2


@dataclass(frozen=True, slots=True)
class CutPhrase:
    """A phrase that was too long.

    Attributes:
        bar: index of its bar.
        program: of its role.
        num_notes: that it had.
        num_kept: of them.
    """

    bar: int
    program: int
    num_notes: int
    num_kept: int

    def sentence(self, max_tokens: int) -> str:
        """What is cut, where and why."""
        return (
            f"Bar {self.bar + 1}, {part_name(self.program)}: {self.num_notes} notes are more than "
            f"the model's longest phrase of {max_tokens} tokens holds; "
            f"{self.num_notes - self.num_kept} are cut, {self.num_kept} stay (the longest, of "
            "equal ones the earliest)."
        )


def within_limit(phrase: Phrase, max_tokens: int) -> Phrase:
    """A phrase of at most so many tokens: itself, or its longest notes in REMI-z order."""
    if num_tokens(phrase.notes) <= max_tokens:
        return phrase
    kept: list[PhraseNote] = []
    onsets: set[int] = set()
    room = max_tokens - 1
    for note in sorted(phrase.notes, key=lambda note: (-note.duration, note.onset, -note.pitch)):
        cost = TOKENS_OF_NOTE + (note.onset not in onsets)
        if cost <= room:
            kept.append(note)
            onsets.add(note.onset)
            room -= cost
    return Phrase(phrase.program, tuple(sorted(kept, key=remiz_order)))


def num_tokens(notes: Iterable[PhraseNote]) -> int:
    """Tokens of a phrase of these notes, without begin and end."""
    onsets = [note.onset for note in notes]
    return 1 + len(set(onsets)) + TOKENS_OF_NOTE * len(onsets)


def song_within_limit(song: Song, max_tokens: int) -> tuple[Song, tuple[CutPhrase, ...]]:
    """A song whose phrases have at most so many tokens each, and those that had to be cut."""
    bars: list[Sequence[Phrase]] = []
    cuts: list[CutPhrase] = []
    for index, bar in enumerate(song_to_bars(song)):
        bars.append([within_limit(phrase, max_tokens) for phrase in bar])
        cuts += [
            CutPhrase(index, before.program, len(before.notes), len(after.notes))
            for before, after in zip(bar, bars[-1], strict=True)
            if len(after.notes) < len(before.notes)
        ]
    if not cuts:
        return song, ()
    cut = bars_to_song(
        bars,
        song_id=song.song_id,
        sections=song.sections,
        tempo_bpm=song.tempo_bpm,
        key_shift=song.key_shift,
    )
    return cut, tuple(cuts)
