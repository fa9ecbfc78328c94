"""Ingested songs as MIDI files that come back as the same songs."""

import pytest

from flows.road import prepare
from phrase_models.score.midi import read_midi
from phrase_models.score.midi_parser import parse_midi
from phrase_models.score.transforms import transpose
from storage.errors import NotWritable
from tasks import commands
from tasks.music.corpus_midi import check_corpus_folder, export_corpus
from tasks.stages.rows import read_accepted_songs


def test_songs_of_a_store_come_back_from_their_files(tmp_path):
    store, folder = tmp_path / "store", tmp_path / "midi"
    launched = commands.launch_run(
        "smoke",
        "synthetic",
        None,
        store,
        ["source.synthetic.num_songs=4"],
        workers=1,
        orchestrated=False,
    )
    with launched.running() as runner:
        ref = prepare(runner, launched).songs
    said = export_corpus(store, folder)
    songs = read_accepted_songs(ref.folder)
    assert said == (
        f"Wrote {len(songs)} songs to {folder}: aligned MIDI files (4/4, bar 1 at tick 0) with "
        "tempo, key and sections; none was left out."
    )
    assert len(list(folder.iterdir())) == len(songs) > 1
    for song in songs:
        path = folder / f"{song.song_id}.mid"
        back, written = read_midi(path), transpose(song, -song.key_shift)
        assert (back.tracks, back.sections) == (written.tracks, written.sections)
        assert back.num_bars == written.num_bars
        assert back.tempo_bpm == pytest.approx(written.tempo_bpm, abs=1e-3)
        assert [tick for tick, _ in parse_midi(path).keys] == [0]
    with pytest.raises(NotWritable, match="holds MIDI files already"):
        check_corpus_folder(folder)
