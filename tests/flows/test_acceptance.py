"""`phraseldm accept`: a change of code that a person declares harmless does nothing again."""

import json
import sys
from datetime import UTC, datetime

import pytest

from flows.start import main
from tasks.engine import stage as engine

EDITED = "tasks.stages.tokenise_songs"


@pytest.fixture
def phraseldm(monkeypatch, capsys, tmp_path):
    """Call the command line on a store; gives exit code, output and errors."""
    monkeypatch.setenv("PHRASELDM_TRACKING", "off")

    def call(*arguments: str) -> tuple[int, str, str]:
        line = ["phraseldm", *arguments, "--store", str(tmp_path / "store"), "--preset", "smoke"]
        monkeypatch.setattr(sys, "argv", line)
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        captured = capsys.readouterr()
        return code, captured.out.strip(), captured.err.strip()

    return call


@pytest.fixture
def edit(monkeypatch):
    """Change what one module says, as an edit of its file would."""
    closure = engine.closure

    def change() -> None:
        monkeypatch.setattr(
            engine,
            "closure",
            lambda modules: closure(modules) | ({EDITED: "0" * 64} if EDITED in modules else {}),
        )

    return change


def manifests(tmp_path, stage: str) -> list[dict]:
    paths = (tmp_path / "store" / "artifacts" / stage).glob("*/manifest.json")
    return [json.loads(path.read_text()) for path in paths]


def test_an_edit_is_explained_accepted_and_then_nothing_is_done_again(phraseldm, edit, tmp_path):
    assert phraseldm("prepare")[0] == 0
    code, out, _ = phraseldm("accept", "tokenise_songs")
    assert (code, out) == (0, "tokenise_songs is up to date: there is nothing to accept.")
    edit()
    changed = f"tokenise_songs: code module {EDITED} changed"
    assert phraseldm("explain", "tokenise_songs")[:2] == (0, changed)
    code, out, _ = phraseldm("accept", "tokenise_songs", "--why", "a log text")
    assert code == 0
    assert out.endswith("counts for the code as it is now.")
    today = datetime.now(UTC).date().isoformat()
    accepted = f"tokenise_songs: up to date (accepted on {today}: a log text)"
    assert phraseldm("explain", "tokenise_songs")[:2] == (0, accepted)
    assert phraseldm("prepare")[0] == 0
    (manifest,) = manifests(tmp_path, "tokenise_songs")
    (said,) = manifest["accepted"]
    assert (said["why"], said["date"], said["code"][EDITED]) == ("a log text", today, "0" * 64)


def test_what_differs_in_more_than_code_is_refused(phraseldm, edit, tmp_path):
    unknown = phraseldm("accept", "compose_corpus")
    assert unknown[0] == 2
    assert "There is no store at" in unknown[2]
    assert phraseldm("prepare")[0] == 0
    nothing = phraseldm("accept", "collect_phrases")
    assert nothing[0] == 2
    assert "Nothing of stage collect_phrases" in nothing[2]
    edit()
    setting = ("--set", "split.validation_fraction=0.4")
    other = phraseldm("accept", "ingest_songs", *setting)
    assert other[0] == 2
    assert "differs from what is wanted in its code alone" in other[2]
    before = phraseldm("accept", "tokenise_songs", *setting)
    assert before[0] == 2
    assert "tokenise_songs comes after ingest_songs, which is not up to date" in before[2]
    assert phraseldm("accept", "nothing")[2].startswith("There is no stage 'nothing'")
    assert all(len(error.splitlines()) == 1 for error in (nothing[2], other[2], before[2]))
    assert [manifest["accepted"] for manifest in manifests(tmp_path, "tokenise_songs")] == [[]]
