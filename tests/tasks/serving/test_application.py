"""The addresses of a server: songs in three types, refusals in a sentence, jobs, pages, secrets."""

import base64
import logging
import random
import threading

import pytest

from benchmarks.bad_requests import bad_request
from phrase_models.errors import ConfigurationError
from phrase_models.request_text import read_request
from phrase_models.score.midi import read_midi, read_texts
from phrase_models.score.midi_writer import midi_bytes
from phrase_models.score.song import MELODY, Note, Song, Track
from tasks.serving.application import wanted_type
from tests.waiting import wait_for

SECRET = "s3cr3t-0f-the-environment"
JSON = {"accept": "application/json"}


def test_a_song_is_the_one_of_its_seed_and_index_in_the_key_asked_for(client, tmp_path):
    asked = {"seed": 60, "index": 3, "sections": "A4 B2", "key": "G", "tempo": 100}
    answer = client.post("/generate", json=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/midi")
    assert answer.headers["content-disposition"] == 'attachment; filename="song-003.mid"'
    (tmp_path / "x.mid").write_bytes(answer.content)
    song = read_midi(tmp_path / "x.mid")
    assert song.tracks[0].notes == (Note(3, 55, 12),)
    assert (song.num_bars, song.tempo_bpm) == (6, 100.0)
    assert read_texts(tmp_path / "x.mid")[0].startswith("phraseldm seed 60 song 3 one note, tempo")
    assert read_request(tmp_path / "x.mid").section_layout == "A4 B2"


def test_the_same_song_as_json_and_as_a_page(client):
    asked = {"seed": 60, "num_bars": 2}
    midi = client.post("/generate", json=asked).content
    answer = client.post("/generate", json=asked, headers=JSON).json()
    assert base64.b64decode(answer["midi"]) == midi
    assert (answer["song"]["name"], answer["song"]["num_notes"]) == ("song-000", 1)
    assert (answer["song"]["generator"], answer["said"]) == ("one_note", [])
    page = client.post("/generate", json=asked, headers={"accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert base64.b64encode(midi).decode() in page.text


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "audio/midi"),
        ("*/*", "audio/midi"),
        ("image/png, audio/*;q=.5", "audio/midi"),
        ("text/html,application/json", "text/html"),
        ("Application/JSON; q=1", "application/json"),
    ],
)
def test_the_first_type_that_can_be_sent_is_sent(accept, kind):
    assert wanted_type(accept) == kind


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"num_bars": 0}, "num_bars = 0 does not do: it must be greater than or equal to 1."),
        ({"num_bars": 200}, "A song of 200 bars was asked for; ask for fewer bars."),
        ({"tempo": 400}, "tempo = 400 does not do: it must be less than 400."),
        ({"seed": "1"}, "seed = '1' does not do: it must be a whole number."),
        ({"index": 10_000}, "index = 10000 does not do: it must be less than 10000."),
        ({"bars": 4}, "There is no field 'bars'; /docs lists those that there are."),
        ({"plans": "x"}, "plans = 'x' does not do: it must be 'training', 'lent' or 'drawn'."),
        ({"sections": "A0"}, "Section layout 'A0' has a section of 0 bars; each needs at least 1."),
        ({"key": "H"}, "There is no major key 'H'"),
        ({"chords": "C | H"}, "'H' is no chord; write C, Am, Bdim, Gsus"),
        ({"form": "drums *"}, "Line 1 of the form: 'drums' is no instrument"),
        ({"texture": "865 . ."}, "Line 1 of the texture, bar 1: '865' is no cell"),
        ({"sections": "A4", "num_bars": 3}, "Section layout 'A4' has 4 bars but 3 were asked for"),
        ([], "The body must be a JSON object of type application/json."),
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/jobs"])
def test_what_cannot_be_asked_for_is_a_sentence_that_names_it(
    client, one_note, path, asked, sentence
):
    answer = client.post(path, json=asked)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(sentence)
    assert list(answer.json()) == ["detail"]
    assert one_note.asked == []


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ({"content": b"{"}, 422, "The body is no JSON: expecting property name"),
        ({"content": b"x" * 5000}, 413, "The body is larger than 4,096 bytes"),
        ({"content": iter([b"x" * 3000] * 2)}, 413, "The body is larger than 4,096 bytes"),
        ({"content": b"{}", "headers": {"content-type": "text/plain"}}, 422, "The body must be a"),
        ({"json": {}, "headers": {"accept": "image/png"}}, 406, "Songs are sent as audio/midi,"),
        ({"json": {}, "headers": {"host": "evil.example"}}, 400, "Invalid host header"),
    ],
)
def test_bodies_types_and_hosts_are_bounded(serving, arguments, code, sentence):
    headers = {"content-type": "application/json"} | arguments.pop("headers", {})
    answer = serving(json_bytes=4096).post("/generate", headers=headers, **arguments)
    assert answer.status_code == code
    assert sentence in answer.text


def test_what_is_not_there_is_a_sentence(client):
    assert client.get("/nothing").json() == {"detail": "There is nothing here; see /docs."}
    assert client.get("/generate").json() == {"detail": "That method is not known here; see /docs."}
    assert client.get("/jobs/x").json()["detail"].startswith("There is no such job;")


def in_threads(*calls):
    answers = [None] * len(calls)

    def run(place, call):
        answers[place] = call()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(calls)]
    for thread in threads:
        thread.start()
    return threads, answers


