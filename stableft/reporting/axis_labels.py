"""Axis labels: what a score measures, and on how many examples."""

import json

from stableft.storage.records import Results

NAMES = {
    "accuracy_and_f1": "accuracy and F1",
    "entity_f1": "entity F1",
    "f1": "F1",
    "macro_f1": "macro F1",
    "mcc": "Matthews correlation",
    "negative_rmse": "negative RMSE",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
}


def score_name(score: str) -> str:
    """Returns a score's name as a reader knows it; others lose their underscores."""
    return NAMES.get(score, score.replace("_", " "))


def of_score(split: str, score: str, examples: int | None = None) -> str:
    """Returns the label of a score, such as ``validation accuracy``, and below it ``(200 examples)``.

    Args:
        split: ``train``, ``validation`` or ``test``.
        score: The score's name.
        examples: If not all of the split's examples are scored: how many are.
    """
    return f"{split} {score_name(score)}" + (f"\n({examples} examples)" if examples else "")


def of_points(results: Results, task: str, split: str = "validation") -> str:
    """Returns the label of a task's score at the evaluation points of a run.

    A protocol can limit them to a fixed subset of validation. The label has the number of its examples
    unless the arms differ in it.
    """
    runs, metrics = (frame[frame["task"] == task] for frame in (results.runs, results.metrics))
    limits = {json.loads(text).get("evaluation", {}).get("num_examples") for text in runs.drop_duplicates("arm")["config"]}
    limited = split == "validation" and len(limits) == 1 and (metrics["scope"] == "subset").any()
    return of_score(split, str(runs["score_name"].iloc[0]), limits.pop() if limited else None)
