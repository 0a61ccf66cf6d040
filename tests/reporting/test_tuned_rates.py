"""Each arm at its own best rate, chosen on other examples than those reported."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stableft.core.errors import MissingInput
from stableft.reporting.claims.hypotheses import tuned
from stableft.reporting.grid_axes import learning_rates
from stableft.reporting.tables import rates_compared
from stableft.reporting.tuned_rates import tuned_scores
from stableft.storage.records import Results
from stableft.storage.store import Store
from tests.helpers import synthetic


@cache
def laptop(project: Path) -> Results:
    return Store(project / "results").load("laptop", "lr_grid")


def test_tuned_against_tuned_at_laptop_by_plain_best_validation(project: Path) -> None:
    """The differences are 0.010 and 0.008, where both arms at the corrected one's rate differ by 0.596 and 0.125."""
    runs = learning_rates(laptop(project)).query("setting == ''")
    means = runs.groupby(["task", "arm", "lr"], observed=True)[["validation", "score"]].mean()
    best = {(task, arm): group["validation"].idxmax() for (task, arm), group in means.groupby(["task", "arm"], observed=True)}
    found = {place: (row[2], round(means.loc[row, "score"], 3)) for place, row in best.items()}
    assert found == {
        ("docs15", "corrected"): (5e-4, 0.665),
        ("docs15", "uncorrected"): (1e-4, 0.655),
        ("docpair", "corrected"): (2e-4, 0.630),
        ("docpair", "uncorrected"): (2e-5, 0.622),
    }


def test_a_scored_test_split_is_reported_at_the_rate_of_best_validation(project: Path) -> None:
    found = tuned_scores(laptop(project)).query("task == 'docpair'").groupby(["arm", "rate_of", "rates"])["value"].mean().round(3)
    assert found.to_dict() == {
        ("corrected", "corrected", "2e-04"): 0.630,
        ("corrected", "uncorrected", "2e-05"): 0.522,
        ("uncorrected", "corrected", "2e-04"): 0.500,
        ("uncorrected", "uncorrected", "2e-05"): 0.622,
    }


def test_a_scored_validation_split_is_halved(project: Path) -> None:
    """Against a naive computation: the accuracy on odd examples at the rate that is best on even ones, and the reverse."""
    results = laptop(project)
    rows = results.predictions.query("task == 'docs15' and arm.str.startswith('corrected') and not arm.str.contains('epochs')")
    rows = rows.assign(right=rows["label"] == rows["prediction"], odd=rows["example"] % 2, arm=rows["arm"].astype(str))
    halves = rows.groupby(["arm", "seed", "odd"], observed=True)["right"].mean().unstack()
    best = halves.groupby("arm").mean().idxmax()
    expected = (halves.loc[best[0]][1] + halves.loc[best[1]][0]) / 2
    found = tuned_scores(results).query("task == 'docs15' and arm == 'corrected' and rate_of == 'corrected'")
    assert set(found["rates"]) == {f"{best[0].split('=')[1]} / {best[1].split('=')[1]}"}
    np.testing.assert_allclose(found.set_index("seed")["value"].sort_index(), expected.sort_index())


def test_the_table_has_tuned_arms_beside_arms_at_one_rate(project: Path) -> None:
    frame = rates_compared.table(laptop(project)).set_index(["task", "rates_of"])
    assert list(frame.index) == [(task, rates) for task in ("docs15", "docpair") for rates in ("each", "corrected", "uncorrected")]
    assert set(frame["arm"]) == {"uncorrected"}
    row = frame.loc["docpair", "each"]
    assert (row["rate"], row["rate_first"], row["pairs"]) == ("2e-05", "2e-04", 3)
    assert row["difference"] == pytest.approx(row["mean"] - row["mean_first"])
    assert frame["difference"].round(3).to_dict() == {
        ("docs15", "each"): -0.013,
        ("docs15", "corrected"): -0.324,
        ("docs15", "uncorrected"): 0.066,
        ("docpair", "each"): -0.008,
        ("docpair", "corrected"): -0.130,
        ("docpair", "uncorrected"): 0.100,
    }


def test_the_claim_is_judged_at_tuned_rates_or_at_one_arms(project: Path) -> None:
    evidence = tuned("corrected", "uncorrected")(laptop(project))
    assert (evidence.verdict, evidence.n, evidence.effect) == ("inconclusive", 3, "docs15 +0.013, docpair +0.008")
    one = tuned("corrected", "uncorrected", at_rate_of="corrected")(laptop(project))
    assert one.effect == "docs15 +0.324, docpair +0.130"


def test_without_predictions_nothing_is_chosen_on_the_reported_examples() -> None:
    grid = synthetic.lr_grid()
    with pytest.raises(MissingInput, match="can't be chosen on other examples than those reported: no predictions"):
        tuned_scores(grid)
    found = tuned_scores(synthetic.with_predictions(grid))
    assert set(found["arm"]) == {"corrected", "uncorrected"}
    assert found["value"].between(0, 1).all()


def test_a_run_without_predictions_gets_the_majority_score_of_its_half() -> None:
    whole = synthetic.with_predictions(synthetic.lr_grid())
    for arm in ("corrected lr=1e-05", "corrected lr=2e-05"):
        kept = whole.predictions[~((whole.predictions["arm"] == arm) & (whole.predictions["seed"] == 0))]
        whole = Results(whole.runs, whole.metrics, kept)
    found = tuned_scores(whole)
    assert len(found) == len(tuned_scores(synthetic.with_predictions(synthetic.lr_grid())))


def test_seeds_that_a_rate_lacks_do_not_choose(project: Path) -> None:
    def moved(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(seed=frame["seed"] + 10 * (frame["arm"].astype(str) == "corrected lr=2e-04"))

    results = laptop(project)
    with pytest.raises(MissingInput, match="no seed on docs15 that all learning rates of corrected have"):
        tuned_scores(Results(*map(moved, (results.runs, results.metrics, results.predictions))))
