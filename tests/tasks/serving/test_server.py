"""The server as a process: where it listens, what it says, how it ends, and the release's songs."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from phrase_models.errors import ConfigurationError
from tasks.serving.server import bound_socket, is_loopback, serve

ROOT = Path(__file__).resolve().parents[3]
SLOW_SECONDS = 300


def test_a_taken_port_is_a_sentence_before_any_model_is_loaded(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError) as error:
            serve(tmp_path, tmp_path / "no release", "127.0.0.1", port)
    assert str(error.value) == (
        f"Port {port} of 127.0.0.1 is taken by another program; name another with --port."
    )


@pytest.mark.parametrize("host", ["300.1.1.1", "no such host", "203.0.113.7", "x" * 300])
def test_an_address_of_no_computer_here_is_a_sentence(host):
    with pytest.raises(ConfigurationError, match="is no address of this computer"):
        bound_socket(host, 0)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False), ("::", False)],
)
def test_what_only_this_computer_reaches(address, loopback):
    assert is_loopback(address) is loopback


TOY = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests
sys.path.insert(0, {tests!r})
from conftest import OneNote
from phrase_models.diffusion.sampler_config import SamplerConfig
from tasks.music import songs
from tasks.interruption import ending_when_asked
from tasks.serving import server

toy = OneNote()
toy.held = len(sys.argv) > 2
models = songs.Models("one note", SamplerConfig(), None, lambda _: toy)
server.find_models = lambda *_: models
with ending_when_asked():
    server.serve(None, None, sys.argv[1], 0)
"""


def start(*arguments: str) -> tuple[subprocess.Popen, str, str]:
    """A server around a toy, its address, and all that it said until it was ready."""
    script = TOY.format(tests=str(Path(__file__).parent))
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    said = ""
    while not (found := re.search(r"Ready at (http://\S+),", said)):
        line = process.stdout.readline()
        assert line, process.communicate()
        said += line
    return process, found[1], said


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_a_sentence_with_songs_under_way(number):
    process, address, said = start("127.0.0.1", "held")
    assert said.count("\n") == 1
    with httpx.Client(base_url=address, trust_env=False) as client:
        job = client.post("/jobs", json={}).json()
        while client.get(f"/jobs/{job['id']}").json()["state"] != "running":
            time.sleep(0.05)
        began = time.monotonic()
        process.send_signal(number)
        err = process.communicate(timeout=60)[1]
    assert time.monotonic() - began < 15
    assert process.returncode == 128 + number
    assert err == "Stopped: songs that were not finished are dropped.\n"


@pytest.mark.slow
def test_a_client_that_goes_away_leaves_the_queue():
    process, address, _ = start("127.0.0.1", "held")
    try:
        with httpx.Client(base_url=address, trust_env=False) as client:
            client.post("/jobs", json={})
            with pytest.raises(httpx.ReadTimeout):
                client.post("/generate", json={"seed": 2}, timeout=1.0)
            until = time.monotonic() + 60
            while client.get("/health").json()["queue"]["waiting"]:
                assert time.monotonic() < until
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


@pytest.mark.slow
def test_listening_to_others_is_said_and_their_names_for_it_are_taken():
    process, address, said = start("0.0.0.0")
    try:
        port = address.rpartition(":")[2]
        answer = httpx.get(
            f"http://127.0.0.1:{port}/health", headers={"host": "song.example"}, trust_env=False
        )
        assert answer.status_code == 200
        assert "0.0.0.0 is not this computer alone" in said
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


@pytest.mark.slow
def test_the_release_sends_the_bytes_that_the_command_line_writes(release, tmp_path):
    from fastapi.testclient import TestClient

    from tasks.music.songs import find_models, generate
    from tasks.serving.application import build_application
    from tasks.serving.limits import ServingLimits
    from tasks.serving.song_writer import SongWriter

    asked = {"sections": "A4 B4", "seed": 3, "key": "F", "tempo": 80.0}
    sampling = {"num_sampling_steps": 6, "guidance_scale": 2.0}
    generate(
        tmp_path, tmp_path / "songs", model=release, num_songs=2, sections="A4 B4", seed=3, key="F",
        tempo_bpm=80.0, sampling=sampling, audio_seconds=0.1,
    )  # fmt: skip
    writer = SongWriter(find_models(tmp_path, release, "phrase_ldm"))
    app = build_application(writer, ServingLimits(wait_seconds=SLOW_SECONDS))
    client = TestClient(app, base_url="http://localhost")
    for index in (1, 0):
        body = {**asked, "index": index, "steps": 6, "guidance": 2.0}
        answer = client.post("/generate", json=body)
        written = tmp_path / "songs" / "midi" / f"song-00{index}.mid"
        assert answer.content == written.read_bytes()
    kept = client.post(
        "/accompany?keep=melody&steps=6", content=written.read_bytes(),
        headers={"content-type": "audio/midi", "accept": "application/json"},
    ).json()  # fmt: skip
    assert kept["said"][0].startswith("upload.mid: ")
    assert kept["song"]["provenance"].endswith("melody given")
    assert kept["song"]["layout"] == "A4 B4"
