"""Duplicate groups by shared melody, and splits that depend on a song's id alone."""

import tracemalloc

import numpy as np
import pytest

from phrase_models.sources.duplicates import assign_splits, find_duplicate_groups
from phrase_models.sources.pop909.annotations import read_melody
from phrase_models.sources.pop909.songs import STRUCTURE


def make_melody(seed: int, length: int = 300) -> list[int]:
    return np.random.default_rng(seed).integers(55, 80, length).tolist()


def test_unrelated_melodies_have_no_group():
    assert find_duplicate_groups({str(seed): make_melody(seed) for seed in range(50)}) == {}
    assert find_duplicate_groups({}) == {}
    assert find_duplicate_groups({"a": [], "b": [], "c": [60] * 5}) == {}


def test_copies_share_the_smallest_id_even_in_another_key():
    original = make_melody(1)
    melodies = {
        "007": original,
        "003": [pitch + 5 for pitch in original],
        "009": original[100:] + make_melody(2, 100),
        "004": make_melody(3),
    }
    assert find_duplicate_groups(melodies) == {"003": "003", "007": "003", "009": "003"}


def test_groups_join_over_a_common_member():
    first, second = make_melody(1, 200), make_melody(2, 200)
    melodies = {"c": first, "b": first + second, "a": second}
    assert find_duplicate_groups(melodies) == {"a": "a", "b": "a", "c": "a"}


def test_a_run_that_all_songs_share_makes_none_a_duplicate_and_fills_no_memory():
    common = [60] * 20
    melodies = {f"{seed:04}": make_melody(seed, 40) + common for seed in range(2000)}
    melodies["9999"] = melodies["0007"]
    tracemalloc.start()
    assert find_duplicate_groups(melodies) == {"0007": "0007", "9999": "0007"}
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 << 20  # two million pairs of songs share that run


def test_pop909_has_four_pairs(pop909_root):
    folders = sorted(path for path in (pop909_root / STRUCTURE).iterdir() if path.is_dir())
    melodies = {
        folder.name: [pitch for _, pitch in read_melody(folder / "melody.txt")]
        for folder in folders
    }
    assert find_duplicate_groups(melodies) == {
        "017": "017", "018": "017", "101": "101", "103": "101",
        "262": "262", "805": "262", "492": "492", "666": "492",
    }  # fmt: skip


IDS = [f"{number:03d}" for number in range(1, 1001)]


def test_adding_songs_moves_no_other():
    few, many = assign_splits(IDS[::7], {}), assign_splits(IDS, {})
    assert all(many[song_id] == split for song_id, split in few.items())
    assert assign_splits(reversed(IDS), {}) == many


def test_fraction_is_about_kept_and_grows_by_inclusion():
    small, large = assign_splits(IDS, {}, 0.05), assign_splits(IDS, {}, 0.2)
    held_out = {song_id for song_id in IDS if small[song_id] == "validation"}
    assert 30 <= len(held_out) <= 75
    assert held_out <= {song_id for song_id in IDS if large[song_id] == "validation"}
    assert len({song_id for song_id in IDS if large[song_id] == "validation"}) > 150


@pytest.mark.parametrize("fraction", [0.05, 0.5])
def test_a_group_stays_in_one_split(fraction):
    groups = {song_id: IDS[index // 4 * 4] for index, song_id in enumerate(IDS)}
    splits = assign_splits(IDS, groups, fraction)
    assert all(splits[song_id] == splits[group] for song_id, group in groups.items())


def test_a_small_corpus_still_holds_out_a_song():
    assert list(assign_splits(["001", "002", "003"], {}, 0.0001).values()).count("validation") == 1
    assert assign_splits([], {}) == {}
