"""The smoke pipeline on two machines with one S3 store: killed on one, ended on the other."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage.objects import open_objects
from tests.object_stores import SECRET, s3_server, without_aws

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
URL = "s3://bucket/smoke"
RUN = ("run", "--plain", "--preset", "smoke", "--workers", "1")


def digests(root: Path) -> dict[str, str]:
    return {
        path.parent.parent.name: json.loads(path.read_text())["digest"]
        for path in (root / "artifacts").glob("*/*/manifest.json")
    }


class Machine:
    """A home of its own; its program works from a folder of its own, too."""

    def __init__(self, home: Path, s3: dict[str, str]) -> None:
        self.home = home
        home.mkdir()
        changes = {
            "HOME": str(home),
            "PHRASE_LDM_CACHE": str(home / "cache"),
            "PHRASE_LDM_STORE": URL,
            "PHRASE_LDM_SHARE_SECONDS": "1",
            "PHRASELDM_TRACKING": "off",
            "PYTHONPATH": str(ROOT),
        }
        self.environment = without_aws() | s3 | changes

    def start(self, *words: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "flows", *words],
            cwd=self.home,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def call(self, *words: str) -> str:
        process = self.start(*words)
        said, _ = process.communicate(timeout=800)
        assert process.returncode == 0, said
        return said

    def root(self) -> Path:
        """Its working store; parsed code is kept beside it."""
        [named] = (self.home / "cache").glob("*/shared.json")
        return named.parent


@pytest.mark.timeout(3600)
def test_killed_on_one_machine_it_ends_on_another_as_on_one_alone(tmp_path, monkeypatch):
    with s3_server(tmp_path / "s3.txt") as s3:
        first, second = (Machine(tmp_path / name, s3) for name in "ab")
        for name, value in s3.items():
            monkeypatch.setenv(name, value)
        objects = open_objects(URL)
        run = first.start(*RUN)
        while not any(
            item.name.endswith("latest.json") for item in objects.list("states/train_vae")
        ):
            assert run.poll() is None, run.communicate()
            time.sleep(0.1)
        run.send_signal(signal.SIGKILL)
        run.wait()
        said = second.call(*RUN)
        assert f"Waiting for process {run.pid} on " in said
        assert "is gone: this process takes over" in said
        assert "ingest_songs: cached" in said
        assert "train_vae: done" in said
        [log] = (second.root() / "artifacts" / "train_vae").glob("*/log/training.txt")
        assert "resumed at step " in log.read_text()
        assert objects.list("states") == []
        assert objects.list("leases") == []
        # On the machine that was killed all is found; a third one generates from the newest run.
        assert "done in" not in first.call(*RUN)
        assert digests(first.root()) == digests(second.root())
        assert "every file is what its manifest says" in first.call("store", "verify")
        third = Machine(tmp_path / "c", s3)
        third.call("generate", "--bars", "4", "--steps", "2", "-o", "songs")
        assert (third.home / "songs" / "midi" / "song-000.mid").exists()
        for machine in (first, second, third):
            files = (path for path in machine.home.rglob("*") if path.is_file())
            assert not [path for path in files if SECRET.encode() in path.read_bytes()]
    alone = {**os.environ, "PHRASELDM_TRACKING": "off", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "flows", *RUN, "--store", str(tmp_path / "store")]
    subprocess.run(command, cwd=tmp_path, env=alone, check=True, capture_output=True)
    assert digests(tmp_path / "store") == digests(second.root())
