"""Held-out phrases through a PhraseVAE and back, by number of notes and by instrument.

    python -m benchmarks.held_out_phrases PACK VAE ...

PACK is written by `benchmarks.headline_pack`, a VAE is a folder of `save_vae`. Without and with
refinement, and the seconds that each way takes for a song.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.packed_songs import read_slots
from phrase_models.codec import PhraseCodec
from phrase_models.metrics.note_matching import PhraseCounts, count_bar
from phrase_models.tokens import vocabulary
from phrase_models.tokens.units import decode_unit
from phrase_models.vae.pretrained import load_vae
from phrase_models.vae.refinement_config import RefinementConfig
from tasks.stages.reconstruction_scores import HeldOutUnits, break_down

REFINED = "refined"


def held_out_units(pack: Path) -> HeldOutUnits:
    """All phrases with notes of the validation songs of a pack."""
    songs, phrases, _ = read_slots(pack)
    tokens, song_ids = [], []
    for song in songs:
        if song["split"] == "validation":
            first = 3 * song["first_bar"]
            for phrase in phrases[first : first + 3 * song["num_bars"]]:
                if phrase[0] >= vocabulary.FIRST_PROGRAM:
                    tokens.append(phrase)
                    song_ids.append(song["song_id"])
    return HeldOutUnits(tokens, song_ids, len(tokens), {}, "phrase")


def counts(targets: Sequence[list[int]], outputs: Sequence[list[int]]) -> list[PhraseCounts]:
    """Notes of each phrase that came back."""
    pairs = zip(targets, outputs, strict=True)
    return [count_bar(decode_unit(target), decode_unit(output)) for target, output in pairs]


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
            ways[way] = counts(units.tokens, codec.reconstruct(units.tokens))
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
