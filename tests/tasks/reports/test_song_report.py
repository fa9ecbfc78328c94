"""Table 5 from a store with songs of several origins."""

import json
import math

import numpy as np
import pytest

from phrase_models.diffusion.sampler_config import SamplerConfig
from phrase_models.metrics.evaluated_song import EvaluatedSong
from phrase_models.score.song import Song, parse_section_layout
from storage.artifacts import ArtifactStore
from tasks.reports.report import write_report
from tasks.reports.report_tables import NOT_RUN
from tasks.reports.song_evaluations import find_song_evaluations
from tasks.reports.song_report import HEADER, song_tables
from tasks.reports.song_values import (
    SONG_VALUES,
    SongValues,
    paired_by_plan,
    song_values_of,
    write_song_values,
)
from tasks.settings.presets import load_preset
from tasks.settings.stages import GenerationConfig

LAYOUTS = ("A4 A4", "A4 B4", "i4 A8")
TOLD = "against 8 real songs, 10 splits; notes a bar: ours higher (weight +1.20, difference +0.85)"


def songs_of(values: dict[str, list[float]], layouts=LAYOUTS, prefix="s") -> SongValues:
    ids = tuple(f"{prefix}{index}" for index in range(len(layouts)))
    return SongValues(ids, tuple(layouts), {k: np.array(v) for k, v in values.items()})


def recurring(*values: float) -> dict[str, list[float]]:
    return {f"srs_notes_{threshold}": list(values) for threshold in (50, 70, 90)} | {
        "longest_quotation_notes": [5.0, 9.0, 7.0][: len(values)]
    }


REAL = songs_of(recurring(0.5, 0.7, 0.6))


class SongStore:
    """A store in which songs were generated and measured by a stroke of the pen."""

    def __init__(self, store: ArtifactStore) -> None:
        self.store, self.count = store, 0

    def commit(self, stage, config, inputs, meta=None, files=()):
        self.count += 1
        key = f"{self.count:020}" + "0" * 44
        with self.store.lock(stage, key):
            output = self.store.work(stage, key).output
            (output / "name.txt").write_text(f"{stage} {key}")
            for write in files:
                write(output)
            return self.store.commit(
                stage, key, config=config, inputs=inputs, code={}, version=1, meta=meta or {}
            )

    def diffusion(self, preset="demo", **training):
        config = load_preset(preset)
        recipe = {
            "denoiser": config.denoiser,
            "noise_schedule": config.noise_schedule,
            "training": config.diffusion.model_copy(update=training),
        }
        return self.commit("train_diffusion", recipe, {})

    def songs(self, values, *, diffusion=None, latent_dim=64, fid=4.0, sampler=None, **settings):
        """Generated, measured and recorded."""
        latents = self.commit("encode_latents", {}, {}, {"latent_dim": latent_dim})
        usual = GenerationConfig(num_songs=3, sampler=SamplerConfig())
        config = usual.model_dump(mode="json") | settings
        config["sampler"] = config["sampler"] | (sampler or {})
        inputs = {"diffusion": diffusion.digest} if diffusion else {"songs": "0" * 64}
        generated = self.commit("generate_songs", config, inputs)
        columns = {"generated": values, "real": REAL, "held_out": REAL}
        metrics = {
            name: {
                metric: entry(float(np.nanmean(numbers)))
                for metric, numbers in column.values.items()
            }
            | {"in_scale_rate": entry(0.96), "feature_frechet": entry(2.5, math.nan)}
            for name, column in columns.items()
        }
        metrics["generated"]["feature_frechet"] = entry(fid)
        metrics["generated"]["groove_consistency"] = entry(0.0) | {"value": None}
        metrics["generated"]["two_sample_auc_songs"] = entry(0.9) | {"note": TOLD}
        return self.commit(
            "evaluate_songs",
            {},
            {"generated": generated.digest, "latents": latents.digest, "songs": "0" * 64},
            files=(
                lambda folder: (folder / "metrics.json").write_text(json.dumps(metrics)),
                lambda folder: write_song_values(folder, columns),
            ),
        )


def entry(value: float, spread: float = 0.5) -> dict:
    low, high = (None, None) if math.isnan(spread) else (value - spread, value + spread)
    return {"value": value, "low": low, "high": high, "num_songs": 3, "note": ""}


@pytest.fixture
def song_store(tmp_path) -> SongStore:
    return SongStore(ArtifactStore(tmp_path / "store"))


def rows_of(store: SongStore) -> dict[str, dict[str, str]]:
    table = song_tables(find_song_evaluations(store.store))[0]
    assert table.header == HEADER
    assert {len(row) for row in table.rows} == {len(HEADER)}
    return {row[0]: dict(zip(HEADER[1:], row[1:], strict=True)) for row in table.rows}


def test_an_empty_store_has_nothing_run(song_store):
    rows = rows_of(song_store)
    assert {row["number"] for row in rows.values()} == {NOT_RUN}
    assert list(rows) == [
        "real songs, training",
        "real songs, held-out",
        "ours, unconditional",
        "ours, length",
        "ours, sections",
        "ours, sections + form",
        "`paper` profile",
        "128 dimensions",
        "Markov chain of phrases",
        "bar shuffle",
        "training copies",
    ]


