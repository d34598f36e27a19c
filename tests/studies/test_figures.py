"""Figures of a report, from trials that were written here."""

import numpy as np
import pytest

from polygrad_edu.studies import figures
from polygrad_edu.studies.statistics import interquartile_mean
from tests.support.studies import finish, small


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, kept to be looked at."""
    kept = []

    class Kept(figures.Figure):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            kept.append(self)

    monkeypatch.setattr(figures, "Figure", Kept)
    return kept


def test_each_preset_has_a_panel_and_each_variant_a_line(tmp_path, drawn):
    study = small(presets=["pendulum", "hopper-cpu"], vary={"guidance": ["sample", "none"]})
    trials = study.trials(tmp_path)
    for trial in trials:
        finish(trial, 100.0 + trial.seed)
    figures.draw_curves(trials, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [axes.get_title() for axes in drawn[0].axes] == ["pendulum", "hopper-cpu"]
    for axes in drawn[0].axes:
        assert [line.get_label() for line in axes.lines] == ["guidance=sample", "guidance=none"]
        assert axes.lines[0].get_xdata().tolist() == [30, 60]
        np.testing.assert_allclose(axes.lines[0].get_ydata(), [50.25, 100.5])  # of 100 and 101


def test_a_preset_whose_trials_have_no_evaluation_in_common_is_left_empty(tmp_path, drawn):
    trials = small(presets=["pendulum", "hopper-cpu"], seeds=[0]).trials(tmp_path)
    finish(trials[0], 1.0)
    figures.draw_curves(trials, tmp_path / "curves.png")
    assert [axes.get_visible() for axes in drawn[0].axes] == [True, False]


def test_scores_are_bars_over_their_intervals(tmp_path, drawn):
    scores = {"a": np.array([[0.1], [0.2], [0.3]]), "b": np.array([[1.1], [1.2], [1.3]])}
    results = {"scores": {name: interquartile_mean(values)._asdict() for name, values in scores.items()}}
    figures.draw_scores(scores, results, tmp_path / "scores.png")
    means, profiles = drawn[0].axes
    assert [label.get_text() for label in means.get_yticklabels()] == ["a", "b"]
    for bar, name in zip(means.patches, scores, strict=True):
        assert bar.get_x() == results["scores"][name]["low"]
        assert bar.get_x() + bar.get_width() == pytest.approx(results["scores"][name]["high"])
    assert [line.get_label() for line in profiles.lines] == ["a", "b"]
    assert profiles.lines[0].get_ydata()[0] == 1  # every run scores above the lowest level


def test_without_scores_an_old_figure_goes(tmp_path):
    (tmp_path / "scores.png").write_bytes(b"old")
    figures.draw_scores({}, {}, tmp_path / "scores.png")
    assert not list(tmp_path.iterdir())
