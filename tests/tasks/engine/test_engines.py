"""Engines: the same artifacts whichever works, and a worker that dies costs its shard."""

import gc
import logging
import os
import signal
import time
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path

import pytest

from phrase_models.errors import ConfigurationError
from phrase_models.sources.synthetic.composer import SyntheticConfig
from phrase_models.sources.synthetic.files import write_corpus
from storage.opening import open_store
from tasks.engine.engines import sharded
from tasks.engine.runtime import RuntimeConfig, default_runtime
from tasks.engine.shards import Shard, ShardFailed
from tasks.engine.stage import Session, run_stage
from tasks.engine.tracker import NullTracker
from tasks.settings import engines
from tasks.settings.engines import ENGINE_VARIABLE, chosen_engine
from tasks.settings.presets import load_preset
from tasks.stages import ingest_songs, tokenise_songs
from tasks.stages.ingest_songs import ingest_stage
from tasks.stages.tokenise_songs import tokenise_stage

needs_dask = pytest.mark.skipif(
    find_spec("distributed") is None, reason="Dask is not here: pip install '.[dask]'"
)
needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not here: pip install '.[ray]'"
)
ENGINES = [
    "processes",
    pytest.param("dask", marks=[needs_dask, pytest.mark.slow]),
    pytest.param("ray", marks=[needs_ray, pytest.mark.slow]),
]


def square_once_killed(work: tuple[int, str]) -> int:
    """Kills its worker the first time that it is called with 3."""
    number, folder = work
    mark = Path(folder, "killed")
    if number == 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def always_killed(name: str) -> str:
    if name == "bad":
        os.kill(os.getpid(), signal.SIGKILL)
    return name


class Work:
    """What a shard holds, so that a test can ask whether it is still there."""

    def __init__(self, number: int) -> None:
        self.number = number


def number_of(work: Work) -> int:
    return work.number


def process_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def refuse(name: str) -> str:
    raise ConfigurationError(f"Song {name} is no song.")


def runtime(engine: str, num_workers: int = 2) -> RuntimeConfig:
    return RuntimeConfig(engine=engine, num_workers=num_workers)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_worker_that_dies_costs_its_shard_and_not_the_others(engine, tmp_path, caplog):
    shards = [Shard((f"song-{number}",), (number, str(tmp_path))) for number in range(6)]
    with (
        caplog.at_level(logging.WARNING),
        sharded(runtime(engine), square_once_killed, shards, len(shards)) as results,
    ):
        assert [*results] == [0, 1, 4, 9, 16, 25]
    assert [
        record.message for record in caplog.records if record.name == "tasks.engine.shards"
    ] == ["A worker died on song song-3: another one takes over."]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_songs_of_a_shard_are_let_go_once_it_is_done(engine):
    shards = (Shard((str(number),), Work(number)) for number in range(30))
    with sharded(runtime(engine), number_of, shards, 30) as results:
        assert [*results] == [*range(30)]
        gc.collect()
        assert sum(isinstance(kept, Work) for kept in gc.get_objects()) <= 2


@pytest.mark.parametrize("engine", ENGINES)
def test_a_shard_that_kills_three_workers_is_named(engine):
    shards = [Shard((name, f"{name}-2"), name) for name in ("good", "bad", "more", "last")]
    expected = "^3 workers died one after the other on songs bad, bad-2: "
    with (
        pytest.raises(ShardFailed, match=expected),
        sharded(runtime(engine), always_killed, shards, len(shards)) as results,
    ):
        list(results)


@pytest.mark.parametrize(("num_shards", "num_processes"), [(3, 1), (4, 2)])
def test_few_shards_are_not_worth_a_process(num_shards, num_processes):
    shards = [Shard((f"{number}",), 0.5) for number in range(num_shards)]
    with sharded(runtime("processes"), process_after, shards, num_shards) as results:
        found = {*results}
    assert len(found) == num_processes
    assert (os.getpid() in found) == (num_processes == 1)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_shard_refuses_comes_as_its_own_sentence(engine):
    shards = [Shard((name,), name) for name in ("a", "b")]
    with (
        pytest.raises(ConfigurationError, match=r"^Song [ab] is no song\.$"),
        sharded(runtime(engine), refuse, shards, len(shards)) as results,
    ):
        list(results)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder, SyntheticConfig(num_songs=5, min_bars=8, max_bars=12))
    return folder


def tables_of(corpus: Path, store: Path, config: RuntimeConfig) -> list[tuple[str, str]]:
    """Key and digest of the artifacts of ingestion and tokenisation."""
    session = Session(open_store(store), config, lambda *_: nullcontext(NullTracker()))
    songs = run_stage(ingest_stage(load_preset("smoke"), data=corpus), session).ref
    tables = run_stage(tokenise_stage(songs), session).ref
    return [(songs.key, songs.digest), (tables.key, tables.digest)]


@pytest.mark.parametrize(
    ("engine", "num_workers"),
    [("processes", 3), *[pytest.param(*e.values, 2, marks=e.marks) for e in ENGINES[1:]]],
)
def test_keys_and_digests_are_those_of_one_process(
    corpus, tmp_path, monkeypatch, engine, num_workers
):
    monkeypatch.setattr(ingest_songs, "SHARD_SONGS", 2)
    monkeypatch.setattr(tokenise_songs, "SHARD_SONGS", 2)
    alone = tables_of(corpus, tmp_path / "alone", runtime("processes", 1))
    assert tables_of(corpus, tmp_path / "many", runtime(engine, num_workers)) == alone


def test_tables_do_not_depend_on_how_many_songs_are_in_a_shard(corpus, tmp_path, monkeypatch):
    whole = tables_of(corpus, tmp_path / "whole", runtime("processes", 1))
    monkeypatch.setattr(ingest_songs, "SHARD_SONGS", 2)
    monkeypatch.setattr(tokenise_songs, "SHARD_SONGS", 3)
    assert tables_of(corpus, tmp_path / "parts", runtime("processes", 1)) == whole


def test_the_environment_names_the_engine_and_a_word_goes_before_it(monkeypatch):
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    assert default_runtime().engine == "processes"
    monkeypatch.setattr(engines, "find_spec", lambda name: object())
    monkeypatch.setenv(ENGINE_VARIABLE, "dask")
    assert default_runtime().engine == "dask"
    assert default_runtime(engine="ray").engine == "ray"
    with pytest.raises(ConfigurationError, match=r"^There is no engine 'spark'; there are proc"):
        default_runtime(engine="spark")


@pytest.mark.parametrize("name", ["dask", "ray"])
def test_an_engine_that_is_not_installed_is_one_sentence_with_the_command(monkeypatch, name):
    monkeypatch.setattr(engines, "find_spec", lambda package: None)
    with pytest.raises(ConfigurationError, match=rf"`pip install '\.\[{name}\]'`"):
        chosen_engine(name)


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_an_address_where_nobody_answers_is_one_sentence(engine):
    config = RuntimeConfig(engine=engine, engine_address="127.0.0.1:9")
    with (
        pytest.raises(ConfigurationError, match=r"answers at 127\.0\.0\.1:9"),
        sharded(config, always_killed, [Shard(("a",), "a")], 1),
    ):
        pass
