"""The figures that are compared first."""

import pytest

from tasks.engine.experiment_pages import COMPARED, GLANCE, PAGES, page_of, page_tags
from tasks.reports.at_a_glance import PLAIN, RATIOS, at_a_glance


def test_figures_are_taken_and_divided_by_those_of_real_songs():
    meta = {
        "score_reconstruction": {"f1_op": 0.75},
        "evaluate_songs": {
            "srs_notes_50": 0.3,
            "srs_notes_50_real": 0.6,
            "mr_invariant": 0.0,
            "phrase_fid": 3.0,
            "phrase_fid_real": 1.5,
            "srs_notes_70": 1.0,
            "feature_frechet": None,
            "feature_frechet_real": 1.0,
            "srs_notes_70_real": 0.0,
        },
    }
    assert at_a_glance(meta) == pytest.approx(
        {"f1_op": 0.75, "memorised": 0.0, "phrase_fid": 3.0, "srs_ratio_50": 0.5, "fid_ratio": 2.0}
    )
    assert at_a_glance({}) == {}


def test_every_compared_column_is_a_figure_and_sorts_before_those_of_stages():
    known = {f"{GLANCE}/{name}" for name in (*PLAIN, *RATIOS)}
    assert set(COMPARED) <= known
    assert max(COMPARED) < "collect_phrases/"


def test_a_page_links_to_its_view_and_unknown_experiments_have_none():
    for name, page in PAGES.items():
        tags = page_tags(f"phrase-ldm/{name}", "7", 0)
        assert ("viewStateShareKey" in tags["mlflow.note.content"]) is bool(page.metrics)
    assert page_tags("other", "7", 0) == {}
    assert page_of("phrase-ldm/sweep of vae.latent_dim (vae, smoke)").metrics == COMPARED
