"""Runs ended from outside leave no process behind; several at once do each stage once."""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
# A test may run in the background, where a shell has Ctrl-C ignored.
START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from flows.start import main
if __name__ == "__main__":
    main()
"""
MARK = "PHRASELDM_TEST_MARK"


class Run:
    """A run of the smoke preset as its user starts it, with all its processes."""

    def __init__(self, store: Path, *options: str, **changes: str) -> None:
        self.store, self.mark = store, uuid.uuid4().hex
        script = store.parent / "start.py"
        script.write_text(START)
        self.output = store.parent / f"{self.mark}.txt"
        removed = ("PREFECT_API_URL", "MLFLOW_TRACKING_URI")
        kept = {name: value for name, value in os.environ.items() if name not in removed}
        environment = {**kept, "PYTHONPATH": str(ROOT), MARK: self.mark, **changes}
        with self.output.open("w") as file:
            self.process = subprocess.Popen(
                [sys.executable, script, "run", "--store", store, *options],
                env=environment, cwd=ROOT, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip

    def reach(self, stage: str) -> None:
        """Wait until a stage works."""
        deadline = time.monotonic() + 200
        while not list((self.store / "work" / stage).glob("*/output")):
            assert self.process.poll() is None, self.said
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.5)

    @property
    def said(self) -> str:
        return self.output.read_text()

    def left(self) -> list[int]:
        """Ids of its processes that live."""
        found = []
        for folder in Path("/proc").iterdir():
            try:
                if (
                    folder.name.isdigit()
                    and self.mark.encode() in (folder / "environ").read_bytes()
                ):
                    found.append(int(folder.name))
            except OSError:  # it has ended, or is another user's
                continue
        return found

    def wait_until_none_is_left(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while self.left():
            assert time.monotonic() < deadline, self.left()
            time.sleep(0.1)

    def end(self) -> None:
        for pid in self.left():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def start(tmp_path) -> Iterator:
    runs = []

    def begin(*options: str, **changes: str) -> Run:
        runs.append(Run(tmp_path / "store", *options, **changes))
        return runs[-1]

    yield begin
    for run in runs:
        run.end()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("options", "ends"),
    [
        ((), {"train_infilling": signal.SIGKILL, "train_autoencoder": signal.SIGINT}),
        (("--plain",), {"ingest_songs": signal.SIGKILL, "train_infilling": signal.SIGTERM}),
    ],
    ids=["prefect", "plain"],
)
def test_nothing_outlives_a_run_however_it_ends(start, options, ends):
    for stage, number in ends.items():
        run = start(*options)
        run.reach(stage)
        if number == signal.SIGINT:
            os.killpg(run.process.pid, number)  # as a terminal does
        else:
            run.process.send_signal(number)
        sent = time.monotonic()
        code = run.process.wait(60)
        took = time.monotonic() - sent
        run.wait_until_none_is_left(20)
        if number == signal.SIGKILL:
            continue
        assert code == 128 + number
        assert took < 12  # five seconds, and some for a machine that does much else
        assert "Traceback" not in run.said
        assert re.search(r"^Stopped: .* is kept, .*run the same command to go on\.$|^Stopped: what "
                         r"was finished is kept, run the same command to go on\.$",
                         run.said, re.MULTILINE)  # fmt: skip


def test_runs_at_once_in_a_fresh_store_do_each_stage_once(start):
    # Enough songs that the others have started before the first one is through with them.
    shared = ("--until", "data", "--set", "source.synthetic.num_songs=200")
    runs = [start(*shared, *options) for options in ((), ("--plain",), ("--plain",))]
    assert [run.process.wait(300) for run in runs] == [0, 0, 0], [run.said for run in runs]
    said = "".join(run.said for run in runs)
    assert Counter(re.findall(r"^(\w+): done in", said, re.MULTILINE)) == {
        "compose_corpus": 1,
        "ingest_songs": 1,
        "tokenise_songs": 1,
    }
    waits = re.findall(r"process (\d+) on \S+ \(since [^)]*\), which runs the same pipeline", said)
    assert {int(pid) for pid in waits} <= {run.process.pid for run in runs}
    assert waits
