"""Baselines: what they predict on data whose answer is known."""

import numpy as np
import pytest

from stableft.models.encoders import Encoder
from stableft.recommend import baselines
from stableft.recommend.baselines import CONSTANT, FROZEN, WORDS
from stableft.recommend.parts import labelled
from stableft.tasks import Example, TaggedExample, Task, TaskData, bio_labels
from stableft.tasks.catalog import get_task


def computed(task: Task, encoder: Encoder) -> dict[str, baselines.Baseline]:
    found = baselines._all((task.kind, task.labels, task.score), task.load(), encoder, 32)
    return {each.name: each for each in found}


@pytest.mark.parametrize("name", ["toy", "toyscore", "toytag"])
def test_each_kind_of_task_has_its_baselines(name: str, lively_encoder: Encoder) -> None:
    task = get_task(name)
    data, found = task.load(), computed(task, lively_encoder)
    assert list(found) == [CONSTANT, WORDS, FROZEN]
    for split in ("validation", "test"):
        part = labelled(task, data, split)
        assert all(each.predictions[split].shape == part.labels.shape for each in found.values())
        assert part.score(found[CONSTANT].predictions[split]) <= part.constant()
    part = labelled(task, data, "test")
    assert part.score(found[WORDS].predictions["test"]) > part.constant()  # the toy tasks are about single words


def test_the_frozen_states_are_the_encoders_own(lively_encoder: Encoder) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    from stableft.recommend.frozen import FrozenEncoder

    texts = ["alin bap", "bral", "alin alin lumi bral bap cug"]
    ours = FrozenEncoder(lively_encoder, 32, tagging=False).texts(texts)
    model, tokenizer = AutoModel.from_pretrained(lively_encoder.folder), AutoTokenizer.from_pretrained(lively_encoder.folder)
    for text, row in zip(texts, ours, strict=True):
        with torch.inference_mode():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        np.testing.assert_allclose(row, states.mean(0).numpy(), atol=1e-5)


def test_pairs_are_read_as_both_texts(lively_encoder: Encoder) -> None:
    words = ["alin", "bral", "bap", "cug"]
    rows = [Example(a, b, int(a == b)) for a in words for b in words] * 4
    data = TaskData(tuple(rows), tuple(rows), tuple(rows))
    task = Task("pairs", "classification", ("no", "yes"), "accuracy", "en", "", load=lambda: data, pairs=True)
    assert (
        labelled(task, data, "test").score(computed(task, lively_encoder)[WORDS].predictions["test"]) == 1.0
    )  # no single text tells


def test_a_word_has_its_most_frequent_tag(lively_encoder: Encoder) -> None:
    names = bio_labels(["PER"])
    b, o = names.index("B-PER"), names.index("O")
    sentence = [TaggedExample(("Anna", "runs"), (b, o))] * 3 + [TaggedExample(("Anna",), (o,))]
    data = TaskData(tuple(sentence), tuple(sentence), (TaggedExample(("Anna", "new", "runs"), (b, o, o)),))
    task = Task("tags", "tagging", names, "entity_f1", "en", "", load=lambda: data)
    assert computed(task, lively_encoder)[WORDS].predictions["test"].tolist() == [b, o, o]
