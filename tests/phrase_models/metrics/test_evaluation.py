import math
from dataclasses import replace

import numpy as np
import pytest

from phrase_models.metrics.evaluated_song import EvaluatedSong, build_training_reference
from phrase_models.metrics.evaluation import (
    METRICS,
    evaluate_songs,
    measure_song,
    note_metric,
    song_values,
)
from phrase_models.metrics.memorisation import build_training_melodies, melody_tokens
from phrase_models.metrics.paired import paired_ratio
from phrase_models.score.song import MELODY, PIANO, Note, Song, Track, parse_section_layout

DIM, NUM_SLOTS = 24, 3
BAR_END = 0.3 * np.random.default_rng(1234).normal(size=DIM)
LAYOUT = parse_section_layout("i4 A8 B8 A8 B8")


def make_item(seed, *, song_id=None):
    """A song whose sections recur in notes and latents; the third slot is always empty."""
    generator = np.random.default_rng(seed)
    contents = {}
    notes = {MELODY: [], PIANO: []}
    num_bars = sum(section.num_bars for section in LAYOUT)
    latents = np.zeros((num_bars, NUM_SLOTS, DIM), dtype=np.float32)
    is_phrase = np.zeros((num_bars, NUM_SLOTS), dtype=bool)
    is_phrase[:, :2] = True
    for section in LAYOUT:
        for offset in range(section.num_bars):
            key = (section.label, offset)
            if key not in contents:
                rhythm = generator.choice(16, size=(2, 5), replace=False)
                pitches = generator.integers(50, 80, size=(2, 5))
                contents[key] = (rhythm, pitches, generator.normal(size=(2, DIM)))
            rhythm, pitches, rows = contents[key]
            bar = section.start_bar + offset
            latents[bar, :2] = rows
            for row, program in enumerate((MELODY, PIANO)):
                notes[program] += [
                    Note(48 * bar + 3 * int(sixteenth), int(pitch), 6)
                    for sixteenth, pitch in zip(rhythm[row], pitches[row], strict=True)
                ]
    tracks = tuple(Track(program, tuple(sorted(notes[program]))) for program in notes)
    song = Song(song_id or f"{seed:03d}", num_bars, tracks, LAYOUT)
    return EvaluatedSong(song, latents, is_phrase, LAYOUT, num_bars, BAR_END)


