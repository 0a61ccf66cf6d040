"""What holds for every kind of figure, whatever its options: same results, same bytes; a caption; data beside it."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from experiments.published import PUBLISHED
from stableft.reporting import report
from stableft.reporting.figures import best_of, curves, distributions, loss_and_score, schedules, training_length, training_size
from stableft.storage.records import Results
from tests.helpers import synthetic
from tests.reporting.figures.test_distributions import with_test_split
from tests.reporting.figures.test_schedules import results_of
from tests.reporting.figures.test_training_size import results as sizes

Entry = tuple[report.Item, Callable[[], Results], str]
KINDS: dict[str, Entry] = {
    "best_of": (report.figure(best_of, published=PUBLISHED), lambda: with_test_split(synthetic.grid(3)), "with replacement"),
    "range": (
        report.figure(curves, split="train", metric="loss", band="range"), lambda: synthetic.grid(3), "least to the greatest run",
    ),
    "validation": (
        report.figure(distributions, split="validation", published=PUBLISHED), lambda: with_test_split(synthetic.grid(3)),
        "on the split that the axis names",
    ),
    "loss_and_score": (report.figure(loss_and_score), lambda: synthetic.grid(3), "last tenth of the steps"),
    "schedules": (report.figure(schedules), lambda: results_of({"plain": {}}), "closed form"),
    "lengths": (report.figure(training_length, published=PUBLISHED), lambda: synthetic.lengths(2), "schedule is that long"),
    "sizes": (report.figure(training_size), sizes, "evenly spaced"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_same_results_same_bytes_and_a_caption(kind: str, tmp_path: Path) -> None:
    item, results, says = KINDS[kind]
    once, again = (report.render_all({kind: item}, results(), tmp_path / time) for time in ("once", "again"))
    assert [path.suffix for path in once] == [".pdf", ".png", ".svg", ".csv", ".txt"]
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
    caption = once[-1].read_text()
    for part in (says, "protocol laptop", "failed", "Run set "):
        assert part.lower() in caption.lower()
    assert len(pd.read_csv(once[-2])) > 1
