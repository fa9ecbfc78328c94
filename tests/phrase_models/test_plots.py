import matplotlib.image
import numpy as np
import pytest

from phrase_models.gallery import piano_roll as gallery_roll
from phrase_models.plots import (
    _colour,
    bar_ssm,
    figure_png,
    interpolation_strip,
    latent_pca,
    latent_profile,
    learning_curves,
)
from phrase_models.score.song import (
    BRIDGE,
    MELODY,
    PIANO,
    Note,
    Phrase,
    PhraseNote,
    Section,
    Song,
    Track,
)

RECORDS = [
    {"step": 10, "values": {"train/loss": 2.0, "train/kl": 1.0, "train/gradient_norm": 9.0}},
    {"step": 20, "values": {"train/loss": 1.0, "train/kl": 2.0, "train/gradient_norm": 9.0}},
    {"step": 20, "values": {"validation/loss": 1.5, "validation/f1_op": 0.9}},
    {"step": 30, "values": {"train/loss": float("nan")}},
]
SONG = Song(
    "x",
    4,
    (Track(MELODY, (Note(0, 72, 12), Note(96, 74, 24))), Track(PIANO, (Note(0, 48, 48),))),
    (Section("A", 0, 2), Section("o", 2, 2)),
)


def line_data(figure) -> dict[str, list[list[float]]]:
    return {
        line.get_label(): [list(line.get_xdata()), list(line.get_ydata())]
        for axes in figure.axes
        for line in axes.lines
    }


def test_learning_curves_hold_the_measurements():
    figure = learning_curves(RECORDS)
    assert [axes.get_title() for axes in figure.axes] == [
        *("Loss", "KL divergence", "Agreement of notes")
    ]
    assert line_data(figure) == {
        "train/loss": [[10, 20], [2.0, 1.0]],
        "validation/loss": [[20], [1.5]],
        "train/kl": [[10, 20], [1.0, 2.0]],
        "validation/f1_op": [[20], [0.9]],
    }


def test_learning_curves_accept_flat_records():
    flat = [{"step": record["step"], **record["values"]} for record in RECORDS]
    assert line_data(learning_curves(flat)) == line_data(learning_curves(RECORDS))
    assert len(learning_curves([]).axes) == 1


def test_bar_ssm_draws_the_matrix_and_its_sections():
    matrix = np.eye(4)
    figure = bar_ssm(matrix, SONG.sections)
    axes = figure.axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), matrix)
    assert [text.get_text() for text in axes.texts] == ["A2", "o2"]
    assert [text.get_position()[0] for text in axes.texts] == [0.5, 2.5]
    assert len(axes.lines) == 2  # both directions, before the second section only


def test_latent_pca_colours_by_program():
    latents = np.random.default_rng(0).normal(size=(60, 8))
    programs = [MELODY, BRIDGE, PIANO, -1] * 15
    axes = latent_pca(latents, programs).axes[0]
    assert [points.get_label() for points in axes.collections] == [
        *("special", "Piano", "Melody", "Bridge")
    ]
    assert [len(points.get_offsets()) for points in axes.collections] == [15] * 4
    with pytest.raises(ValueError, match="60 latents but 3 programs"):
        latent_pca(latents, [0, 0, 0])


def test_latent_profile_ranks_the_deviations():
    latents = np.array([[1.0, -3.0, 5.0], [-1.0, 3.0, 5.0]])
    deviations, density = latent_profile(latents).axes
    assert [bar.get_height() for bar in deviations.patches] == [3.0, 1.0, 0.0]
    assert deviations.lines[0].get_ydata() == pytest.approx([0.1, 0.1])
    heights = np.array([bar.get_height() for bar in density.patches])
    lefts = np.array([bar.get_x() for bar in density.patches])
    # Two of three dimensions are at -1 and 1, the constant one is at 0 twice.
    assert lefts[heights > 0] == pytest.approx([-1.0, 0.0, 1.0])
    assert heights[heights > 0] * 0.125 == pytest.approx([1 / 3] * 3)


def test_interpolation_strip_has_a_panel_for_each_phrase():
    phrases = [Phrase(MELODY, (PhraseNote(0, 60, 12),)), Phrase(PIANO, ())]
    figure = interpolation_strip(phrases, [0.0, 1.0])
    assert [axes.get_title() for axes in figure.axes] == ["0.00", "1.00"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["Melody", "Piano"]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    with pytest.raises(ValueError, match="2 phrases but 1 weights"):
        interpolation_strip(phrases, [0.0])


def test_png_is_the_same_each_time(tmp_path):
    first, second = (figure_png(bar_ssm(np.eye(4), SONG.sections)) for _ in range(2))
    assert first == second
    assert b"Software" not in first
    (tmp_path / "matrix.png").write_bytes(first)
    assert matplotlib.image.imread(tmp_path / "matrix.png").shape[:2] == (576, 672)


def test_empty_values_make_figures():
    for figure in (
        latent_pca(np.zeros((0, 4)), []),
        interpolation_strip([], []),
    ):
        assert figure_png(figure).startswith(b"\x89PNG")


def test_colours_are_those_of_the_gallery():
    for program in range(129):
        assert _colour(program) == gallery_roll.track_colour(program)
