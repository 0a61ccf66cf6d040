"""Two results folders: what is equal, what may be chance, what is different, and what is missing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from stableft.cli.compare import compared
from stableft.core.errors import MissingInput
from stableft.reporting.compare_results import FolderComparison, compare, counts, paired_interval, welch
from stableft.storage.records import Results
from stableft.storage.store import Store
from tests.helpers import synthetic
from tests.helpers.pages import keep, results


def moved(whole: Results, arm: str, task: str, by: float, metric: str = "score", *, to_and_fro: bool = False) -> Results:
    """With all values of a metric shifted in one cell; up and down in turn by seed if ``to_and_fro``."""
    wanted = (whole.metrics["arm"] == arm) & (whole.metrics["task"] == task) & (whole.metrics["metric"] == metric)
    sign = np.where(whole.metrics["seed"] % 2, -1, 1) if to_and_fro else 1
    return replace(whole, metrics=whole.metrics.assign(value=whole.metrics["value"] + by * sign * wanted))


def between(tmp_path: Path, a: Results, b: Results) -> FolderComparison:
    stores = [Store(tmp_path / name) for name in "ab"]
    for store, found in zip(stores, (a, b), strict=True):
        keep(store, "laptop", "adam", found)
    return compare(stores[0], stores[1])


def verdicts(found: FolderComparison) -> dict[tuple[str, str], tuple[str, bool]]:
    return {(cell.task, cell.arm): (cell.verdict, cell.identical) for cell in found.cells}


def test_each_verdict(tmp_path: Path) -> None:
    a = synthetic.grid(5)
    b = moved(moved(a, "corrected", "rte", 0.001, to_and_fro=True), "corrected", "tnews_1k", 0.3)
    b = synthetic.without(moved(b, "uncorrected", "tnews_1k", 1e-9, "loss"), "nothing", set())
    found = between(tmp_path, a, b)
    assert verdicts(found) == {
        ("rte", "corrected"): ("within interval", False),
        ("rte", "uncorrected"): ("equal", True),
        ("tnews_1k", "corrected"): ("different", False),
        ("tnews_1k", "uncorrected"): ("equal", False),
    }
    cell = next(cell for cell in found.cells if cell.verdict == "different")
    assert cell.low is not None
    assert cell.high is not None
    assert (cell.low, cell.high) == pytest.approx((0.3, 0.3))  # all seeds by as much: a difference without doubt
    assert cell.mean.b == pytest.approx((cell.mean.a or 0) + 0.3)
    assert counts(found.cells) == {"within interval": 1, "equal": 2, "different": 1}


def test_cells_and_experiments_of_one_folder_alone(tmp_path: Path) -> None:
    a = synthetic.grid(3)
    b = synthetic.without(a, "uncorrected", {0, 1, 2})
    keep(Store(tmp_path / "b"), "small", "other", a)
    found = between(tmp_path, a, b)
    assert verdicts(replace(found, cells=found.cells[:4]))["rte", "uncorrected"] == ("only in A", False)
    last = found.cells[-1]
    assert (last.protocol, last.experiment, last.verdict, last.n, last.mean.a) == ("small", "other", "only in B", (None, 3), None)
    assert last.low is None
    with pytest.raises(MissingInput, match=r"no collected results at small in .*a$"):
        compare(Store(tmp_path / "a"), Store(tmp_path / "b"), "small")


def test_one_run_is_too_few_to_tell(tmp_path: Path) -> None:
    a = synthetic.grid(1)
    found = between(tmp_path, a, moved(a, "corrected", "rte", 0.3))
    assert verdicts(found)["rte", "corrected"] == ("undecided", False)
    assert verdicts(found)["rte", "uncorrected"] == ("equal", True)


def test_other_seeds_with_the_same_scores_are_not_equal(tmp_path: Path) -> None:
    a = synthetic.grid(2)
    b = Results(*(frame.assign(seed=frame["seed"] + 10) if len(frame) else frame for frame in (a.runs, a.metrics, a.predictions)))
    assert {verdict for verdict, _ in verdicts(between(tmp_path, a, b)).values()} == {"within interval"}


def test_shared_seeds_are_paired_and_the_others_left_out(tmp_path: Path) -> None:
    a = synthetic.grid(6)
    two = [frame[frame["seed"] < 2] if len(frame) else frame for frame in (a.runs, a.metrics, a.predictions)]
    found = between(tmp_path, a, moved(Results(*two), "corrected", "rte", 0.01, to_and_fro=True))
    assert verdicts(found)["rte", "uncorrected"] == ("equal", True)
    assert [(cell.n, cell.shared, cell.same) for cell in found.cells][1:] == [((6, 2), 2, 2)] * 3
    cell = found.cells[0]
    assert (cell.verdict, cell.shared, cell.same) == ("within interval", 2, 0)
    assert cell.mean.a == pytest.approx(cell.mean.b)  # those of the two shared seeds
    text = "\n".join(map(str, compared(found).text))
    assert "2 of 2" in text


def test_the_table_has_the_cells_of_both_alone(tmp_path: Path) -> None:
    a = synthetic.grid(3)
    view = compared(between(tmp_path, a, synthetic.without(a, "uncorrected", {0, 1, 2})))
    assert "uncorrected" not in str(view.text[0])
    assert "2 only in A" in str(view.text[1])
    assert len(view.data["cells"]) == 4


def test_the_paired_interval_is_students() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0, 1, 9), rng.normal(1, 3, 9)
    expected = stats.ttest_rel(b, a).confidence_interval(0.95)
    assert paired_interval(a, b) == pytest.approx((expected.low, expected.high))
    assert paired_interval([0.5, 0.25], [0.75, 0.5]) == (0.25, 0.25)


def test_the_interval_is_welchs() -> None:
    rng = np.random.default_rng(0)
    for size in ((2, 9), (10, 10), (5, 50)):
        a, b = rng.normal(0, 1, size[0]), rng.normal(1, 3, size[1])
        expected = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
        assert welch(a, b) == pytest.approx((expected.low, expected.high))
    assert welch([0.5, 0.5], [0.25, 0.25, 0.25]) == (-0.25, -0.25)


def test_the_hardware_of_both_is_shown(tmp_path: Path) -> None:
    a = results(2)
    other = a.runs["provenance"].str.replace("Invented CPU", "Another CPU")
    view = compared(between(tmp_path, a, replace(a, runs=a.runs.assign(provenance=other))))
    assert [source["hardware"][:12] for side in "ab" for source in view.data[side]] == ["Invented CPU", "Another CPU,"]
    assert view.data["counts"] == {"equal": 4}
    assert view.data["cells"][0]["n"] == {"a": 2, "b": 2}
