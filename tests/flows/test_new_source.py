"""The recipe of docs/extending.md for a source: its file and its line, run as they stand there."""

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from flows.road import prepare, run_until
from phrase_models.errors import ConfigurationError
from phrase_models.sources import registry
from storage.artifacts import ArtifactStore
from tasks.engine.stage import StageRunner
from tasks.launch import Launch, Request, launch
from tasks.stages.collect_phrases import phrases_stage

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"
SCALE = (60, 62, 64, 65, 67, 69, 71, 72)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> tuple[Path, str, str]:
    """The file of the page in a package of its own; name and class that the page's line gives."""
    section = PAGE.read_text().split("## A source")[1].split("\n## ")[0]
    file, line = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    name, target = re.findall(r'"([^"]+)"', line)
    root = tmp_path_factory.mktemp("code")
    package = root / "sources_of_page"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / f"{name}.py").write_text(file)
    return root, name, f"sources_of_page.{name}:{target.partition(':')[2]}"


@pytest.fixture(autouse=True)
def melodies(recipe, monkeypatch):
    root, name, target = recipe
    monkeypatch.syspath_prepend(root)
    monkeypatch.setitem(registry.SOURCES, name, target)
    monkeypatch.setenv("PHRASELDM_TRACKING", "off")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six melodies of 16 to 21 bars, one too short, and one that is none."""
    folder = tmp_path / "melodies"
    folder.mkdir()
    generator = np.random.default_rng(3)
    for index in range(6):
        steps = generator.integers(0, len(SCALE), (8, 4))
        verse = [" ".join(str(SCALE[step]) for step in bar) for bar in steps]
        lines = [f"A8 A8 o{index + 1}", *verse, *verse, *["60"] * (index + 1)]
        (folder / f"song{index}.txt").write_text("\n".join(lines) + "\n")
    (folder / "short.txt").write_text("A2\n60\n62\n")
    (folder / "words.txt").write_text("A2\nsixty\n62\n")
    return folder


def launched(tmp_path: Path, folder: Path | None, **overrides: str) -> Launch:
    request = Request(
        preset="smoke",
        source="melodies",
        data=str(folder) if folder else None,
        store=str(tmp_path / "store"),
        overrides=overrides,
        num_workers=1,
    )
    return launch(request, orchestrated=False)


def run_to_phrases(runner: StageRunner, started: Launch) -> Path:
    corpus = prepare(runner, started)
    runner.run(phrases_stage(corpus.tables))
    return corpus.songs.folder


def test_a_new_source_is_read_split_tokenised_and_counted(tmp_path, folder):
    started = launched(tmp_path, folder)
    with started.running() as runner:
        songs_folder = run_to_phrases(runner, started)
    assert list(started.results) == ["ingest_songs", "tokenise_songs", "collect_phrases"]
    songs = pl.read_parquet(songs_folder / "songs.parquet").sort("song_id")
    assert dict(zip(songs["song_id"], songs["reason"], strict=True)) == {
        "short": "too_short",
        "words": "bad_melody",
        **{f"song{index}": "ok" for index in range(6)},
    }
    used = songs.filter(pl.col("accepted"))
    assert used["num_bars"].to_list() == [17, 18, 19, 20, 21, 22]
    assert used["section_layout"].to_list() == [f"A8 A8 o{index + 1}" for index in range(6)]
    assert used["num_notes"].to_list() == [64 + index + 1 for index in range(6)]
    assert pl.read_parquet(songs_folder / "chords.parquet").height == 0
    store = ArtifactStore(tmp_path / "store")
    ref = started.results["collect_phrases"].ref
    meta = store.manifest(ref).meta
    assert meta["num_phrase_train"] + meta["num_phrase_validation"] > 6 * 8
    assert store.manifest(started.results["ingest_songs"].ref).config["source"] == "melodies"


def ingest_key(tmp_path: Path, folder: Path, **overrides: str) -> tuple[str, bool]:
    started = launched(tmp_path, folder, **overrides)
    with started.running() as runner:
        prepare(runner, started)
    result = started.results["ingest_songs"]
    return ArtifactStore(tmp_path / "store").manifest(result.ref).key, result.cached


def test_what_decides_its_songs_is_in_the_key_and_what_does_not_is_not(tmp_path, folder):
    first, cached = ingest_key(tmp_path, folder)
    assert not cached
    assert ingest_key(tmp_path, folder) == (first, True)
    folder.rename(tmp_path / "elsewhere")
    folder = tmp_path / "elsewhere"
    assert ingest_key(tmp_path, folder) == (first, True)
    # Settings of a source that is not the one asked for decide nothing.
    assert ingest_key(tmp_path, folder, **{"source.synthetic.num_songs": "9"}) == (first, True)
    higher, cached = ingest_key(tmp_path, folder, **{"source.melodies.octaves": "1"})
    assert (higher == first, cached) == (False, False)
    (folder / "short.txt").write_text("A2\n60\n64\n")
    changed, cached = ingest_key(tmp_path, folder)
    assert (changed in (first, higher), cached) == (False, False)


def test_what_is_wrong_with_its_place_is_one_sentence(tmp_path):
    with pytest.raises(ConfigurationError, match="Source melodies needs --data: a folder of text"):
        launched(tmp_path, None)
    with pytest.raises(ConfigurationError, match="There are no text files in"):
        launched(tmp_path, tmp_path)
    with pytest.raises(ConfigurationError, match=r"source\.melodies\.octaves = 'up' does not do"):
        launched(tmp_path, tmp_path, **{"source.melodies.octaves": "up"})


@pytest.mark.slow
def test_the_whole_smoke_pipeline_runs_on_a_new_source(tmp_path, folder):
    from tasks.reports.model_card import Weights, model_card
    from tasks.reports.provenance import newest_vae, provenance_of

    started = launched(tmp_path, folder)
    with started.running() as runner:
        run_until(runner, started)
    assert "evaluate_songs" in started.results
    assert "compose_corpus" not in started.results
    store = ArtifactStore(tmp_path / "store")
    card = model_card(provenance_of(store, newest_vae(store)), Weights(1, "fp32"))
    assert "Songs: melodies typed in by hand.\n8 songs read, 6 accepted" in card
    assert "--source melodies --data data" in card
    assert "The melodies are in the public domain." in card
