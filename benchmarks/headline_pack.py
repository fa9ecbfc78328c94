"""The songs of a store as a few plain files, for a GPU machine that has no table library.

    python -m benchmarks.headline_pack SONGS PHRASES PACK

SONGS and PHRASES are artifacts of `ingest_songs` and `collect_phrases`. PACK gets the unit tables
of the VAE's training, `songs.json` and `slots.npz` (tokens of every slot, chords of every half
bar).
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np

from phrase_models.score.chords import chord_array
from phrase_models.score.song import format_section_layout
from phrase_models.tokens.song_layout import bars_to_slots, song_to_bars
from tasks.stages.rows import read_accepted_songs, splits_of

TABLES = ("phrase-train", "phrase-validation", "bar-train")


def pack(songs_folder: Path, phrases_folder: Path, folder: Path) -> None:
    """Write the pack."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TABLES:
        shutil.copyfile(phrases_folder / f"{name}.npz", folder / f"{name}.npz")
    splits = splits_of(songs_folder)
    entries, chords, phrases = [], [], []
    for song in read_accepted_songs(songs_folder):
        entries.append(
            {
                "song_id": song.song_id,
                "split": splits[song.song_id],
                "first_bar": sum(len(part) for part in chords),
                "num_bars": song.num_bars,
                "section_layout": format_section_layout(song.sections),
            }
        )
        chords.append(chord_array(song.chords, song.num_bars))
        for bar in bars_to_slots(song_to_bars(song), "role"):
            phrases += [list(phrase) for phrase in bar]
    np.savez_compressed(
        folder / "slots.npz",
        token_ids=np.asarray([token for phrase in phrases for token in phrase], np.int16),
        lengths=np.asarray([len(phrase) for phrase in phrases], np.int32),
        chords=np.concatenate(chords).astype(np.int8),
    )
    (folder / "songs.json").write_text(json.dumps(entries))


if __name__ == "__main__":
    pack(*(Path(argument) for argument in sys.argv[1:4]))
