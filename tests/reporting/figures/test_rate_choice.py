"""What is drawn against the tuned scores, and the rates marked."""

import numpy as np
import pytest

from stableft.core.errors import NotLogged
from stableft.reporting.figures import draw, rate_choice
from stableft.reporting.tuned_rates import tuned_scores
from stableft.storage.records import Results
from tests.helpers import synthetic


@pytest.fixture(scope="module")
def results() -> Results:
    """A grid of rates, rte scored on test, and tnews_1k on validation with predictions."""
    return synthetic.with_predictions(synthetic.scored_on_test(synthetic.lr_grid(6)))


def test_differences_are_paired_at_own_rates_and_at_those_of_either_arm(results: Results) -> None:
    frame, tuned = rate_choice.data(results), tuned_scores(results)
    for task in ("rte", "tnews_1k"):
        wide = tuned[tuned["task"] == task].pivot(index="seed", columns=["arm", "rate_of"], values="value")
        rates = {"own": ("uncorrected", "corrected"), "corrected": ("corrected",) * 2, "uncorrected": ("uncorrected",) * 2}
        for comparison, (of_arm, of_first) in rates.items():
            rows = frame[(frame["task"] == task) & (frame["comparison"] == comparison)].set_index("seed")
            pairs = wide[[("uncorrected", of_arm), ("corrected", of_first)]].to_numpy()
            expected = pairs[:, 0] - pairs[:, 1]
            np.testing.assert_allclose(rows.loc[list(range(6)), "value"], expected)
            mean = rows[rows.index.isna()].iloc[0]
            assert (mean["n"], mean["value"]) == (6, pytest.approx(expected.mean()))
            assert mean["low"] <= mean["value"] <= mean["high"]


def test_the_marked_rate_is_the_best_on_validation(results: Results) -> None:
    means = rate_choice.data(results).query("task == 'rte' and panel == 'validation' and seed.isna()")
    for _, of_arm in means.groupby("arm"):
        best = of_arm.sort_values("value")["lr"].iloc[-1]
        assert of_arm.loc[of_arm["chosen"].astype(bool), "lr"].tolist() == [best]


def test_seeds_of_one_rate_alone_have_no_part_in_the_choice(results: Results) -> None:
    part = synthetic.without(results, "corrected lr=1e-05", {0})
    means = rate_choice.data(part).query("task == 'rte' and panel == 'validation' and seed.isna()")
    assert set(means.loc[means["arm"] == "corrected", "n"]) == {5}
    assert set(means.loc[means["arm"] == "uncorrected", "n"]) == {6}


def test_plot_draws_exactly_the_data(results: Results) -> None:
    figure, frame = draw(rate_choice, results)
    assert [axes.get_title() for axes in figure.axes] == [
        "rte", "rte, difference to corrected", "tnews_1k", "tnews_1k, difference to corrected",
    ]  # fmt: skip
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == [
        "each at its\nown best\nn = 6", "both at best\nof corrected\nn = 6", "both at best\nof uncorrected\nn = 6",
    ]  # fmt: skip
    here = frame[(frame["task"] == "rte") & frame["seed"].notna()]
    for axes, panel in zip(figure.axes[:2], ("validation", "difference"), strict=True):
        points = [line for line in axes.lines if line.get_linestyle() == "None" and len(np.asarray(line.get_xdata())) >= 6]
        drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in points])
        np.testing.assert_array_equal(np.sort(drawn), np.sort(here.loc[here["panel"] == panel, "value"]))


def test_without_predictions_a_task_scored_on_validation_has_no_choice() -> None:
    with pytest.raises(NotLogged, match="predictions"):
        rate_choice.data(synthetic.lr_grid(2))
