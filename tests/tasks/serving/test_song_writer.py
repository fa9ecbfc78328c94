"""Models behind a server: songs and readings of files are those of the command line."""

import pytest
from fastapi.testclient import TestClient

from phrase_models.score.midi import read_midi
from phrase_models.score.midi_writer import midi_bytes
from phrase_models.score.song import MELODY, PIANO, Note, Song, Track, parse_section_layout
from tasks.music.songs import find_models, generate
from tasks.reports.ldm_release import assemble_release
from tasks.serving.application import build_application
from tasks.serving.limits import ServingLimits
from tasks.serving.song_writer import SongWriter

MIDI = {"content-type": "audio/midi"}
WHITE = (60, 62, 64, 65, 67)
SONG = Song(
    "mine",
    4,
    (
        Track(MELODY, tuple(Note(16 * place, WHITE[place % 5], 12) for place in range(12))),
        Track(PIANO, tuple(Note(48 * bar, 48, 48) for bar in range(4))),
    ),
    parse_section_layout("A2 B2"),
    101.0,
)


@pytest.fixture
def planned_client(planned_pair, tmp_path):
    assemble_release(planned_pair.vae, planned_pair.ldm, "", tmp_path / "release")
    writer = SongWriter(find_models(tmp_path, tmp_path / "release", "phrase_ldm"))
    app = build_application(writer, ServingLimits())
    return TestClient(app, base_url="http://127.0.0.1")


@pytest.mark.parametrize("plans", ["training", "drawn"])
def test_a_song_is_byte_for_byte_that_of_the_command_line(planned_client, tmp_path, plans):
    generate(
        tmp_path, tmp_path / "songs", model=tmp_path / "release", num_songs=2, seed=3, plans=plans,
        sections="A4 B2", chords="C | F | G | C | Am | G", variation=0.5, tempo_bpm=80.0,
        sampling={"num_sampling_steps": 2, "guidance_scale": 1.2}, audio_seconds=0.1,
    )  # fmt: skip
    asked = {
        "seed": 3, "plans": plans, "sections": "A4 B2", "chords": "C | F | G | C | Am | G",
        "variation": 0.5, "tempo": 80, "steps": 2, "guidance": 1.2,
    }  # fmt: skip
    for index in (1, 0):
        answer = planned_client.post("/generate", json={**asked, "index": index})
        assert answer.status_code == 200
        written = tmp_path / "songs" / "midi" / f"song-00{index}.mid"
        assert answer.content == written.read_bytes()


def test_a_texture_is_that_of_the_command_line(planned_client, tmp_path):
    texture = "865eg . 13aac\n" * 6
    (tmp_path / "texture.txt").write_text(texture)
    generate(
        tmp_path, tmp_path / "songs", model=tmp_path / "release", num_songs=1, sections="A4 B2",
        texture=tmp_path / "texture.txt", sampling={"num_sampling_steps": 2}, audio_seconds=0.1,
    )  # fmt: skip
    asked = {"sections": "A4 B2", "texture": texture, "steps": 2}
    answer = planned_client.post("/generate", json=asked)
    assert answer.content == (tmp_path / "songs" / "midi" / "song-000.mid").read_bytes()
    asked = {**asked, "texture": "865eg . 13aac | . . ."}
    answer = planned_client.post("/generate", json=asked)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("There is a texture of 2 bars but the song has 6")


def test_a_melody_is_accompanied_and_what_was_moved_is_said(planned_client, tmp_path):
    answer = planned_client.post(
        "/accompany?steps=2&keep=melody", content=midi_bytes(SONG), headers=MIDI
    )
    assert answer.status_code == 200
    assert answer.headers["x-phraseldm-reading"].startswith("upload.mid: 16 of 16 notes kept")
    (tmp_path / "x.mid").write_bytes(answer.content)
    written = read_midi(tmp_path / "x.mid").tracks[0].notes
    assert written[1:3] == (Note(15, 62, 12), Note(33, 64, 12))  # were at 16 and 32, off the grid
    headers = {**MIDI, "accept": "application/json"}
    answer = planned_client.post("/accompany?steps=2", content=midi_bytes(SONG), headers=headers)
    said = answer.json()["said"]
    assert any("moved onto the grid of 16 a bar" in line for line in said)


@pytest.mark.parametrize(
    ("query", "content", "code", "sentence"),
    [
        ("", b"words", 422, "File upload.mid is no MIDI file"),
        ("keep=drums", midi_bytes(SONG), 422, "keep.0 = 'drums' does not do: it must be"),
        ("keep=bridge", midi_bytes(SONG), 422, "There is no bridge to keep in the file"),
        ("map=Track 9=melody", midi_bytes(SONG), 422, "There is no track 'Track 9' with notes"),
        ("seed=x", midi_bytes(SONG), 422, "seed = 'x' does not do: it must be a whole number"),
        ("sections=A9", midi_bytes(SONG), 422, "Section layout 'A9' has 9 bars but 4"),
        ("what=1", midi_bytes(SONG), 422, "There is no field 'what'"),
    ],
)
def test_what_cannot_be_accompanied_is_a_sentence(planned_client, query, content, code, sentence):
    answer = planned_client.post(f"/accompany?{query}", content=content, headers=MIDI)
    assert (answer.status_code, answer.json()["detail"][: len(sentence)]) == (code, sentence)


def test_a_file_of_another_type_is_refused(planned_client):
    answer = planned_client.post("/accompany", content=b"MThd", headers={"content-type": "x/y"})
    assert (answer.status_code, answer.json()["detail"]) == (
        415,
        "Send the MIDI file as the body, of type audio/midi.",
    )
