"""Page: a report about the user's own data, as one HTML file, and the same as JSON values.

It holds texts of the test part, so it stays on the user's machine unless they share it.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stableft.core.files import write_whole
from stableft.recommend.answer import Answer, curve_line, lines
from stableft.recommend.parts import Labelled
from stableft.recommend.search import SURE
from stableft.recommend.trials import Trial
from stableft.tasks import Example, TaggedExample, Task, TaskData, entity_spans

ERRORS = 20
LONGEST_TEXT = 400  # characters of a text on the page
MOST_CLASSES = 30  # of a confusion matrix


@dataclass(frozen=True)
class ClassScore:
    """Precision, recall and F1 of a class or kind of entity, and its number in the test part."""

    name: str
    precision: float
    recall: float
    f1: float
    count: int


@dataclass(frozen=True)
class Error:
    """A wrong prediction; ``confidence`` is its probability, or for scores its distance."""

    text: str
    pair: str
    label: str
    predicted: str
    confidence: float | None


@dataclass(frozen=True)
class Errors:
    """The errors of one run on the test part.

    Attributes:
        classes: Classes, or kinds of entities; empty for scores.
        confusion: Label x prediction counts; empty for scores and tags, and for many classes.
        residuals: For scores: quantile -> prediction minus label.
        worst: The most confident errors first.
    """

    classes: Sequence[ClassScore]
    confusion: Sequence[Sequence[int]]
    residuals: dict[str, float]
    worst: Sequence[Error]


def errors(task: Task, data: TaskData, trial: Trial) -> Errors:
    """Returns the errors of a run on the test part."""
    part, predictions = trial.parts["test"], trial.test()
    if task.kind == "tagging":
        return Errors(_kinds(part, predictions), [], {}, _wrong_sentences(task, data, part, predictions))
    if task.kind == "regression":
        away = predictions - part.labels
        quantiles = {f"{q:.0%}": float(np.quantile(away, q)) for q in (0.05, 0.25, 0.5, 0.75, 0.95)}
        order = np.argsort(-np.abs(away), kind="stable")[:ERRORS]
        worst = [_error(data.test[i], f"{part.labels[i]:g}", f"{predictions[i]:.3f}", float(abs(away[i]))) for i in order]
        return Errors([], [], quantiles, worst)
    counts = np.zeros((len(task.labels), len(task.labels)), dtype=int)
    np.add.at(counts, (part.labels.astype(int), predictions.astype(int)), 1)
    probabilities = trial.probabilities("test")
    sure = probabilities.max(axis=1) if probabilities.size else np.full(part.items, np.nan)
    wrong = np.flatnonzero(part.labels != predictions)
    order = wrong[np.argsort(-sure[wrong], kind="stable")][:ERRORS]
    worst = [
        _error(data.test[i], task.labels[int(part.labels[i])], task.labels[int(predictions[i])], float(sure[i])) for i in order
    ]
    return Errors(
        [_class_score(task.labels[k], counts[k, k], counts[:, k].sum(), counts[k].sum()) for k in range(len(task.labels))],
        counts.tolist() if len(task.labels) <= MOST_CLASSES else [],
        {},
        worst,
    )


def _class_score(name: str, correct: int, predicted: int, true: int) -> ClassScore:
    precision = correct / predicted if predicted else 0.0
    recall = correct / true if true else 0.0
    return ClassScore(name, precision, recall, 2 * correct / (predicted + true) if correct else 0.0, int(true))


def _kinds(part: Labelled, predictions: NDArray[np.float64]) -> list[ClassScore]:
    assert part.offsets is not None
    names = sorted({name[2:] for name in part.task.labels if name != "O"})
    here, there = (
        {
            entity
            for entity in zip(*(each.tolist() for each in entity_spans.spans(tags, part.offsets, part.task.labels)), strict=True)
        }
        for tags in (predictions, part.labels)
    )
    return [
        _class_score(
            name,
            sum(kind == k for *_, kind in here & there),
            sum(kind == k for *_, kind in here),
            sum(kind == k for *_, kind in there),
        )
        for k, name in enumerate(names)
    ]


def _wrong_sentences(task: Task, data: TaskData, part: Labelled, predictions: NDArray[np.float64]) -> list[Error]:
    """Returns the sentences with most wrong tags."""
    assert part.offsets is not None
    wrong = [int((predictions[a:b] != part.labels[a:b]).sum()) for a, b in zip(part.offsets[:-1], part.offsets[1:], strict=True)]
    order = [i for i in np.argsort(-np.array(wrong), kind="stable")[:ERRORS].tolist() if wrong[i]]

    outside = np.full_like(part.labels, task.labels.index("O"))

    def tagged(i: int, tags: NDArray[np.float64]) -> str:
        example = data.test[i]
        assert isinstance(example, TaggedExample)
        assert part.offsets is not None
        named = [task.labels[int(tag)] for tag in tags[part.offsets[i] : part.offsets[i + 1]]]
        words = [word if tag == "O" else f"{word}/{tag}" for word, tag in zip(example.words, named, strict=True)]
        return " ".join(words)[:LONGEST_TEXT]

    return [Error(tagged(i, outside), "", tagged(i, part.labels), tagged(i, predictions), None) for i in order]


def _error(example: Example | TaggedExample, label: str, predicted: str, confidence: float) -> Error:
    assert isinstance(example, Example)
    return Error(example.text[:LONGEST_TEXT], (example.pair or "")[:LONGEST_TEXT], label, predicted, confidence)


def as_json(found: Answer) -> dict[str, Any]:
    """Returns an answer as JSON values; what is unknown is null."""
    fields = (
        "task",
        "score",
        "setting",
        "winner",
        "best_baseline",
        "majority",
        "seeds",
        "spread",
        "train_seeds",
        "gain",
        "minutes",
    )
    return _finite(
        {
            "lines": lines(found),
            "labels": curve_line(found),
            **{name: getattr(found, name) for name in fields},
            "linear_is_as_good": found.linear_is_as_good,
            "examples": dict(found.examples),
            "failed": {"runs": found.failed[0], "share_at_most": found.failed[1]},
            "config": found.config.model_dump(mode="json", exclude_none=True),
            "run_id": found.best.record.run_id,
            "test": {name: asdict(getattr(found, name)) for name in ("fine_tuned", "default", "against_baseline")},
            "against_default": None if found.against_default is None else asdict(found.against_default),
            "baselines": [asdict(each) for each in found.baselines],
            "remedies": [asdict(each) for each in found.comparisons],
            "rates": [asdict(each) for each in found.rates],
            "curve": [asdict(each) for each in found.curve],
        }
    )


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def write(found: Answer, wrong: Errors, folder: Path) -> list[Path]:
    """Writes ``report.html`` and ``answer.json``, each whole, and returns their paths."""
    from stableft.reporting.html_page import environment

    html = (
        environment("stableft.recommend")
        .get_template("recommend.html.j2")
        .render(
            found=found,
            lines=lines(found),
            labels=curve_line(found),
            wrong=wrong,
            mean=lambda values: float(np.mean(values)),
            sure=SURE,
        )
    )
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(as_json(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return [write_whole(folder / "report.html", html.encode()), write_whole(folder / "answer.json", text.encode())]
