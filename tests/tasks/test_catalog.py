"""All registered tasks: labels, score and metrics fit the kind; tasks without a download load."""

import pytest

from stableft.tasks import Example, TaggedExample, Task, bio_labels, data_summary
from stableft.tasks.catalog import all_tasks, get_task
from stableft.tasks.scores import METRICS, SCORES, TAGGING_METRICS, TAGGING_SCORES

TASKS = list(all_tasks().values())


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_labels_score_and_metrics_fit_the_kind(task: Task) -> None:
    tagging = task.kind == "tagging"
    assert task.score in (TAGGING_SCORES if tagging else SCORES)
    assert set(task.metrics) <= ({**METRICS, **TAGGING_METRICS} if tagging else METRICS).keys()
    assert len(set(task.labels)) == len(task.labels)
    assert bool(task.labels) == (task.kind != "regression")
    if tagging:
        assert task.labels == bio_labels(label[2:] for label in task.labels[1:])


@pytest.mark.parametrize("name", ["toy", "toyscore", "docread", "doccode"])
def test_examples_are_of_the_kind(name: str) -> None:
    task = get_task(name)
    data = task.load()
    for split in (data.train, data.validation, data.test):
        assert {type(example) for example in split} == {TaggedExample if task.kind == "tagging" else Example}
        tags = {tag for example in split for tag in (example.tags if task.kind == "tagging" else [example.label])}
        assert task.kind == "regression" or tags == set(range(len(task.labels)))
    assert data_summary.summarise(task, data)["fingerprint"] == data.fingerprint == task.load().fingerprint
