"""Text of REMI-z tokens, as we and the reference library write it -> a song, and what is lost."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from phrase_models.errors import UserError
from phrase_models.score.song import Phrase, Song
from phrase_models.tokens.remiz import words_to_ids
from phrase_models.tokens.song_layout import bars_to_song, ids_to_bars, song_to_bars

_REFERENCE_WORD = re.compile(r"([st])-(\d{1,3})")
_FOUR_FOUR = 9
"""Number of 4/4 among the meters of the reference library."""
_SLOWEST_TEMPO, _TEMPOS_AN_OCTAVE, _LAST_TEMPO = 16.0, 12, 48


@dataclass(frozen=True, slots=True)
class TokenText:
    """What a text of tokens says.

    Attributes:
        song: its notes, at the tempo of the text where it names one.
        said: a plain sentence for each thing that is not as it was written.
    """

    song: Song
    said: tuple[str, ...]


def read_token_text(text: str) -> TokenText:
    """Read tokens; `s-9` and `t-<tempo>` of the reference library may stand among them.

    Raises:
        UserError: for a word that is no token, an unfinished bar, tokens that are no phrases, or a
            meter other than 4/4.
    """
    words = list(enumerate(text.split(), start=1))
    ids = words_to_ids(word for word in words if not _REFERENCE_WORD.fullmatch(word[1]))
    tempos = _tempos(words)
    bars = ids_to_bars(ids)
    song = bars_to_song(bars)
    if tempos:
        song = replace(song, tempo_bpm=tempos[0])
    said = [_tempo_sentence(tempos), _lost_sentence(bars, song)]
    return TokenText(song, tuple(text for text in said if text))


def _tempos(words: Sequence[tuple[int, str]]) -> list[float]:
    """Beats a minute of every `t-`; meters are checked on the way."""
    tempos = []
    for place, word in words:
        found = _REFERENCE_WORD.fullmatch(word)
        if not found:
            continue
        kind, number = found[1], int(found[2])
        if kind == "s" and number != _FOUR_FOUR:
            message = (
                f"Word {place} of the tokens, {word!r}, is a meter other than s-{_FOUR_FOUR}, "
                "which is 4/4; only 4/4 can be written."
            )
            raise UserError(message)
        if kind == "t":
            octaves = min(number, _LAST_TEMPO) / _TEMPOS_AN_OCTAVE
            tempos.append(round(_SLOWEST_TEMPO * 2**octaves, 2))
    return tempos


def _tempo_sentence(tempos: Sequence[float]) -> str:
    changes = sum(tempo != tempos[0] for tempo in tempos)
    if not changes:
        return ""
    return f"All is at the first tempo, {tempos[0]:g}; t- words of another are dropped: {changes}."


def _lost_sentence(bars: Sequence[Sequence[Phrase]], song: Song) -> str:
    lost = [
        number
        for number, (written, kept) in enumerate(zip(bars, song_to_bars(song), strict=True), 1)
        for _ in _notes(written) - _notes(kept)
    ]
    if not lost:
        return ""
    first = f", the first in bar {lost[0]}" if len(lost) > 1 else f", in bar {lost[0]}"
    return (
        f"Notes that still sound when their pitch is struck again, and end there: {len(lost)}"
        f"{first}."
    )


def _notes(bar: Sequence[Phrase]) -> set[tuple[int, int, int, int]]:
    return {
        (phrase.program, note.onset, note.pitch, note.duration)
        for phrase in bar
        for note in phrase.notes
    }
