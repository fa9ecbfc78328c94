"""The registered sources: each says all that is asked of it, and travels to worker processes."""

import pickle
from functools import partial

import pytest
from pydantic import BaseModel

from phrase_models.errors import ConfigurationError
from phrase_models.sources.acceptance_rules import IngestConfig
from phrase_models.sources.registry import SOURCES, find_source
from phrase_models.sources.source import CorpusComposer
from phrase_models.sources.synthetic.composer import SyntheticConfig

each_source = pytest.mark.parametrize("name", list(SOURCES))


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match="no source 'radio'; there are synthetic, pop909"):
        find_source("radio")


@each_source
def test_settings_have_defaults_and_refuse_what_they_do_not_know(name):
    kind = find_source(name).settings_type
    settings = kind()
    assert isinstance(settings, BaseModel)
    assert kind.model_validate(settings.model_dump(mode="json")) == settings
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        kind(no_such_setting=1)


@each_source
def test_a_card_gets_one_clause_and_whole_sentences(name):
    source = find_source(name)
    assert source.description
    assert not source.description.endswith(".")
    assert source.licence == "" or source.licence.endswith(".")


@each_source
def test_a_missing_place_is_one_sentence(name, tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        find_source(name).check_folder(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_composed_corpus_is_read_like_pop909_also_after_a_journey_to_a_worker(tmp_path):
    synthetic, pop909 = find_source("synthetic"), find_source("pop909")
    assert (isinstance(synthetic, CorpusComposer), isinstance(pop909, CorpusComposer)) == (
        True,
        False,
    )
    settings = SyntheticConfig(num_songs=2, seed=5, min_bars=20, max_bars=24)
    assert synthetic.compose(tmp_path, settings) == {"num_songs": 2}
    read = {}
    for name, source, own in (
        ("synthetic", synthetic, settings),
        ("pop909", pop909, pop909.settings_type()),
    ):
        source.check_folder(tmp_path)
        entries = source.list_songs(tmp_path, own)
        assert [entry.song_id for entry in entries] == ["001", "002"]
        work = partial(source.read_song, tmp_path, rules=IngestConfig(), settings=own)
        read[name] = [pickle.loads(pickle.dumps(work))(entry) for entry in entries]
        assert read[name] == [work(entry) for entry in entries]
    assert read["synthetic"] == read["pop909"]
    assert [item.reason for item in read["synthetic"]] == ["ok", "ok"]
    folders = pop909.read_folders(tmp_path)
    assert list(folders) == ["POP909-Dataset", "hierarchical-structure-analysis"]
    assert all(any(folder.iterdir()) for folder in folders.values())
