"""Processes that are started together end together, and their exit code is that of the cause."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from phrase_models.training.local_processes import LOST_CODE, run_processes

ROOT = Path(__file__).resolve().parents[3]
HEAD = "import os, signal, sys, time; rank = int(os.environ['RANK']); "


def run(script: str, count: int = 2) -> tuple[int, float]:
    started = time.monotonic()
    return run_processes([sys.executable, "-c", HEAD + script], count), time.monotonic() - started


def test_each_knows_its_rank_and_all_end_well(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = "' '.join(os.environ[n] for n in ('RANK', 'LOCAL_RANK', 'WORLD_SIZE'))"
    code, _ = run(f"open(f'rank{{rank}}', 'w').write({words})", count=3)
    assert code == 0
    assert [(tmp_path / f"rank{rank}").read_text() for rank in range(3)] == [
        "0 0 3",
        "1 1 3",
        "2 2 3",
    ]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("sys.exit(2) if rank == 1 else time.sleep(60)", 2),
        (f"sys.exit(2) if rank == 1 else sys.exit({LOST_CODE})", 2),
        (f"sys.exit({LOST_CODE}) if rank == 0 else (time.sleep(.3), sys.exit(1))", 1),
        (f"sys.exit({LOST_CODE}) if rank == 0 else time.sleep(60)", LOST_CODE),
    ],
)
def test_the_cause_gives_the_exit_code_and_the_others_end(script, expected):
    code, seconds = run(script)
    assert code == expected
    assert seconds < 30


def test_a_signal_is_told_in_one_sentence(capfd):
    code, seconds = run("os.kill(os.getpid(), 9) if rank == 1 else time.sleep(60)")
    assert code == LOST_CODE
    assert seconds < 30
    assert capfd.readouterr().err == (
        "Process 1 of 2 was ended by signal 9 (SIGKILL), and with it the training; started again, "
        "it goes on from the last checkpoint.\n"
    )


LAUNCHER = """
import sys
from phrase_models.training.local_processes import run_processes
sys.exit(run_processes([sys.executable, "-c", sys.argv[1]], 2))
"""
WATCHED = """
import os, time
from pathlib import Path
from phrase_models.training.watchdog import exit_with_parent
exit_with_parent(os.getppid())
Path(os.environ["RANK"]).write_text(str(os.getpid()))
time.sleep(60)
"""


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc").exists(), reason="looks processes up in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_the_launcher_ends_all_within_seconds(tmp_path, number):
    launcher = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, WATCHED],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    )
    files, deadline = [tmp_path / "0", tmp_path / "1"], time.monotonic() + 60
    while not all(file.exists() and file.read_text() for file in files):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ranks = [int(file.read_text()) for file in files]
    launcher.send_signal(number)
    assert launcher.wait(30) != 0
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in ranks):
        assert time.monotonic() < deadline
        time.sleep(0.05)
