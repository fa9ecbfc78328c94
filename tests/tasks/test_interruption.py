"""Ctrl-C and SIGTERM end a command with one sentence, whatever it is doing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD = """
import signal, sys, time
from tasks import interruption
from tasks.interruption import Stopped, ending_when_asked

# A test may run in the background, where a shell has Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
interruption.PATIENCE_SECONDS = 0.5
def ready():
    print("ready", flush=True)
"""
BODIES = {
    "works": "ready(); time.sleep(30)",
    "says what is kept": """
try:
    ready(); time.sleep(30)
except Stopped:
    raise Stopped("Stopped: two songs are kept.") from None
""",
    "closes with an error": """
try:
    ready(); time.sleep(30)
finally:
    raise ValueError("cannot be closed")
""",
    "swallows it": """
try:
    ready(); time.sleep(30)
except BaseException:
    pass
time.sleep(30)
""",
    "is in a destructor": """
class Slow:
    def __del__(self):
        ready(); time.sleep(30)

slow = Slow()
del slow
time.sleep(30)
""",
    "leaves slowly": """
import atexit
atexit.register(time.sleep, 30)
ready(); time.sleep(30)
""",
}
ADVICE = "Stopped: what was finished is kept, run the same command to go on.\n"


def start(body: str) -> subprocess.Popen:
    inside = "\n".join(f"    {line}" for line in body.strip().splitlines())
    script = f"{HEAD}\nwith ending_when_asked():\n{inside}\n"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", BODIES)
def test_one_sentence_an_exit_code_and_a_quick_end(name, number):
    process = start(BODIES[name])
    began = time.monotonic()
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    assert said == ("Stopped: two songs are kept.\n" if "says" in name else ADVICE)
    assert time.monotonic() - began < 15


def test_without_a_signal_errors_and_ends_are_what_they_are():
    script = f"{HEAD}\nwith ending_when_asked():\n    raise ValueError('no')\n"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: no\n")
