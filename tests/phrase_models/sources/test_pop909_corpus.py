"""All songs against the target figures and the per-song reference."""

import csv
import multiprocessing
import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from phrase_models.score.song import MAX_DURATION, SIXTEENTH, STEPS_PER_BAR
from phrase_models.sources.acceptance_rules import IngestConfig
from phrase_models.sources.pop909.songs import ingest_song, list_songs

pytestmark = pytest.mark.slow

REASONS = {
    "ok": 752, "too_long": 29, "triple_meter": 28, "compound_meter": 22, "off_grid16": 10,
    "chord_conflict": 9, "content_loss": 4, "label_short": 4, "melody_mismatch": 3,
    "label_long": 2, "too_short": 1, "missing_folder": 45,
}  # fmt: skip


@pytest.fixture(scope="module")
def ingested(pop909_root):
    work = partial(ingest_song, pop909_root, config=IngestConfig())
    # Forking a process in which torch has started threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 4), mp_context=context) as pool:
        return {item.song_id: item for item in pool.map(work, list_songs(pop909_root), chunksize=8)}


@pytest.fixture(scope="module")
def accepted(ingested):
    return {song_id: item for song_id, item in ingested.items() if item.accepted}


@pytest.fixture(scope="module")
def reference(pop909_root):
    path = Path(pop909_root).parent / "docs" / "pop909_songs.csv"
    if not path.is_file():
        pytest.skip("the per-song reference table is not beside the data")
    with path.open(encoding="utf-8", newline="") as file:
        return {row["song_id"]: row for row in csv.DictReader(file)}


def test_reasons_of_all_songs(ingested):
    counts = Counter(item.reason for item in ingested.values())
    assert counts.keys() == REASONS.keys()
    assert {code: counts[code] for code in REASONS} == pytest.approx(REASONS, abs=2)


def test_melody_is_found_in_nearly_all_songs(ingested):
    near = [item.statistics["match_near"] for item in ingested.values() if item.statistics]
    assert len(near) == 864
    assert sum(value >= 0.97 for value in near) >= 860


def test_sizes_of_the_accepted_songs(accepted):
    songs = [item.song for item in accepted.values()]
    assert sum(song.num_bars for song in songs) == pytest.approx(59_265, rel=0.001)
    assert sum(song.num_notes for song in songs) == pytest.approx(1_258_852, rel=0.001)
    assert sum(song.key_shift != 0 for song in songs) == pytest.approx(672, abs=2)
    bars = sorted(song.num_bars for song in songs)
    assert (bars[0], bars[len(bars) // 2], bars[-1]) == (19, 76, 127)


def test_phrases_and_empty_bars(accepted):
    num_phrases = num_empty = 0
    for item in accepted.values():
        played = [
            {note.onset // STEPS_PER_BAR for note in track.notes} for track in item.song.tracks
        ]
        num_phrases += sum(map(len, played))
        num_empty += item.song.num_bars - len(set().union(*played))
    assert num_phrases == pytest.approx(144_396, rel=0.001)
    assert num_empty == pytest.approx(49, abs=2)


def test_every_accepted_song_is_well_formed(accepted):
    for item in accepted.values():
        song = item.song
        assert -6 <= song.key_shift <= 5
        starts = [section.start_bar for section in song.sections]
        ends = [section.start_bar + section.num_bars for section in song.sections]
        assert starts == [0, *ends[:-1]]
        assert ends[-1] == song.num_bars
        for track in song.tracks:
            ends_by_pitch: dict[int, int] = {}
            for note in track.notes:
                assert 0 <= note.onset < song.num_bars * STEPS_PER_BAR
                assert note.onset % SIXTEENTH == 0
                assert 21 <= note.pitch <= 107
                assert 1 <= note.duration <= MAX_DURATION
                assert ends_by_pitch.get(note.pitch, 0) <= note.onset
                ends_by_pitch[note.pitch] = note.onset + note.duration


def agreement(songs, reference, statistic, column, convert):
    return sum(
        item.statistics[statistic] == convert(reference[song_id][column])
        for song_id, item in songs.items()
    ) / len(songs)


def test_every_song_against_the_reference(ingested, reference):
    same = [ingested[song_id].reason == row["reason"] for song_id, row in reference.items()]
    assert len(same) == 864
    assert sum(same) / len(same) >= 0.99


@pytest.mark.parametrize(
    ("statistic", "column", "convert", "least"),
    [
        ("num_bars", "n_bars", int, 0.99),
        ("key_shift", "key_shift", int, 0.99),
        ("label_file", "label_file", str, 0.99),
        ("num_segments", "n_segments", int, 0.99),
        ("residual16", "residual16", int, 0.99),
        ("lead_notes", "lead_notes", int, 0.99),
        ("gap_notes", "gap_notes", int, 0.99),
        ("tail_notes", "tail_notes", int, 0.99),
        ("num_notes", "notes_kept", int, 0.99),
        # A phase next to 0 may count as 0 or as a whole beat, which moves the offset by 4.
        ("offset16", "offset16_first", int, 0.98),
    ],
)
def test_accepted_songs_against_the_reference(
    accepted, reference, statistic, column, convert, least
):
    assert agreement(accepted, reference, statistic, column, convert) >= least


def test_every_accepted_song_survives_tokens_and_midi(accepted, tmp_path):
    from phrase_models.score.midi import read_midi
    from phrase_models.score.midi_writer import write_midi
    from phrase_models.tokens.song_layout import song_to_text, text_to_song

    changed = []
    for song_id, item in accepted.items():
        text = song_to_text(item.song)
        path = tmp_path / "song.mid"
        write_midi(text_to_song(text), path)
        if song_to_text(read_midi(path)) != text:
            changed.append(song_id)
    assert changed == []


def test_song_001_gives_the_golden_tokens(accepted, pop909_root):
    from phrase_models.tokens.song_layout import song_to_text

    golden = (pop909_root / "golden" / "001.remiz.txt").read_text()
    assert song_to_text(accepted["001"].song).split() == golden.split()


def test_duplicates_are_found_among_all_songs(ingested):
    from phrase_models.sources.duplicates import find_duplicate_groups

    groups = find_duplicate_groups({song_id: item.melody for song_id, item in ingested.items()})
    assert groups == {
        "017": "017", "018": "017", "101": "101", "103": "101",
        "262": "262", "805": "262", "492": "492", "666": "492",
    }  # fmt: skip
