"""How many notes songs have in common with training songs, bar by bar.

    python -m benchmarks.shared_notes PACK [--npz SONGS.npz] [--release RELEASE] [--plans lent]
        [-n 100] [--seed 0]

PACK is written by `benchmarks.headline_pack`, SONGS.npz by `benchmarks.gpu_headline songs`. Counted
of each song is the largest share, over all other training songs, of its notes of melody or of piano
that the other one has in the same bar at the same onset and pitch, bars counted from the start; for
real songs by the plans of which songs were drawn, also the share that these songs have. A search
for runs of melody (`metrics.memorisation`) does not see songs that hold to another one loosely.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.drawn_plans import add_plan_options, whole_plans
from benchmarks.drawn_songs import drawn_songs
from benchmarks.evaluate_songs_npz import Pack, read_generated
from phrase_models.phrase_ldm import PhraseLDMGenerator
from phrase_models.score.song import MELODY, PIANO, Song

PARTS = {"melody": MELODY, "piano": PIANO}
Notes = Mapping[str, frozenset[tuple[int, int]]]
"""Onset from the start of the song and pitch, by part."""


def notes_of(song: Song) -> Notes:
    """Of melody and piano."""
    parts = {name: frozenset[tuple[int, int]]() for name in PARTS}
    for track in song.tracks:
        for name, program in PARTS.items():
            if track.program == program:
                parts[name] = frozenset((note.onset, note.pitch) for note in track.notes)
    return parts


def share(ours: Notes, other: Notes, part: str) -> float:
    """Share of the notes of a part, 0 to 1, that another song has; nan without notes."""
    return len(ours[part] & other[part]) / len(ours[part]) if ours[part] else np.nan


def largest_shares(songs: Mapping[str, Notes], training: Mapping[str, Notes], part: str) -> list:
    """Of each song, by the nearest training song that is not of its own name."""
    return [
        max(share(song, other, part) for key, other in training.items() if key != name)
        for name, song in songs.items()
    ]


def in_words(shares: Sequence[float]) -> str:
    """Mean, 95th percentile and largest."""
    values = np.array(shares)
    values = values[~np.isnan(values)]
    return f"{values.mean():.1%}, {np.quantile(values, 0.95):.1%}, {values.max():.1%}"


def main() -> None:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("--npz", type=Path, help="songs by the plans of training songs")
    add_plan_options(parser, plans=None, number=100)
    arguments = parser.parse_args()
    pack = Pack(arguments.pack)
    training = {
        name: notes_of(item.song)
        for name, item in pack.evaluated.items()
        if pack.splits[name] == "train"
    }
    held_out = {item.song.song_id: notes_of(item.song) for item in pack.held_out}
    sets = {"held-out songs": held_out}
    if arguments.npz:
        songs = read_generated(arguments.npz, pack)
        sets["songs by plans"] = {
            f"drawn by {song.song_id}": notes_of(song.evaluated().song) for song in songs
        }
        for part in PARTS:
            own = [
                share(notes_of(song.evaluated().song), training[song.song_id], part)
                for song in songs
            ]
            print(f"songs by plans, {part}, with the song of the plan: {in_words(own)}")
    if arguments.plans:
        generator = PhraseLDMGenerator.from_pretrained(arguments.release)
        plans = whole_plans(generator, arguments.plans, arguments.number, arguments.seed)
        drawn = drawn_songs(generator, plans, arguments.seed)
        sets[arguments.plans] = {song.song_id: notes_of(song.evaluated().song) for song in drawn}
    for name, songs_of_set in sets.items():
        for part in PARTS:
            shares = largest_shares(songs_of_set, training, part)
            print(f"{name}, {part}, with the nearest training song: {in_words(shares)}")


if __name__ == "__main__":
    main()
