"""Flows of registered models: the verdict is a state and a page, and no failure."""

import pytest

from tasks.promotion.champions import Outcome

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("outcome", "name"),
    [
        (Outcome("Accepted: version 2.\n\n| a table |"), "Promoted"),
        (Outcome("Refused: worse.\n\n| a table |", refused=True), "Refused"),
    ],
)
def test_the_verdict_of_the_gate_is_the_state_of_the_flow(
    prefect_server, tmp_path, monkeypatch, outcome, name
):
    from prefect import get_client

    from flows import promotion

    asked = []
    monkeypatch.setattr(
        promotion.commands,
        "promotion",
        lambda *given, **more: asked.append((given, more)) or outcome,
    )
    monkeypatch.setattr(promotion, "pipeline", lambda **given: asked.append(given))
    state = promotion.retrain(preset="smoke", store=str(tmp_path), return_state=True)
    assert state.is_completed()
    assert (state.name, state.message) == (name, outcome.text.splitlines()[0])
    assert asked[0]["preset"] == "smoke"
    assert asked[1] == ((tmp_path, promotion.measure), {"dry_run": False})
    with get_client(sync_client=True) as client:
        pages = [item.data for item in client.read_artifacts() if item.key == "gate"]
    assert outcome.text in pages


def test_a_batch_is_written_by_the_champion_into_the_store(prefect_server, tmp_path, monkeypatch):
    from flows import promotion

    asked = {}
    monkeypatch.setattr(
        promotion.songs, "generate", lambda *given, **more: asked.update(given=given, **more)
    )
    folder = promotion.generate_batch(store=str(tmp_path), num_songs=3, seed=7)
    assert folder.startswith(str(tmp_path / "batches"))
    assert folder.endswith("-seed7")
    assert (str(asked["model"]), asked["num_songs"], asked["seed"]) == ("champion", 3, 7)
