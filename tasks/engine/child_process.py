"""Child processes of a run: they find this program's packages, and none outlives the run."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def child_environment(**changes: str) -> dict[str, str]:
    """Environment of a child that imports the packages of this checkout.

    Args:
        **changes: variables to set, whatever they are here.
    """
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **changes}


def stop_child(child: subprocess.Popen[bytes], seconds: float) -> None:
    """End a child that still runs, by force after some seconds."""
    if child.poll() is not None:
        return
    child.terminate()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
