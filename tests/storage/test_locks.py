"""Locks: one holder at a time, and whoever waits says for whom."""

import os
import re
import subprocess
import sys
from pathlib import Path
from socket import gethostname

from storage.locks import hold_lock, lock_if_free, read_note

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys
from pathlib import Path
from storage.locks import hold_lock

with hold_lock(Path(sys.argv[1]), "trains on this device"):
    print("held", flush=True)
    sys.stdin.readline()
"""
ORPHANED = """
import os, subprocess, sys
from pathlib import Path
from storage.locks import hold_lock

with hold_lock(Path(sys.argv[1]), "trains on this device") as descriptor:
    subprocess.Popen([sys.executable, "-c", "import sys; print('held', flush=True); "
                      "sys.stdin.readline()"], pass_fds=[descriptor])
    os._exit(9)
"""
SAID = (
    r"Waiting for (what is left of )?process (\d+) on (\S+) "
    r"\(since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d\), which trains on this device\."
)


def held_by(script: str, path: Path) -> subprocess.Popen:
    holder = subprocess.Popen(
        [sys.executable, "-c", script, path],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    return holder


def wait_for(path: Path, holder: subprocess.Popen) -> None:
    """Take the lock; its holder lets go once this process has said that it waits."""
    import logging

    class LetGo(logging.Handler):
        def emit(self, record):
            holder.stdin.write("\n")
            holder.stdin.flush()

    logger = logging.getLogger("storage.locks")
    handler = LetGo()
    logger.addHandler(handler)
    try:
        with hold_lock(path, "trains on this device"):
            pass
    finally:
        logger.removeHandler(handler)


def test_who_waits_says_for_whom_and_since_when(tmp_path, caplog):
    holder = held_by(HOLDER, tmp_path / "lock")
    wait_for(tmp_path / "lock", holder)
    [message] = caplog.messages
    assert re.fullmatch(SAID, message).groups() == (None, str(holder.pid), gethostname())
    assert holder.wait(10) == 0


def test_a_child_that_outlived_its_parent_is_what_is_left_of_it(tmp_path, caplog):
    holder = held_by(ORPHANED, tmp_path / "lock")
    assert holder.wait(10) == 9
    wait_for(tmp_path / "lock", holder)
    [message] = caplog.messages
    assert re.fullmatch(SAID, message).groups() == (
        "what is left of ",
        str(holder.pid),
        gethostname(),
    )


def test_a_lock_nobody_holds_is_taken_without_a_word(tmp_path, caplog):
    with hold_lock(tmp_path / "lock", "trains"), lock_if_free(tmp_path / "lock") as free:
        assert not free
    with lock_if_free(tmp_path / "lock") as free:
        assert free
    assert caplog.messages == []


def test_a_lock_in_a_folder_that_is_gone_is_not_free(tmp_path):
    with lock_if_free(tmp_path / "gone" / "lock") as free:
        assert not free


def test_a_note_is_there_as_long_as_the_lock_is_held(tmp_path):
    path = tmp_path / "lock"
    assert read_note(path) is None
    assert not path.exists()
    with hold_lock(path, "builds", "d1 d2"):
        assert read_note(path) == "d1 d2"
    assert read_note(path) is None


def test_a_process_of_another_machine_is_not_looked_for_on_this_one(tmp_path, monkeypatch, caplog):
    with monkeypatch.context() as patch:
        patch.setattr("socket.gethostname", lambda: "elsewhere")
        holder = hold_lock(tmp_path / "lock", "trains")
        holder.__enter__()
    signature = (tmp_path / "lock").read_text()
    (tmp_path / "lock").write_text(signature.replace(str(os.getpid()), "4194304"))
    import threading

    waiter = threading.Thread(target=lambda: hold_lock(tmp_path / "lock", "trains").__enter__())
    waiter.start()
    while not caplog.messages:
        waiter.join(0.01)
    holder.__exit__(None, None, None)
    waiter.join(10)
    [message] = caplog.messages
    assert message.startswith("Waiting for process 4194304 on elsewhere (since ")
