"""Songs tokenised a second: from notes in memory, and from MIDI files; ours beside the plain way.

python benchmarks/bench_tokens.py FOLDER_OF_ALIGNED_MIDI [--repeat N]

The plain way reads with miditoolkit and encodes phrase by phrase; both give the same tokens, which
is checked. Times are those of the processor, one thread, best of the repeats.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import miditoolkit

from phrase_models.score.midi import read_midi
from phrase_models.score.midi_parser import parse_midi
from phrase_models.score.song import Song
from phrase_models.tokens.remiz import encode
from phrase_models.tokens.song_layout import song_to_bars
from phrase_models.tokens.song_tokens import encode_song
from phrase_models.tokens.vocabulary import END_OF_BAR


def encode_one_by_one(song: Song) -> list[int]:
    ids: list[int] = []
    for bar in song_to_bars(song):
        for phrase in bar:
            ids += encode(phrase)
        ids.append(END_OF_BAR)
    return ids


def encode_at_once(song: Song) -> list[int]:
    return encode_song(song).ids.tolist()


def items_a_second(work: Callable[[Any], Any], items: Sequence[Any], repeat: int) -> float:
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time()
        for item in items:
            work(item)
        best = min(best, time.process_time() - start)
    return len(items) / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    paths = sorted(arguments.folder.rglob("*.mid"))
    songs = [read_midi(path) for path in paths]
    tokens = [encode_at_once(song) for song in songs]
    assert tokens == [encode_one_by_one(song) for song in songs]
    notes = sum(song.num_notes for song in songs)
    print(f"{len(songs)} songs, {notes} notes, {sum(map(len, tokens))} tokens")
    rows: tuple[tuple[str, Callable[[Any], Any], Sequence[Any]], ...] = (
        ("parsing a file, miditoolkit", lambda path: miditoolkit.MidiFile(str(path)), paths),
        ("parsing a file, ours", parse_midi, paths),
        ("tokens from notes, phrase by phrase", encode_one_by_one, songs),
        ("tokens from notes, all at once", encode_at_once, songs),
        ("tokens from a file", lambda path: encode_at_once(read_midi(path)), paths),
    )
    for name, work, items in rows:
        print(f"{name:<36} {items_a_second(work, items, arguments.repeat):9.1f} songs/s")


if __name__ == "__main__":
    main()
