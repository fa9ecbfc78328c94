"""Does a generated melody repeat a training melody? MMR, T2R, MR and the longest copied run.

Melodies are compared as REMI-z strings of the melody program alone (paper section 4.3.4). A string
has tokens even where the melody rests (one `b-1` a bar, one `i-13` a sounding bar), so unrelated
songs of similar length are already alike to some degree: read every figure beside the same figure
of held-out real songs.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from phrase_models.score.song import MELODY, STEPS_PER_BAR, Note, Song
from phrase_models.tokens.vocabulary import (
    END_OF_BAR,
    duration_id,
    onset_id,
    pitch_id,
    program_id,
)

MEMORISED_RATIO = 1.0 / 3.0
"""Two-nearest ratio under which a sample counts as memorised (Gu et al. 2023)."""


def melody_tokens(song: Song) -> list[int]:
    """REMI-z token ids of the melody track alone: its phrase in each bar, then `b-1`.

    A bar in which the melody has no onset is one `b-1`.
    """
    bars: list[list[Note]] = [[] for _ in range(song.num_bars)]
    for track in song.tracks:
        if track.program == MELODY:
            for note in track.notes:
                if 0 <= note.onset < song.num_bars * STEPS_PER_BAR:
                    bars[note.onset // STEPS_PER_BAR].append(note)
    tokens: list[int] = []
    for notes in bars:
        if notes:
            tokens.append(program_id(MELODY))
        last_onset = -1
        for note in sorted(notes, key=lambda note: (note.onset, -note.pitch, -note.duration)):
            if note.onset != last_onset:
                tokens.append(onset_id(note.onset % STEPS_PER_BAR))
                last_onset = note.onset
            tokens += (pitch_id(note.pitch), duration_id(note.duration))
        tokens.append(END_OF_BAR)
    return tokens


def has_melody(tokens: Sequence[int]) -> bool:
    """Whether the melody has any note."""
    return program_id(MELODY) in tokens


def _as_text(tokens: Sequence[int]) -> str:
    # rapidfuzz is several times faster on strings; ids are small enough to be code points.
    return "".join(map(chr, tokens))


@dataclass(frozen=True, slots=True)
class TrainingMelodies:
    """Training melodies made ready for many comparisons (`build_training_melodies`).

    Attributes:
        song_ids: of the songs, in order.
        groups: songs with equal group are versions of one song.
        texts: melody token ids of each song, as strings of code points.
        lengths: tokens of each song, `[num_songs]`.
    """

    song_ids: tuple[str, ...]
    groups: tuple[str, ...]
    texts: tuple[str, ...]
    lengths: np.ndarray

    def iter_tokens(self) -> Iterator[list[int]]:
        """Melody token ids of each song, a song at a time: as text they take an eighth."""
        for text in self.texts:
            yield [ord(character) for character in text]


def build_training_melodies(
    melodies: Mapping[str, Sequence[int]], groups: Mapping[str, str] | None = None
) -> TrainingMelodies:
    """Prepare the training melodies.

    Args:
        melodies: melody tokens by song_id.
        groups: name of the duplicate group by song_id; songs not named are alone.
    """
    groups = groups or {}
    song_ids = tuple(melodies)
    texts = tuple(_as_text(melodies[song_id]) for song_id in song_ids)
    return TrainingMelodies(
        song_ids=song_ids,
        groups=tuple(groups.get(song_id, song_id) for song_id in song_ids),
        texts=texts,
        lengths=np.array([len(text) for text in texts], dtype=np.int64),
    )


@dataclass(frozen=True, slots=True)
class Memorisation:
    """How near one melody comes to the training melodies.

    Attributes:
        nearest_song_id: training song of the highest similarity, exact form; "" without one.
        similarity: 1 - edits / longer length, to the nearest song; 0..1.
        top2_ratio: nearest distance / nearest distance outside the nearest song's duplicate
            group; 0 for a copy.
        is_memorised: top2_ratio < 1/3, or an equal melody.
        similarity_official: 1 - edits / training length, to the nearest song.
        top2_ratio_official: nearest / second nearest distance.
        is_memorised_official: top2_ratio_official <= 1/3.
    """

    nearest_song_id: str
    similarity: float
    top2_ratio: float
    is_memorised: bool
    similarity_official: float
    top2_ratio_official: float
    is_memorised_official: bool


def measure_memorisation(
    melody: Sequence[int], training: TrainingMelodies, *, exclude_song_id: str | None = None
) -> Memorisation:
    """Compare one melody with all training melodies.

    The exact form divides edits by the longer of both melodies, so similarity lies in 0..1 and
    does not depend on the side; takes the second song from outside the duplicate group of the
    first, so that a copy of a song that is in the training set twice is found; and calls a sample
    memorised strictly below 1/3, as the paper writes.

    The official form divides by the training melody's length; with one training song, or when the
    second distance is 0, the ratio is 0; memorised up to and including 1/3.

    Args:
        melody: token ids (`melody_tokens`).
        training: the training melodies.
        exclude_song_id: leave this song and its duplicates out, to compare a training song with
            the others.

    Undefined (nan, not memorised): the exact similarity and ratio of a melody without notes; the
    exact ratio with a single group of training songs, unless the melody is a copy; everything
    without training melodies.
    """
    kept = np.flatnonzero(~is_excluded(training, exclude_song_id))
    if not len(kept):
        return Memorisation(
            nearest_song_id="",
            similarity=math.nan,
            top2_ratio=math.nan,
            is_memorised=False,
            similarity_official=math.nan,
            top2_ratio_official=math.nan,
            is_memorised_official=False,
        )
    texts = [training.texts[index] for index in kept]
    edits = cdist([_as_text(melody)], texts, scorer=Levenshtein.distance, dtype=np.int32)[0]
    lengths = training.lengths[kept]

    official = np.sort(edits / np.maximum(lengths, 1))
    has_second = len(official) > 1 and official[1] > 0
    ratio_official = float(official[0] / official[1]) if has_second else 0.0

    distances = edits / np.maximum(np.maximum(lengths, len(melody)), 1)
    nearest = int(np.argmin(distances))
    ratio = math.nan
    similarity = math.nan
    if has_melody(melody):
        similarity = 1.0 - float(distances[nearest])
        groups = np.array([training.groups[index] for index in kept])
        others = distances[groups != groups[nearest]]
        if distances[nearest] == 0:
            ratio = 0.0
        elif len(others):
            ratio = float(distances[nearest] / others.min())
    return Memorisation(
        nearest_song_id=training.song_ids[kept[nearest]],
        similarity=similarity,
        top2_ratio=ratio,
        is_memorised=ratio < MEMORISED_RATIO,
        similarity_official=1.0 - float(official[0]),
        top2_ratio_official=ratio_official,
        is_memorised_official=ratio_official <= MEMORISED_RATIO,
    )


def is_excluded(training: TrainingMelodies, song_id: str | None) -> np.ndarray:
    """Which training songs are song_id or one of its duplicates, `[num_songs]` bool."""
    if song_id not in training.song_ids:
        return np.zeros(len(training.song_ids), dtype=bool)
    group = training.groups[training.song_ids.index(song_id)]
    return np.array([other == group for other in training.groups])
