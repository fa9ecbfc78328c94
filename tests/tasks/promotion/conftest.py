"""Made-up measurements of models, and a store whose models are registered."""

import numpy as np
import pytest

from phrase_models.metrics.note_matching import PhraseCounts
from tasks.engine.tracking import Tracking
from tasks.promotion.execution import execution_of
from tasks.promotion.gate import Measured
from tasks.reports.song_values import SongValues

NUM_SONGS = 20


@pytest.fixture
def measured_model():
    """`Measured` of a name, by its F1 and how many of its twenty songs are memorised."""

    def column(num_memorised: int = 0) -> SongValues:
        ids = tuple(f"0-{index}" for index in range(NUM_SONGS))
        flags = (np.arange(NUM_SONGS) < num_memorised).astype(float)
        return SongValues(ids, ("A8",) * NUM_SONGS, {"mr": flags})

    def build(name: str, f1: float = 0.9, num_memorised: int = 0) -> Measured:
        counts = PhraseCounts(
            num_target=1000, num_output=1000, matched_op=round(1000 * f1), num_phrases=10
        )
        songs = {f"song {index}": counts for index in range(NUM_SONGS)}
        return Measured(name, songs, column(num_memorised), column(), column(), {}, {}, 0.0)

    return build


@pytest.fixture
def register(pair_store, tracked_store):
    """Registers the models of the store as a run does; others where a number is named."""

    def run(number: int = 0, **more):
        config = pair_store.config
        sampler = {"num_sampling_steps": 3, "guidance_scale": 1.5 + number}
        generation = config.generation.model_dump() | {"sampler": sampler}
        config = type(config).model_validate(config.model_dump() | {"generation": generation})
        refs = {
            name: pair_store.refs[name]
            for name in ("ingest_songs", "tokenise_songs", "train_vae", "train_diffusion")
        }
        if number:  # another pipeline has another stage
            refs["ingest_songs"] = pair_store.commit("ingest_songs", {}, {}, {}, f"{number:064x}")
        execution = execution_of(config, refs, pair_store.store)
        Tracking(tracked_store.root, **more).log_pipeline(config, execution)
        return execution

    return run
