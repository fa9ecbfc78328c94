"""One song must not cost the others."""

from types import SimpleNamespace

from phrase_models.sources.source import IngestedSong, SongEntry
from tasks.engine.runtime import RuntimeConfig
from tasks.stages.ingest_songs import read_songs


def test_what_a_source_did_not_foresee_costs_one_song():
    def read(entry: SongEntry) -> IngestedSong:
        if entry.song_id == "b":
            raise OverflowError("too large")
        return IngestedSong(entry.song_id, accepted=True, reason="ok")

    context = SimpleNamespace(runtime=RuntimeConfig(), report_progress=lambda share, text: None)
    songs = [*read_songs(read, [SongEntry("a"), SongEntry("b"), SongEntry("c")], context)]
    assert [(song.song_id, song.reason) for song in songs] == [
        ("a", "ok"),
        ("b", "reader_failed"),
        ("c", "ok"),
    ]
    assert songs[1].detail == "Reading song b failed: OverflowError: too large"