def test_a_full_queue_answers_503_and_when_to_come_again(serving, one_note):
    one_note.held = True
    client = serving(queue_size=1)
    threads, answers = in_threads(lambda: client.post("/generate", json={"seed": 1}))
    assert one_note.begun.wait(10)
    assert client.post("/jobs", json={"seed": 2}).status_code == 202
    full = client.post("/generate", json={"seed": 3})
    assert (full.status_code, full.headers["retry-after"]) == (503, "1")
    assert full.json()["detail"] == "The queue is full; try again in 1 s."
    one_note.go.set()
    threads[0].join(10)
    assert answers[0].status_code == 200


def test_who_waits_too_long_is_told_and_leaves_the_queue(serving, one_note):
    one_note.held = True
    client = serving(wait_seconds=0.2)
    answer = client.post("/generate", json={"seed": 1})
    assert answer.status_code == 504
    assert answer.json()["detail"].startswith("The song was not ready within 0.2 seconds; ask for")
    one_note.go.set()
    queue = client.app.state.service.queue
    wait_for(lambda: not queue.is_busy)
    assert (queue.num_made, queue.num_failed) == (0, 0)


def test_a_job_goes_its_way(serving, one_note):
    one_note.held = True
    client = serving()
    first = client.post("/jobs", json={"seed": 60}).json()
    assert one_note.begun.wait(10)
    second = client.post("/jobs", json={"seed": 61}).json()
    assert (second["state"], second["progress"], second["position"]) == ("waiting", 0.0, 1)
    now = client.get(f"/jobs/{first['id']}").json()
    assert (now["state"], now["progress"], now["position"]) == ("running", 0.45, 0)
    early = client.get(f"/jobs/{first['id']}/midi")
    assert (early.status_code, early.json()["detail"][:25]) == (409, "The song is not ready yet")
    assert client.delete(f"/jobs/{second['id']}").status_code == 204
    assert client.get(f"/jobs/{second['id']}").status_code == 404
    one_note.go.set()
    wait_for(lambda: client.get(f"/jobs/{first['id']}").json()["state"] == "done")
    midi = client.get(f"/jobs/{first['id']}/midi").content
    assert midi == client.post("/generate", json={"seed": 60}).content
    assert len(one_note.asked) == 2
    assert client.delete(f"/jobs/{first['id']}").status_code == 204
    assert client.get(f"/jobs/{first['id']}/midi").status_code == 404


def test_a_job_that_is_made_can_be_stopped(serving, one_note):
    one_note.held = True
    client = serving()
    job = client.post("/jobs", json={}).json()
    assert one_note.begun.wait(10)
    assert client.delete(f"/jobs/{job['id']}").status_code == 204
    one_note.go.set()
    queue = client.app.state.service.queue
    wait_for(lambda: not queue.is_busy)
    assert queue.num_made == 0


def test_failures_say_what_the_user_can_mend_and_no_more(client, one_note, caplog):
    one_note.failure = ConfigurationError("Transposing takes a note out of MIDI's range.")
    answer = client.post("/generate", json={})
    assert (answer.status_code, answer.json()["detail"]) == (422, str(one_note.failure))
    one_note.failure = RuntimeError(SECRET)
    answer = client.post("/generate", json={})
    assert answer.status_code == 500
    assert answer.json()["detail"] == "The song could not be made; the log of the server says why."
    job = client.post("/jobs", json={}).json()
    wait_for(lambda: client.get(f"/jobs/{job['id']}").json()["state"] == "failed")
    assert SECRET not in client.get(f"/jobs/{job['id']}").text


def test_health_and_pages_need_no_network(client):
    client.post("/generate", json={"seed": 60})
    health = client.get("/health").json()
    assert (health["ready"], health["model"]) == (True, "d" * 64)
    assert health["queue"] == {"waiting": 0, "running": 0, "size": 16}
    assert (health["songs"]["made"], health["songs"]["failed"]) == (1, 0)
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {
        "/generate", "/accompany", "/jobs", "/jobs/{number}", "/jobs/{number}/midi", "/health",
    }  # fmt: skip
    for path in ("/", "/docs"):
        page = client.get(path)
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert "http://" not in page.text
        assert "https://" not in page.text
    assert "sampling steps; null for the model&#x27;s own; at least 1; at most 1,000" in page.text


def test_answers_allow_no_other_page_to_read_them(client):
    answer = client.get("/health", headers={"origin": "https://evil.example"})
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_generator_without_slots_cannot_accompany(client):
    song = Song("x", 1, (Track(MELODY, (Note(0, 60, 12),)),))
    answer = client.post(
        "/accompany", content=midi_bytes(song), headers={"content-type": "audio/midi"}
    )
    assert answer.status_code == 422
    assert (
        answer.json()["detail"] == "one_note writes whole songs alone; only phrase_ldm accompanies."
    )


def test_three_hundred_bad_requests_are_refused_and_a_secret_stays_one(
    serving, one_note, monkeypatch, caplog, capfd
):
    monkeypatch.setenv("PHRASELDM_SECRET", SECRET)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    client, rng = serving(), random.Random(0)
    codes = set()
    for _ in range(300):
        asked = bad_request(rng)
        answer = client.request(**asked)
        assert answer.status_code < 500, asked
        assert SECRET not in answer.text + str(answer.headers)
        codes.add(answer.status_code)
    assert {404, 405, 406, 413, 415, 422} <= codes
    one_note.failure = RuntimeError("a fault")
    assert client.post("/generate", json={}).status_code == 500
    assert "a fault" in caplog.text
    assert SECRET not in caplog.text + "".join(capfd.readouterr())
    one_note.failure = None
    assert client.post("/generate", json={"seed": 60}).status_code == 200
