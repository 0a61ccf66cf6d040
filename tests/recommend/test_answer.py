"""Answer: its numbers against plain ones, and its sentences, on simulated runs."""

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from stableft.core.config import RunConfig
from stableft.recommend import page
from stableft.recommend.answer import Answer, answer, curve_line, lines
from stableft.recommend.candidates import DEFAULT
from stableft.recommend.search import Budget, search
from stableft.recommend.trials import Trial
from tests.recommend.simulated import Clock, SimulatedTrials, baseline, data
from tests.recommend.test_search import by_rate, searched, with_remedy

SIZES = {"train": 200, "validation": 200, "test": 200}


def answered(quality: Any, config: RunConfig, linear: float = 0.6, runs: float = 80) -> tuple[Answer, SimulatedTrials]:
    found, trials, _ = searched(quality, runs, config)
    baselines = [baseline(trials, "constant", 0.5), baseline(trials, "TF-IDF, linear", linear)]
    return answer(found, trials, baselines, config, SIZES, 60.0), trials


def test_its_scores_are_those_of_the_test_part(config: RunConfig) -> None:
    found, trials = answered(by_rate(2e-4), config)
    part = trials.parts["test"]
    expected = [part.score(trial.test()) for trial in trials.of(DEFAULT)]
    assert found.fine_tuned.mean == pytest.approx(np.mean(expected))
    assert found.spread == pytest.approx(np.std(expected, ddof=1))
    assert found.fine_tuned.interval.low < found.fine_tuned.mean < found.fine_tuned.interval.high
    assert found.majority == part.constant() == 0.5
    assert found.best.score == max(trial.score for trial in trials.of(DEFAULT))
    assert [each.test is None for each in found.baselines] == [True, False]  # only the best one is looked at


def test_the_test_part_is_read_for_winner_and_default_alone(config: RunConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    test = Trial.test

    def counted(trial: Trial) -> Any:
        read.append(trial.arm)
        return test(trial)

    monkeypatch.setattr(Trial, "test", counted)
    found, trials, _ = searched(with_remedy("longer", 0.08), 80, config)
    assert read == []
    answer(found, trials, [baseline(trials, "constant", 0.5)], config, SIZES, 60.0)
    assert set(read) == {DEFAULT, "longer"}


@pytest.mark.parametrize(
    ("linear", "first"),
    [
        (0.6, r"Use: fine-tune tiny-random .* Its lead over a linear model on TF-IDF \(0\.\d+\): \+0"),
        (0.8, r"Use: a linear model on TF-IDF \(0\.\d+\), or fine-tune: neither is clearly better"),
        (0.95, r"Use: a linear model on TF-IDF \(0\.9\d+\). Fine-tuning is probably worse: -0"),
    ],
)
def test_the_first_line_says_whether_fine_tuning_is_worth_it(linear: float, first: str, config: RunConfig) -> None:
    found, _ = answered(by_rate(2e-4), config, linear)
    said = lines(found)
    assert len(said) == 5
    assert re.match(first, said[0]), said[0]
    assert found.linear_is_as_good == (linear > 0.7)


def test_lines_name_a_remedy_or_say_that_nothing_helps(config: RunConfig) -> None:
    assert "train twice as long" in lines(answered(with_remedy("longer", 0.08), config)[0])[0]
    assert "a run takes 2.0 times as long" in lines(answered(with_remedy("longer", 0.08), config)[0])[3]
    assert "nothing was found to beat it" in lines(answered(by_rate(2e-4), config)[0])[3]
    assert "no remedy was tried" in lines(answered(by_rate(2e-4), config, runs=4)[0])[3]


def test_the_learning_curve_says_whether_labels_would_help(config: RunConfig) -> None:
    def growing(overrides: Mapping[str, Any], seed: int) -> float:
        return by_rate(2e-4, 0.9)(overrides, seed) - (0.15 if overrides.get("num_train") else 0.0)

    assert curve_line(answered(growing, config)[0]).endswith("more labels would help.")
    assert "within the noise" in curve_line(answered(by_rate(2e-4), config)[0])
    assert curve_line(answered(by_rate(2e-4), config, runs=4)[0]) == ""


def test_failed_runs_are_counted(config: RunConfig) -> None:
    def quality(overrides: Mapping[str, Any], seed: int) -> float:
        return -1.0 if seed == 1 else by_rate(2e-4)(overrides, seed)

    found, _ = answered(quality, config)
    assert found.failed[0] == 1
    assert "failed runs: 1 of" in lines(found)[2]


def test_the_page_has_the_answer_and_texts_stay_text(config: RunConfig, tmp_path) -> None:
    found, _ = answered(with_remedy("longer", 0.08), config)
    task, parts = data()
    wrong = page.errors(task, parts, found.best)
    assert sum(map(sum, wrong.confusion)) == 200
    assert len(wrong.worst) == min(20, 200 - sum(row[i] for i, row in enumerate(wrong.confusion)))
    recall = {each.name: each.recall for each in wrong.classes}
    assert recall["no"] == pytest.approx(wrong.confusion[0][0] / sum(wrong.confusion[0]))
    hostile = page.Errors(wrong.classes, wrong.confusion, {}, [page.Error("<script>alert(1)</script>", "", "a", "b", 0.9)])
    html, answer_json = page.write(found, hostile, tmp_path / "page")
    text = html.read_text()
    assert "<script>" not in text
    assert all(line.split(":")[0] in text for line in lines(found))
    stored = json.loads(answer_json.read_text())
    assert stored["winner"] == "longer"
    assert stored["lines"] == lines(found)


def test_a_search_that_was_told_to_leave_time_leaves_it(config: RunConfig) -> None:
    clock = Clock()
    trials = SimulatedTrials(by_rate(2e-4), clock)
    base = config.model_copy(update={"adam": config.adam.model_copy(update={"lr": 2e-4})})
    search(base, 800, trials, Budget(300.0, clock), 5.0, lambda _: None)
    assert clock.now <= 250.0
