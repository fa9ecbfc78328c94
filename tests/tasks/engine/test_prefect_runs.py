"""Names of runs, and the folder that a worker works in."""

from pathlib import Path

import pytest

from phrase_models.errors import ConfigurationError
from tasks.engine.prefect_runs import HOME, enter_home, words_of_request


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({}, "smoke"),
        ({"preset": "cpu", "latent_dim": 32, "seed": 0}, "cpu, latent 32, seed 0"),
        ({"preset": "cpu", "latent_dim": None, "seed": None}, "cpu"),
        (
            {"preset": "demo", "overrides": {"vae.latent_dim": "16", "seed": "3"}, "seed": None},
            "demo, latent 16, seed 3",
        ),
        ({"preset": "demo", "resumed": 0}, "demo"),
        ({"preset": "demo", "resumed": 1}, "demo, resumed 1"),
    ],
)
def test_a_run_is_named_by_what_sets_it_apart(parameters, words):
    assert words_of_request(parameters) == words


def test_a_worker_works_in_the_home_that_it_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv(HOME, str(home))
    assert enter_home() == {"directory": str(home)}
    assert Path.cwd() == home.resolve()


@pytest.mark.parametrize("named", ["", "/nowhere/at all"])
def test_a_worker_without_a_home_says_so(named, monkeypatch):
    monkeypatch.setenv(HOME, named)
    before = Path.cwd()
    with pytest.raises(ConfigurationError, match=rf"^{HOME}.* on this worker: set it to "):
        enter_home()
    assert Path.cwd() == before
