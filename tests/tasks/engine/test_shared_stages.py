"""Stages on several machines with one S3 store: each made once, whoever is killed, same digests."""

import logging
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from storage.errors import StoreRefused, StoreUnreachable
from storage.fingerprint import digest_json
from storage.opening import open_store, working_folder
from tests.object_stores import SECRET, s3_server, without_aws

ROOT = Path(__file__).resolve().parents[3]
WORKER = """
import os, signal, sys, time
from contextlib import contextmanager
from pathlib import Path
from pydantic import BaseModel
from storage.objects import open_objects
from storage.opening import store_address, working_folder
from storage.shared_artifacts import SharedStore
from tasks.engine.plain_runner import PlainRunner
from tasks.engine.runtime import RuntimeConfig
from tasks.engine.stage import Session, Stage
from tasks.engine.tracker import NullTracker
from tests.object_stores import PATIENT

class Number(BaseModel):
    value: int

@contextmanager
def no_tracking(stage, key, state):
    yield NullTracker()

url, name, log, *stages = sys.argv[1:]
kill_in = os.environ.get("KILL_IN")

def body(context):
    with open(log, "a") as file:
        print(context.stage, name, *sorted(p.name for p in context.state.iterdir()), file=file)
    (context.state / "half").write_text("half")
    if context.stage == kill_in:
        if context.share_state is not None and os.environ.get("SHARE"):
            context.share_state(context.state)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(float(os.environ.get("WORK_SECONDS", "0")))
    before = [(ref.folder / "number").read_text() for ref in context.inputs.values()]
    (context.output / "number").write_text("+".join([*before, context.stage]))
    (context.output / "log").mkdir()
    (context.output / "log" / "who").write_text(name)
    return {"made_by": name}

root = working_folder(url)
store = SharedStore(root, open_objects(url), root.parent.name, PATIENT)
runner = PlainRunner(Session(store, RuntimeConfig(), no_tracking))
inputs = {}
for stage in stages:
    ref = runner.run(Stage(stage, Number(value=1), inputs, body, ("phrase_models.score.song",)))
    inputs = {"before": ref}
print(ref.digest)
"""
STAGES = ("ingest", "train", "generate")


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3") / "log.txt") as variables:
        yield variables


class Machines:
    """Starts workers, each with a home of its own, on one prefix of one bucket."""

    def __init__(self, folder: Path, s3: dict[str, str]) -> None:
        self.folder, self.s3 = folder, s3
        self.url = f"s3://bucket/{folder.name}"
        self.log = folder / "made.txt"
        self.log.touch()

    def environment(self, name: str) -> dict[str, str]:
        named = {"PHRASE_LDM_CACHE": str(self.folder / name), "PYTHONPATH": str(ROOT)}
        return without_aws() | self.s3 | named

    def start(self, name: str, *stages: str, **variables: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", WORKER, self.url, name, str(self.log), *stages],
            env=self.environment(name) | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, name: str, *stages: str, code: int = 0, **variables: str) -> str:
        worker = self.start(name, *stages, **variables)
        out, said = worker.communicate(timeout=100)
        assert worker.returncode == code, said
        self.said = said
        return out.strip()

    @property
    def made(self) -> list[str]:
        """Which stage was begun on which machine, and what of it was there already."""
        return self.log.read_text().splitlines()


@pytest.fixture
def machines(tmp_path, s3) -> Machines:
    return Machines(tmp_path, s3)


@pytest.mark.slow
def test_two_machines_in_turns_make_each_stage_once_and_end_as_one_does(machines, tmp_path, s3):
    alone = Machines(tmp_path / "alone", s3) if (tmp_path / "alone").mkdir() is None else None
    expected = alone.run("one", *STAGES)
    for count in range(1, len(STAGES) + 1):
        digest = machines.run("ab"[count % 2], *STAGES[:count])
    assert digest == expected
    assert machines.made == ["ingest b", "train a", "generate b"]
    assert machines.run("a", *STAGES) == expected
    assert len(machines.made) == 3


@pytest.mark.slow
def test_both_started_at_once_each_stage_is_made_once(machines):
    workers = [machines.start(name, *STAGES, WORK_SECONDS="0.5") for name in "ab"]
    ends = [worker.communicate(timeout=100) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], ends
    assert ends[0][0] == ends[1][0]
    assert [line.split()[0] for line in machines.made] == [*STAGES]
    waited = "".join(said for _, said in ends)
    assert "Waiting for process " in waited
    assert "which builds stage ingest" in waited


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_killed_in_any_stage_is_found_out_and_another_goes_on(machines, stage):
    machines.run("a", *STAGES, code=-signal.SIGKILL, KILL_IN=stage, SHARE="1")
    machines.run("b", *STAGES)
    assert "is gone: this process takes over" in machines.said
    assert machines.made[-len(STAGES) + STAGES.index(stage)] == f"{stage} b half"  # its state, too
    begun = [line.split()[0] for line in machines.made]
    assert sorted(begun) == sorted([*STAGES, stage])


@pytest.mark.slow
def test_a_worker_that_is_started_again_where_it_was_killed_does_not_wait(machines):
    machines.run("a", "train", code=-signal.SIGKILL, KILL_IN="train")
    machines.run("a", "train")
    assert "Waiting" not in machines.said
    assert machines.made == ["train a", "train a half"]


@pytest.mark.slow
def test_a_planted_secret_is_in_no_file_no_output_and_no_message(machines, monkeypatch, caplog):
    machines.run("a", *STAGES)
    machines.run("b", *STAGES, code=0)
    said = machines.said
    caplog.set_level(logging.DEBUG)
    for name, value in machines.environment("c").items():
        monkeypatch.setenv(name, value)
    root = working_folder(machines.url)
    store = open_store(root)
    with pytest.raises(StoreRefused) as refused:
        open_store(working_folder("s3://no-such-bucket/x")).check_access()
    assert "There is no bucket for the shared store s3://no-such-bucket/x" in str(refused.value)
    said += f"{refused.value!r} {store!r} {vars(store)!r} {vars(store.objects)!r} {caplog.text}"
    for path in (path for path in machines.folder.rglob("*") if path.is_file()):
        assert SECRET.encode() not in path.read_bytes(), path
    assert SECRET not in said


def test_a_store_that_does_not_answer_is_one_sentence(tmp_path, monkeypatch):
    from storage import objects

    monkeypatch.setattr(objects, "MAX_RETRIES", 0)
    monkeypatch.setenv("PHRASE_LDM_CACHE", str(tmp_path))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    store = open_store(working_folder("s3://bucket/away"))
    with pytest.raises(StoreUnreachable) as error:
        store.find("train", digest_json("k"))
    said = str(error.value)
    assert said.startswith("The shared store s3://bucket/away does not answer as it should")
    assert "\n" not in said
    assert SECRET not in said
    assert error.value.__suppress_context__


@pytest.mark.slow
def test_a_lease_is_kept_while_a_body_works_longer_than_the_patience(machines):
    slow = machines.start("a", "train", WORK_SECONDS="3.5")
    while not machines.made:
        threading.Event().wait(0.05)
    machines.run("b", "train")
    slow.communicate(timeout=100)
    assert slow.returncode == 0
    assert machines.made == ["train a"]
