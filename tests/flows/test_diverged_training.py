"""A training that diverges: one sentence, nothing committed, nothing cached."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


def run(store: Path) -> tuple[int, str]:
    """A run at smoke size whose first training cannot go well; exit code and all it printed."""
    command = [sys.executable, "-m", "flows", "run", "--plain", "--preset", "smoke"]
    command += [
        "--workers",
        "1",
        "--store",
        str(store),
        "--set",
        "infilling.training.learning_rate=1e18",
    ]
    environment = os.environ | {"PHRASELDM_TRACKING": "off", "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def test_it_ends_with_one_sentence_and_is_not_found_by_the_next_run(tmp_path):
    store = tmp_path / "store"
    for _ in range(2):
        code, text = run(store)
        assert code == 2
        sentence = text.strip().splitlines()[-1]
        assert sentence.startswith("Stage train_infilling: Training diverged at step ")
        assert sentence.endswith("Try a lower learning rate, a longer warm-up or precision fp32.")
        assert "train_infilling: cached" not in text
        assert "collect_phrases" in text
        assert not (store / "artifacts" / "train_infilling").exists()
