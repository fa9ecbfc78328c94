"""Chords of ingested songs belong to the notes of their half bars."""

import numpy as np
import pytest

from phrase_models.score.chords import (
    DIMINISHED,
    MAJOR,
    MINOR,
    chord_array,
    chord_parts,
    chord_text,
    transpose_chords,
)
from phrase_models.score.song import BRIDGE, PIANO, STEPS_PER_BAR, Song
from phrase_models.score.transforms import transpose
from phrase_models.sources.acceptance_rules import IngestConfig
from phrase_models.sources.pop909.songs import IndexedSong, ingest_song

THIRDS = {MAJOR: 4, MINOR: 3, DIMINISHED: 3}
HALF_BAR = STEPS_PER_BAR // 2
SONGS = ("001", "005", "083", "409", "519", "202", "786", "888")
"""Among them all residuals, several segments, and the second annotator's labels."""


@pytest.fixture(scope="module")
def songs(pop909_root):
    return [ingested(pop909_root, song_id) for song_id in SONGS]


def ingested(root, song_id: str) -> Song:
    song = ingest_song(root, IndexedSong(song_id, 2, 2, present=True), IngestConfig()).song
    assert song is not None
    return song


def sounding(song: Song) -> np.ndarray:
    """Pitch classes of bridge and piano in every half bar (2 * bars, 12)."""
    classes = np.zeros((2 * song.num_bars, 12), np.bool_)
    for track in song.tracks:
        for note in track.notes if track.program in (BRIDGE, PIANO) else ():
            last = (note.onset + note.duration - 1) // HALF_BAR
            classes[note.onset // HALF_BAR : last + 1, note.pitch % 12] = True
    return classes


def agreement(song: Song, shift: int = 0) -> tuple[int, int]:
    """Half bars in which all tones up to the third sound, and half bars that have both.

    Args:
        song: with chords.
        shift: half bars by which the chords are moved first.
    """
    chords = np.roll(chord_array(song.chords, song.num_bars).ravel(), shift)
    found = total = 0
    for chord, classes in zip(chords, sounding(song), strict=True):
        parts = chord_parts(int(chord))
        if parts is None or not classes.any():
            continue
        root, quality = parts
        tones = {root, (root + THIRDS.get(quality, 0)) % 12}
        found += all(classes[tone] for tone in tones)
        total += 1
    return found, total


def share(songs: list[Song], shift: int = 0) -> float:
    found, total = np.sum([agreement(song, shift) for song in songs], axis=0)
    return float(found / total)


def test_song_001_has_the_chords_of_its_file_in_c(songs):
    first = songs[0]
    assert first.key_shift == -6
    # The file has B:maj 2, C#:maj 2, Bb:min 2, Eb:min 2, ...: F#, which is C here.
    assert chord_text(first.chords[:4]) == "F G | Em Am | F G | C"
    written = transpose_chords(chord_array(first.chords, first.num_bars), -first.key_shift)
    assert chord_text(written[:2]) == "B Db | Bbm Ebm"
    assert transpose(first, -first.key_shift).chords == tuple(map(tuple, written.tolist()))


def test_every_bar_has_its_two_chords(songs):
    assert [len(song.chords) for song in songs] == [song.num_bars for song in songs]


def test_chords_sound_where_they_are_written_and_not_beside(songs):
    assert share(songs) > 0.9  # .920 as measured
    shifted = {shift: share(songs, shift) for shift in (-2, -1, 1, 2)}
    assert max(shifted.values()) < 0.55  # .482, by one half bar
    for song in songs:
        here = share([song])
        assert here > 0.8, song.song_id
        assert here - max(share([song], shift) for shift in (-2, -1, 1, 2)) > 0.15, song.song_id


def test_chords_of_another_key_do_not_sound(songs):
    for song in songs:
        moved = transpose_chords(chord_array(song.chords, song.num_bars), 1)
        wrong = Song(song.song_id, song.num_bars, song.tracks, chords=moved.tolist())
        assert share([wrong]) < 0.2, song.song_id
