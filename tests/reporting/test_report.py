"""Which files appear, what their captions say, and that the same results give the same bytes."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stableft.core.errors import MissingInput
from stableft.reporting import captions, report
from stableft.reporting.figures import (
    bias_magnitude,
    block_gradients,
    curves,
    distances,
    distributions,
    learning_rates,
    training_length,
)
from stableft.reporting.rounding import settle
from stableft.reporting.tables import checkpoint_scores, convergence, score_summary, scores_by_rate
from stableft.storage.records import Results
from tests.helpers import synthetic

REPORT: report.Report = {
    "train_loss": report.figure(curves, split="train", metric="loss"),
    "score": report.figure(curves, split="validation", metric="score"),
    "score_distribution": report.figure(distributions),
    "bias_magnitude": report.figure(bias_magnitude),
    "scores": report.table(score_summary),
}


def test_an_entry_whose_series_older_runs_lack_is_left_out_and_said(tmp_path: Path) -> None:
    results = synthetic.grid(2)
    metrics = results.metrics[~results.metrics["metric"].isin(["distance", "block_grad_norm"])]
    left_out: list[str] = []
    entries = {"distances": report.figure(distances), "scores": report.table(score_summary)}
    written = report.render_all(entries, replace(results, metrics=metrics), tmp_path, left_out.append)
    assert {path.stem for path in written} == {"scores"}
    (why,) = left_out
    assert why.startswith(f"{tmp_path / 'distances'}: no finished run holds the metric 'distance'")


def test_every_entry_is_written_the_same_bytes_each_time_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "laptop" / "adam"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    figures = ["train_loss", "bias_magnitude"]  # of others see test_kinds.py
    entries = {name: REPORT[name] for name in (*figures, "scores")}
    written = report.render_all(entries, synthetic.grid(3), folder)
    expected = [f"{name}.{suffix}" for name in figures for suffix in ("pdf", "png", "svg", "csv", "txt")]
    assert [path.name for path in written] == [*expected, "scores.md", "scores.tex", "scores.csv"]
    assert sorted(folder.iterdir()) == sorted([*written, folder / "notes.txt"])
    assert (folder / "notes.txt").read_text() == "mine"
    again = report.render_all(entries, synthetic.grid(3), tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]


def test_learning_rate_entries(tmp_path: Path) -> None:
    entries = {"lr": report.figure(learning_rates), "lr_table": report.table(scores_by_rate)}
    written = report.render_all(entries, synthetic.lr_grid(2), tmp_path)
    assert len(written) == 8
    assert "Runs per arm and task: n = 2. 10 arms; " in (tmp_path / "lr.txt").read_text()


@pytest.mark.slow
def test_entries_about_training_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    def of_blocks() -> Results:
        both = synthetic.grid(2)
        runs, metrics = (frame[frame["task"] == "rte"] for frame in (both.runs, both.metrics))
        return synthetic.with_blocks(Results(runs, metrics, both.predictions), 2)

    def of_lengths() -> Results:
        return synthetic.lengths(1, (96, 200))

    entries: list[tuple[report.Report, Callable[[], Results]]] = [
        (
            {"distances": report.figure(distances), "gradients": report.figure(block_gradients, arms=["corrected", "uncorrected"])},
            of_blocks,
        ),
        ({"convergence": report.table(convergence), "checkpoints": report.table(checkpoint_scores)}, of_blocks),
        ({"lengths": report.figure(training_length)}, of_lengths),
    ]
    for items, results in entries:
        once, again = (report.render_all(items, results(), tmp_path / time) for time in ("once", "again"))
        assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
    assert len(list((tmp_path / "once").iterdir())) == 3 * 5 + 2 * 3
    assert "Runs of corrected, uncorrected." in (tmp_path / "once" / "gradients.txt").read_text()
    assert "from the least to the greatest" in (tmp_path / "once" / "distances.txt").read_text()


def test_the_numbers_beside_a_figure_are_those_drawn(tmp_path: Path) -> None:
    results = synthetic.grid(3)
    report.render("loss", REPORT["train_loss"], results, tmp_path)
    expected = settle(curves.data(results, split="train", metric="loss"))
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "loss.csv"), expected, check_dtype=False, check_exact=True)


def test_a_figure_draws_the_very_numbers_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[pd.DataFrame] = []

    def once(results: Results, **options: Any) -> pd.DataFrame:
        computed.append(data(results, **options).assign(value=lambda frame: frame["value"] + len(computed)))
        return computed[-1]

    data = curves.data
    monkeypatch.setattr(curves, "data", once)
    shown = REPORT["train_loss"](synthetic.grid(3))
    assert isinstance(shown, report.FigureReport)
    (frame,) = computed
    pd.testing.assert_frame_equal(shown.data, settle(frame), check_exact=True)
    lines = [line for axes in shown.figure.axes for line in axes.lines]
    drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in lines])
    np.testing.assert_array_equal(np.sort(drawn), np.sort(shown.data["value"]))


def test_captions_say_what_was_run(tmp_path: Path) -> None:
    results = synthetic.without(synthetic.grid(), "uncorrected", {4})
    report.render("loss", REPORT["train_loss"], results, tmp_path)
    caption = (tmp_path / "loss.txt").read_text()
    digest = hashlib.sha256("\n".join(sorted(results.runs["run_id"])).encode()).hexdigest()[:12]
    for part in (
        "Training loss over the steps of a run, mean over seeds.",
        "95 % percentile bootstrap", "protocol laptop", "rte on validation",
        "corrected 0 of 5, uncorrected 2 of 4", "majority score", f"Run set {digest}.",
    ):  # fmt: skip
        assert part in caption
    assert "diverged or has no defined score counts as failed" in caption


def test_bare_figures_and_frames_are_written_too(tmp_path: Path) -> None:
    results = synthetic.grid(2)
    figure = report.render("figure", lambda r: synthetic.figure(curves, r, split="train", metric="loss"), results, tmp_path)
    table = report.render("table", lambda r: r.runs[["task", "seed"]], results, tmp_path)
    assert [path.suffix for path in [*figure, *table]] == [".pdf", ".png", ".svg", ".txt", ".md", ".tex", ".csv"]
    assert captions.describe(results) in (tmp_path / "table.md").read_text()


def test_missing_input_leaves_no_files(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="'f1'"):
        report.render("f1", report.figure(curves, split="validation", metric="f1"), synthetic.grid(2), tmp_path)
    assert list(tmp_path.iterdir()) == []
