"""What is said about runs: who failed, where they were computed, and nothing about persons."""

import json
from dataclasses import replace

import numpy as np
import pytest

from stableft.reporting import experiment_summary
from tests.helpers import synthetic
from tests.helpers.pages import EVIL, PROVENANCE, results


def test_runs_are_counted_and_encoders_lose_their_folder() -> None:
    found = experiment_summary.summarize(results(4))
    assert (found.num_runs, found.tasks, found.arms, found.seeds) == (16, ["rte", "tnews_1k"], ["corrected", EVIL], (4, 4))
    assert found.encoders == ["tiny"]


def test_failed_runs_have_their_losses() -> None:
    whole = results(4)
    found = experiment_summary.summarize(whole)
    assert [(run.task, run.seed, run.diverged) for run in found.failed] == [
        ("rte", 1, False), ("rte", 3, True), ("tnews_1k", 1, False), ("tnews_1k", 3, False),
    ]  # fmt: skip
    assert found.num_failed == 4
    run, diverged = found.failed[:2]
    assert run.run_id == "rte-uncorrected-1"[:12]
    assert run.score < run.majority_score == diverged.score
    rows = whole.metrics.query("task == 'rte' and seed == 1 and metric == 'loss' and arm != 'corrected'")
    assert run.losses == pytest.approx([rows["value"].to_numpy()[19 * k : 19 * (k + 1)].mean() for k in range(10)])
    assert len(diverged.losses) == 4  # of 190 steps it made 60
    assert len(run.points.split()) == len(run.learned.split()) == 10


def test_curves_lie_in_their_box() -> None:
    for run in experiment_summary.summarize(results(4)).failed:
        points = np.array([[float(number) for number in point.split(",")] for point in f"{run.points} {run.learned}".split()])
        assert points.min() >= 0
        assert (points.max(axis=0) <= experiment_summary.CURVE).all()


def test_a_task_where_all_fail_has_no_other_curve() -> None:
    whole = synthetic.without(synthetic.grid(2), "corrected", {0, 1})
    lost = experiment_summary.summarize(synthetic.without(whole, "uncorrected", {0}))
    assert {run.learned for run in lost.failed} == {""}


def test_a_long_list_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment_summary, "MAX_FAILED", 3)
    found = experiment_summary.summarize(results(4))
    assert (len(found.failed), found.num_failed) == (3, 4)


def test_every_run_has_its_score_in_the_table_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = results(4)
    found = experiment_summary.summarize(whole)
    assert [(row.task, row.arm, row.num_runs, row.num_failed) for row in found.arm_runs] == [
        ("rte", "corrected", 4, 0), ("rte", EVIL, 4, 2), ("tnews_1k", "corrected", 4, 0), ("tnews_1k", EVIL, 4, 2),
    ]  # fmt: skip
    failed = found.failed[0]
    assert f"1: {failed.score:.3f} ✗" in found.arm_runs[1].scores
    assert found.arm_runs[1].scores.count("✗") == 2
    assert found.arm_runs[0].scores.startswith("0: 0.")
    monkeypatch.setattr(experiment_summary, "MAX_ARMS", 3)
    cut = experiment_summary.summarize(whole)
    assert (len(cut.arm_runs), cut.num_arms) == (3, 4)


def test_runs_computed_alike_are_one_source() -> None:
    whole = results(4)
    texts = list(whole.runs["provenance"])
    texts[0] = json.dumps(
        {**PROVENANCE, "git": None, "execution": {"device": "cuda", "device_name": "H0", "threads": 4}, "started": 0}
    )
    runs = whole.runs.assign(provenance=texts, seconds=range(16), peak_memory_mb=[100.0] * 15 + [np.nan])
    alone, rest = experiment_summary.run_groups(runs)
    assert (alone.runs, alone.commit, alone.device, alone.first, alone.seconds) == (1, "", "H0, 4 threads", "", 0.0)
    assert (rest.runs, rest.commit, rest.python) == (15, "abcabcabcabc+", "3.11.7")
    assert (rest.hardware, rest.device) == ("Invented CPU, 2 cores, 1000 MiB, x86_64", "cpu, 1 thread")
    assert (rest.first, rest.last, rest.seconds, rest.peak_memory_mb) == ("2023-11-15", "2023-11-29", 120.0, 100.0)
    assert rest.versions == {"torch": "2.13.0", "transformers": "5.23.0", "numpy": "2.4.6"}


def test_results_without_provenance_are_shown_too() -> None:
    (source,) = experiment_summary.summarize(synthetic.grid(2)).run_groups
    assert (source.runs, source.commit, source.hardware, source.first) == (8, "", "", "")


def test_totals_count_a_run_of_two_experiments_once() -> None:
    whole = results(4)
    first = experiment_summary.summarize(whole)
    second = experiment_summary.summarize(replace(whole, runs=whole.runs[whole.runs["seed"] < 2]))
    total = experiment_summary.page_totals([first, second])
    assert (total["runs"], total["seeds"], total["tasks"]) == (16, (2, 4), ["rte", "tnews_1k"])
    assert len(total["packages"]) == 1
