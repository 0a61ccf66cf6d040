"""Parts of a user's data and scores on them, against the suite's own scores."""

from dataclasses import replace

import numpy as np
import pytest

from stableft.core.errors import MissingInput
from stableft.recommend.parts import labelled, with_test_part
from stableft.tasks import Example, TaggedExample, Task, TaskData, bio_labels, scores


def texts(count: int, start: int = 0) -> tuple[Example, ...]:
    return tuple(Example(f"text {i}", None, i % 2) for i in range(start, start + count))


def task(data: TaskData, **fields) -> Task:
    return Task("mine", "classification", ("a", "b"), "accuracy", "en", "", load=lambda: data, **fields)


def test_given_parts_stay() -> None:
    given = task(TaskData(texts(40), texts(10, 40), texts(10, 50)))
    assert with_test_part(given) == (given, "")


def test_without_a_test_part_validation_is_reported_on_and_equal_inputs_stay_together() -> None:
    train = (*texts(60), *texts(60))
    found, remark = with_test_part(task(TaskData(train, texts(12, 100))))
    data = found.load()
    assert data.test == texts(12, 100)
    assert len(data.validation) == 12  # a tenth of 60 different inputs, each twice
    assert sorted(e.text for e in (*data.train, *data.validation)) == sorted(e.text for e in train)
    assert not {e.text for e in data.train} & {e.text for e in data.validation}
    assert "12 examples of train are chosen by" in remark
    assert with_test_part(task(TaskData(train, texts(12, 100))))[0].load() == data


def test_a_class_never_leaves_train() -> None:
    rare = tuple(Example(f"rare {i}", None, i) for i in range(2, 22))
    given = replace(task(TaskData((*texts(40), *rare), texts(9))), labels=tuple(map(str, range(22))))
    data = with_test_part(given)[0].load()
    assert {e.label for e in data.train} == set(range(22))


def test_too_few_examples_are_refused() -> None:
    with pytest.raises(MissingInput, match="19 different examples to train on; at least 20"):
        with_test_part(task(TaskData(texts(19), texts(9))))


def test_f1_of_entities_from_counts_is_the_suites() -> None:
    rng, names = np.random.default_rng(0), bio_labels(["PER", "LOC"])
    sentences = tuple(
        TaggedExample(tuple("w" * n), tuple(rng.integers(0, len(names), n).tolist())) for n in rng.integers(1, 9, 40).tolist()
    )
    data = TaskData(sentences, sentences)
    part = labelled(Task("mine", "tagging", names, "entity_f1", "en", "", load=lambda: data), data, "train")
    guess = np.where(rng.random(len(part.labels)) < 0.6, part.labels, rng.integers(0, len(names), len(part.labels)))
    lengths = [len(each.words) for each in sentences]
    spans = list(zip(np.cumsum([0, *lengths[:-1]]).tolist(), lengths, strict=True))
    scorer = part.scorer(guess)
    assert scorer(np.arange(part.items)) == pytest.approx(part.score(guess))
    for _ in range(20):
        items = rng.integers(0, part.items, part.items)
        words = np.concatenate([np.arange(start, start + length) for start, length in [spans[i] for i in items]])
        offsets = np.concatenate([[0], np.cumsum([len(sentences[i].words) for i in items])])
        expected = scores.evaluate("entity_f1", part.labels[words], guess[words], offsets=offsets, names=names)
        assert scorer(items) == pytest.approx(expected)


@pytest.mark.parametrize("score", ["accuracy", "f1", "mcc", "spearman", "negative_rmse"])
def test_the_constant_predictions_have_the_constant_score(score: str) -> None:
    rng = np.random.default_rng(1)
    labels = rng.random(30) if score in ("spearman", "negative_rmse") else rng.integers(0, 2, 30)
    data = TaskData(tuple(Example(str(i), None, label) for i, label in enumerate(labels.tolist())), texts(2))
    part = labelled(replace(task(data), score=score), data, "train")
    assert part.score(part.constant_predictions()) == part.constant()
