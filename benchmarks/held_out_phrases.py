"""Held-out phrases through a PhraseVAE and back, by number of notes and by instrument.

    python -m benchmarks.held_out_phrases PACK VAE ...

PACK is written by `benchmarks.headline_pack`, a VAE is a folder of `save_vae`. Without and with
refinement, and the seconds that each way takes for a song.
"""

import argparse
import time
from pathlib import Path

from benchmarks.packed_songs import held_out_phrases, read_slots
from phrase_models.codec import PhraseCodec
from phrase_models.metrics.note_matching import PhraseCounts
from phrase_models.vae.pretrained import load_vae
from phrase_models.vae.refinement_config import RefinementConfig
from tasks.stages.reconstruction_scores import HeldOutUnits, break_down, count_units

REFINED = "refined"


def held_out_units(pack: Path) -> HeldOutUnits:
    """All phrases with notes of the validation songs of a pack."""
    songs, phrases, _ = read_slots(pack)
    held_out = held_out_phrases(songs, phrases)
    tokens = [phrase for _, phrase in held_out]
    return HeldOutUnits(tokens, [song_id for song_id, _ in held_out], len(tokens), {}, "phrase")


def main() -> None:
    """A table of each VAE."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", type=Path)
    parser.add_argument("vae", type=Path, nargs="+")
    arguments = parser.parse_args()
    units = held_out_units(arguments.pack)
    num_songs = len(set(units.song_ids))
    for folder in arguments.vae:
        ways: dict[str, list[PhraseCounts]] = {}
        for way, refinement in (("", None), (REFINED, RefinementConfig())):
            started = time.perf_counter()
            codec = PhraseCodec(load_vae(folder), "role", refinement=refinement)
            ways[way] = count_units(units.tokens, codec.reconstruct(units.tokens))
            seconds = (time.perf_counter() - started) / num_songs
            print(f"{folder} {way or 'encoder alone'}: {seconds:.2f} s a song", flush=True)
        print("| phrases | number | F1_op | F1_opd | exact | refined: F1_op | F1_opd | exact |")
        print("|---" * 8 + "|")
        for classes in break_down(units, ways).values():
            for name, row in classes.items():
                shown = [f"{value:.4f}" for key, value in row.items() if key != "num_phrases"]
                print(f"| {name} | {row['num_phrases']:,} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