def test_rows_are_named_by_how_the_songs_were_made(song_store):
    ours = song_store.diffusion(seed=5)
    song_store.songs(REAL, diffusion=ours)
    song_store.songs(REAL, diffusion=ours, num_bars=64, seed=2)
    song_store.songs(REAL, diffusion=ours, sections="A4 A4", sampler={"guidance_scale": 2.25})
    song_store.songs(REAL, diffusion=ours, form="form.txt", sections="A4 A4")
    song_store.songs(REAL, diffusion=ours, latent_dim=128)
    song_store.songs(REAL, diffusion=song_store.diffusion("paper"), latent_dim=128)
    for name in ("phrase_markov", "bar_shuffle", "training_copies"):
        song_store.songs(REAL, generator=name, sampler={"guidance_scale": 7.0})
    assert list(rows_of(song_store))[2:] == [
        "ours, unconditional (seed 0, training seed 5)",
        "ours, length (seed 2, training seed 5)",
        "ours, sections (guidance scale 2.25, seed 0, training seed 5)",
        "ours, sections + form (seed 0, training seed 5)",
        "`paper` profile (seed 0, training seed 0)",
        "128 dimensions (seed 0, training seed 5)",
        "Markov chain of phrases (seed 0)",
        "bar shuffle (seed 0)",
        "training copies (seed 0)",
    ]


def test_figures_stand_beside_those_of_real_songs(song_store):
    ours = songs_of(recurring(0.25, 0.35, 0.3))
    song_store.songs(ours, generator="bar_shuffle")
    rows = rows_of(song_store)
    row = rows["bar shuffle (seed 0)"]
    assert row["number"] == "3"
    assert row["note SRS .5"] == "0.30 [-0.20, 0.80]"
    half = "0.50 [0.50, 0.50]"
    assert row["paired with real: .5 / .7 / .9"] == f"{half} / {half} / {half} (3 pairs)"
    assert row["features / real to real"] == "4.00 [3.50, 4.50] / 2.50"
    assert row["in scale"] == "96.0 % [46.0, 146.0]"
    assert row["longest quotation, notes"] == "7.00 [6.50, 7.50], at most 9"
    assert (row["polyphony"], row["groove"]) == ("", "undefined")
    real = rows["real songs, training"]
    assert (real["features / real to real"], real["note SRS .9"]) == ("2.50", "0.60 [0.10, 1.10]")
    assert rows["real songs, held-out"]["features / real to real"] == "2.50 / 2.50"
    given_away = song_tables(find_song_evaluations(song_store.store))[1]
    assert given_away.rows == (("bar shuffle (seed 0)", TOLD.split("; ")[1]),)


def test_songs_that_the_store_no_longer_has_are_left_out(song_store):
    kept = song_store.diffusion()
    song_store.songs(REAL, diffusion=kept)
    song_store.commit("evaluate_songs", {}, {"generated": "9" * 64, "latents": "8" * 64})
    gone = SongStore(ArtifactStore(song_store.store.root.parent / "other"))
    gone.count = 1000
    song_store.songs(REAL, diffusion=gone.diffusion())
    assert len(find_song_evaluations(song_store.store)) == 1


def test_the_report_is_written_as_markdown_and_as_a_page(tracked_store):
    SongStore(tracked_store).songs(REAL, generator="training_copies")
    markdown, folder = write_report(tracked_store.root, (5,))
    assert markdown == (folder / "report.md").read_text()
    assert markdown.startswith("### Table 5: whole songs beside real ones\n\n| songs | number |")
    assert "\n| training copies (seed 0) | 3 | 0.60 [" in markdown
    assert "| ours, sections | *not run* |" in markdown
    page = (folder / "report.html").read_text()
    assert "<td>training copies (seed 0)</td><td>3</td>" in page
    assert "<td>not run</td>" in page


# ------------------------------------------------------------------------------------ pairs
def test_values_read_back_exactly(tmp_path):
    layout = parse_section_layout("A4 B4")
    items = [EvaluatedSong(Song("x", 8, ()), plan=layout), EvaluatedSong(Song("y", 8, ()))]
    written = SongValues.of_songs(items, {"srs": np.array([0.1, math.nan])})
    write_song_values(tmp_path, {"generated": written})
    table = json.loads((tmp_path / SONG_VALUES).read_text())
    read = song_values_of(table)["generated"]
    assert (read.song_ids, read.layouts) == (("x", "y"), ("A4 B4", ""))
    np.testing.assert_array_equal(read.values["srs"], [0.1, math.nan])


def test_songs_are_paired_by_their_sections_whatever_the_order():
    real = songs_of({"srs": [0.2, 0.4, 0.9, math.nan]}, ("A4", "B4", "A4", "B4"))
    ours = songs_of({"srs": [0.4, 0.55, 9.0, 9.0]}, ("B4", "A4", "C4", ""))
    result = paired_by_plan("srs", ours, real)
    assert result.value == pytest.approx((0.4 + 0.55) / (0.4 + 0.55))
    assert (result.num_items, result.note) == (2, "undefined for 2 of 4 pairs")
    assert math.isnan(paired_by_plan("srs", ours, songs_of({"srs": [1.0]}, ("D4",))).value)