def shuffle_bars(item, seed):
    order = np.random.default_rng(seed).permutation(item.song.num_bars)
    place = np.argsort(order)
    tracks = tuple(
        Track(
            track.program,
            tuple(
                sorted(
                    replace(note, onset=48 * int(place[note.onset // 48]) + note.onset % 48)
                    for note in track.notes
                )
            ),
        )
        for track in item.song.tracks
    )
    return replace(
        item,
        song=replace(item.song, tracks=tracks),
        latents=item.latents[order],
        is_phrase=item.is_phrase[order],
    )


REAL = [make_item(seed) for seed in range(24)]
HELD_OUT = [make_item(seed) for seed in range(100, 118)]


@pytest.fixture(scope="module")
def training():
    melodies = {item.song.song_id: melody_tokens(item.song) for item in REAL}
    held_out = [item.song for item in HELD_OUT]
    return build_training_reference(build_training_melodies(melodies), held_out)


QUICK = tuple(metric for metric in METRICS if metric.name != "two_sample_auc")


def table(generated, training, *, metrics=QUICK, **options):
    results = evaluate_songs(generated, REAL, training, metrics=metrics, **options)
    assert len({result.name for result in results}) == len(results)
    return {result.name: result for result in results}


@pytest.fixture(scope="module")
def floor(training):
    return table(HELD_OUT, training, metrics=METRICS)


def test_every_metric_is_there_official_and_exact(floor):
    for name in ("phrase_fid", "srs", "mmr", "t2r", "mr", "length_accuracy"):
        assert not math.isnan(floor[name].value)
        assert not math.isnan(floor[f"{name}_official"].value)
    for name in (
        "feature_frechet",
        "srs_notes_50",
        "srs_notes_70",
        "srs_notes_90",
        "mr_invariant",
        "longest_quotation_notes",
        "longest_quotation_bars",
        "two_sample_auc_songs",
        "two_sample_auc_bars",
        "longest_copied_run",
        "longest_copied_run_transposed",
        "length_accuracy_bucket",
        "same_label_similarity",
        "same_label_similarity_notes",
        "boundary_f1",
        "in_scale_rate",
        "note_density",
        "polyphony",
        "groove_consistency",
        "tracks_per_bar",
        "instrumentation_change_boundary",
        "instrumentation_change_inside_set",
    ):
        assert floor[name].low <= floor[name].value <= floor[name].high, name
        assert floor[name].num_items == len(HELD_OUT)


def test_known_values(floor):
    # 16 bars recur at lag 16, of 36 bars; nothing else does often.
    for threshold in (50, 70, 90):
        assert floor[f"srs_notes_{threshold}"].value == pytest.approx(16 / 36, abs=0.05)
    assert floor["failures"].value == 0.0
    assert floor["note_density"].value == 10.0
    assert floor["length_accuracy"].value == 1.0
    assert floor["distinct_bar_rate"].value == pytest.approx(20 / 36)
    assert floor["mr"].value == 0.0
    assert floor["mr"].high == pytest.approx(0.1853, abs=1e-4)
    assert floor["longest_copied_run"].value == 0.0


def test_shuffled_bars_lower_every_structure_metric(floor, training):
    shuffled = table([shuffle_bars(item, index) for index, item in enumerate(HELD_OUT)], training)
    for name in ("srs", "srs_official", "srs_notes_50", "srs_notes_90", "same_label_similarity"):
        assert shuffled[name].high < floor[name].low, name
    assert shuffled["boundary_f1"].value < floor["boundary_f1"].value
    assert shuffled["phrase_fid"].value == pytest.approx(floor["phrase_fid"].value)
    assert shuffled["note_density"].value == floor["note_density"].value


def test_copied_songs_raise_memorisation(floor, training):
    copies = [
        replace(item, song=replace(item.song, song_id=f"copy-{index}"))
        for index, item in enumerate(REAL[:18])
    ]
    copied = table(copies, training)
    assert copied["mr"].value == copied["mr_official"].value == copied["mr_invariant"].value == 1.0
    assert copied["mmr"].value == 1.0
    assert copied["t2r"].value == 0.0
    assert copied["longest_copied_run"].value == 36.0
    assert copied["mmr"].low > floor["mmr"].high


def test_transposed_copies_are_seen_by_the_key_free_run(training):
    copies = []
    for item in REAL[:4]:
        tracks = tuple(
            Track(track.program, tuple(replace(note, pitch=note.pitch + 3) for note in track.notes))
            for track in item.song.tracks
        )
        copies.append(replace(item, song=replace(item.song, song_id="copy", tracks=tracks)))
    copied = table(copies, training)
    assert copied["mr_invariant"].value == 1.0
    assert copied["longest_quotation_bars"].value > 35.0
    assert copied["longest_copied_run_transposed"].value == 36.0
    assert copied["longest_copied_run"].value < 2.0


def test_noise_latents_raise_the_distance(floor, training):
    generator = np.random.default_rng(0)
    noisy = [
        replace(item, latents=item.latents + 2.0 * generator.normal(size=item.latents.shape))
        for item in HELD_OUT
    ]
    noise = table(noisy, training)
    assert noise["phrase_fid"].low > floor["phrase_fid"].high
    assert noise["srs_official"].value < floor["srs_official"].value


def test_empty_slots_enter_the_official_distance_alone(training):
    moved = [
        replace(item, latents=np.where(item.is_phrase[:, :, None], item.latents, 50.0))
        for item in HELD_OUT
    ]
    plain, changed = table(HELD_OUT, training), table(moved, training)
    assert changed["phrase_fid"].value == plain["phrase_fid"].value
    assert changed["phrase_fid_official"].value > plain["phrase_fid_official"].value + 100.0


def test_real_songs_are_measured_without_themselves(training):
    alone = table(REAL[:18], training, leave_one_out=True)
    assert alone["mr"].value == 0.0
    assert table(REAL[:18], training)["mr"].value == 1.0


def test_songs_without_plan_or_length(training):
    free = [replace(item, plan=None, requested_bars=None) for item in HELD_OUT]
    results = table(free, training)
    for name in ("length_accuracy", "boundary_f1", "instrumentation_change_boundary"):
        assert math.isnan(results[name].value)
        assert results[name].note


def test_a_single_song_and_an_empty_one_do_not_fail(training):
    silent = EvaluatedSong(
        Song("silent", 2, ()), np.zeros((2, NUM_SLOTS, DIM)), np.zeros((2, NUM_SLOTS), dtype=bool)
    )
    results = table([silent], training)
    assert math.isnan(results["phrase_fid"].value)
    assert math.isnan(results["srs"].value)
    assert math.isnan(results["in_scale_rate"].value)
    assert results["in_scale_rate"].note == "undefined for 1 of 1 songs: 1 silent"
    assert results["empty_bar_rate"].value == 1.0
    assert (results["failures"].value, results["failures"].note) == (1.0, "1 silent")
    assert evaluate_songs([], REAL, training)[0].note == "no songs to evaluate"


def test_two_calls_are_identical(training):
    once = evaluate_songs(HELD_OUT[:8], REAL[:8], training, seed=3)
    again = evaluate_songs(HELD_OUT[:8], REAL[:8], training, seed=3)
    assert repr(once) == repr(again)


def test_one_song_has_the_numbers_of_the_table(floor, training):
    measures = [measure_song(item, training) for item in HELD_OUT]
    mean = np.mean([measure.values["srs_official"] for measure in measures])
    assert floor["srs_official"].value == pytest.approx(mean)
    values = song_values(HELD_OUT, training)["srs_official"]
    assert values.tolist() == [measure.values["srs_official"] for measure in measures]
    assert measures[0].nearest_song_id in {item.song.song_id for item in REAL}


def broken_songs():
    """Of twenty songs asked for, two are missing, one is silent, one has a latent of nan."""
    spoilt = HELD_OUT[17].latents.copy()
    spoilt[3, 1, 5] = math.nan
    silent = replace(HELD_OUT[16], song=replace(HELD_OUT[16].song, tracks=()))
    return [*HELD_OUT[:16], None, silent, replace(HELD_OUT[17], latents=spoilt), None]


def test_failures_are_counted_and_every_mean_says_over_how_many_songs(training):
    results = table(broken_songs(), training)
    assert results["failures"].value == 4 / 20
    assert results["failures"].note == "2 missing, 1 not finite, 1 silent"
    assert results["failures"].num_items == 20
    for rule in ("", "_bucket", "_official"):
        lengths = results[f"length_accuracy{rule}"]
        assert (lengths.value, lengths.num_items) == (16 / 20, 20)
        assert lengths.note == "counted as wrong: 2 missing, 1 not finite, 1 silent"
    expected = {
        "srs": (16, "undefined for 4 of 20 songs: 2 missing, 1 not finite, 1 silent"),
        "srs_official": (17, "undefined for 3 of 20 songs: 2 missing, 1 not finite"),
        "srs_notes_50": (18, "undefined for 2 of 20 songs: 2 missing"),
        "in_scale_rate": (17, "undefined for 3 of 20 songs: 2 missing, 1 silent"),
        "mr": (17, "undefined for 3 of 20 songs: 2 missing, 1 silent"),
        "groove_consistency": (17, "undefined for 3 of 20 songs: 2 missing, 1 silent"),
        "distinct_bar_rate": (17, "undefined for 3 of 20 songs: 2 missing, 1 silent"),
        "longest_quotation_notes": (17, "undefined for 3 of 20 songs: 2 missing, 1 silent"),
    }
    for name, (num_items, note) in expected.items():
        assert results[name].num_items == num_items, name
        assert results[name].note == note, name
        assert not math.isnan(results[name].value), name
    for name, num_items in {
        "phrase_fid": 16,
        "phrase_fid_official": 16,
        "feature_frechet": 18,
    }.items():
        assert results[name].num_items == num_items, name
        assert f"{20 - num_items} of 20 songs left out" in results[name].note, name
        assert not math.isnan(results[name].value), name


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 3e38])
def test_latents_that_no_covariance_can_be_taken_of_are_failures(training, value):
    spoilt = [replace(item, latents=np.full_like(item.latents, value)) for item in HELD_OUT]
    results = table(spoilt, training)
    assert (results["failures"].value, results["failures"].note) == (1.0, "18 not finite")
    assert results["length_accuracy"].value == 0.0
    assert results["srs"].note == "undefined for 18 of 18 songs: 18 not finite"
    for name in ("phrase_fid", "phrase_fid_official", "srs", "same_label_similarity"):
        assert math.isnan(results[name].value), name
    bar_end = np.full(DIM, value)
    without = table([replace(item, bar_end=bar_end) for item in HELD_OUT], training)
    assert math.isnan(without["phrase_fid_official"].value)
    assert without["failures"].value == 0.0


def test_songs_of_which_no_bar_sounds_have_bars_left_out_and_said(training):
    silent = replace(HELD_OUT[0], song=replace(HELD_OUT[0].song, tracks=()))
    bars = table([*HELD_OUT[1:], silent], training, metrics=METRICS)["two_sample_auc_bars"]
    assert bars.num_items == 17
    assert bars.note.endswith("; 1 of 18 songs left out")


def test_a_silent_song_lowers_what_it_can_lower(floor, training):
    silent = [replace(item, song=replace(item.song, tracks=())) for item in HELD_OUT[:9]]
    results = table([*silent, *HELD_OUT[9:]], training)
    assert results["srs_notes_50"].value < 0.6 * floor["srs_notes_50"].value
    assert results["note_density"].value == 5.0
    assert results["feature_frechet"].low > floor["feature_frechet"].high


def test_no_song_at_all(training):
    results = table([None, None, None], training)
    assert results["failures"].value == 1.0
    assert len(table([None, None], training, metrics=METRICS)) == len(results) + 2
    rest = [result for name, result in results.items() if name != "failures"]
    assert all(math.isnan(result.value) and result.note for result in rest)


def test_a_generator_without_latents_is_measured_by_its_notes(floor, training):
    free = [replace(item, latents=None, is_phrase=None, bar_end=None) for item in HELD_OUT]
    results = table(free, training)
    undefined = {name for name, result in results.items() if math.isnan(result.value)}
    assert undefined == {
        "phrase_fid",
        "phrase_fid_official",
        "srs",
        "srs_official",
        "same_label_similarity",
    }
    assert all(results[name].note for name in undefined)
    assert results["failures"].value == 0.0
    assert results["srs_notes_90"] == floor["srs_notes_90"]


def test_official_figures_need_the_bar_end(training):
    without = table([replace(item, bar_end=None) for item in HELD_OUT], training)
    assert math.isnan(without["srs_official"].value)
    assert "end of a bar" in without["phrase_fid_official"].note
    assert not math.isnan(without["srs"].value)


def test_memorised_in_disguise_needs_held_out_songs():
    melodies = {item.song.song_id: melody_tokens(item.song) for item in REAL}
    alone = build_training_reference(build_training_melodies(melodies))
    results = table(REAL[:3], alone)
    assert math.isnan(results["mr_invariant"].value)
    assert results["mr_invariant"].note == "undefined for 3 of 3 songs"
    assert results["longest_quotation_notes"].value > 100.0


def test_songs_are_paired_with_the_real_songs_of_their_plans(training):
    shuffled = [shuffle_bars(item, index) for index, item in enumerate(HELD_OUT)]
    ours, real = (
        song_values([*shuffled, None], training),
        song_values(HELD_OUT + HELD_OUT[:1], training),
    )
    same = paired_ratio("note_density", ours["note_density"], real["note_density"])
    assert (same.value, same.low, same.high, same.num_items) == (1.0, 1.0, 1.0, len(HELD_OUT))
    assert same.note == f"undefined for 1 of {len(HELD_OUT) + 1} pairs"
    assert paired_ratio("srs", ours["srs_notes_50"], real["srs_notes_50"]).high < 0.3


def highest_pitch(song):
    """A metric as a newcomer would write it."""
    return float(max((n.pitch for track in song.tracks for n in track.notes), default=math.nan))


def test_a_metric_is_one_pure_function_and_one_line(training):
    metrics = (*QUICK, note_metric("highest_pitch", highest_pitch))
    silent = EvaluatedSong(Song("silent", 2, ()))
    results = table([*HELD_OUT, silent], training, metrics=metrics)
    expected = np.mean([highest_pitch(item.song) for item in HELD_OUT])
    assert results["highest_pitch"].value == pytest.approx(expected)
    assert results["highest_pitch"].low <= expected <= results["highest_pitch"].high
    assert results["highest_pitch"].num_items == len(HELD_OUT)
    assert results["highest_pitch"].note == "undefined for 1 of 19 songs: 1 silent"
    assert list(results)[-1] == "highest_pitch"
    assert "highest_pitch" in measure_song(HELD_OUT[0], training, metrics=metrics).values
