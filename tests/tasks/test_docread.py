"""docread: plain prose only, labels checked by hand, no repeats, the same in every process."""

import json
import os
import re
import statistics
import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stableft.core.errors import MissingInput
from stableft.tasks import TaskData, docread
from stableft.tasks.catalog import get_task
from stableft.tasks.readers.docstrings import Docstring
from stableft.tasks.scores import SCORES

LONG = "This invented sentence has ten words and ends right here. " * 3


@pytest.fixture(scope="module")
def data(parsed_once: None) -> TaskData:
    return docread.load_docread()


def test_sizes_and_labels(data: TaskData) -> None:
    splits = (data.train, data.validation, data.test)
    assert [len(split) for split in splits] == [1000, 277, 1000]
    for split in splits:
        labels = [float(e.label) for e in split]
        assert abs(statistics.mean(labels)) < 0.1
        assert 0.9 < statistics.stdev(labels) < 1.1
        assert all(e.label == docread.ease(e.text) and e.pair is None for e in split)


def test_the_task_is_registered_with_a_score_that_exists() -> None:
    (task,) = docread.TASKS
    assert (task.kind, task.labels, SCORES[task.score].name) == ("regression", (), "spearman")
    assert get_task("docread") is task


def test_texts_are_prose(data: TaskData) -> None:
    texts = [e.text for split in (data.train, data.validation, data.test) for e in split]
    assert all(text.isascii() and 25 <= len(text.split()) <= 90 for text in texts)
    assert not [text for text in texts if re.search(r"[`_=<>{}\[\]\\$|*]|>>>|\n", text)]


def test_no_paragraph_is_there_twice_not_even_with_a_word_changed(data: TaskData) -> None:
    """Ten words in a row shared by two paragraphs would be eight by the module's own count of words."""
    owners: dict[tuple[str, ...], str] = {}
    for example in data.train + data.validation + data.test:
        words = example.text.split()
        for run in zip(*(words[i:] for i in range(10)), strict=False):
            assert owners.setdefault(run, example.text) == example.text


def test_length_alone_does_not_give_the_label(data: TaskData) -> None:
    labels, lengths = ([float(e.label) for e in data.test], [float(len(e.text.split())) for e in data.test])
    assert abs(pd.Series(labels).corr(pd.Series(lengths), method="spearman")) < 0.15


def test_reading_depends_on_no_hash_order_and_imports_no_package() -> None:
    few = ("networkx/algorithms", "seaborn", "torch/optim")
    env = dict(os.environ, PYTHONHASHSEED="1" if os.environ.get("PYTHONHASHSEED") != "1" else "2")
    code = (
        f"import json, sys; from stableft.tasks import docread; print(json.dumps([docread.read_paragraphs({few}), [*sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    texts, modules = json.loads(done.stdout)
    assert texts == docread.read_paragraphs(few)
    assert len(texts) > 100
    assert {"networkx", "seaborn", "torch"}.isdisjoint(modules)


@pytest.mark.parametrize(
    ("text", "characters", "words", "sentences"),
    [
        ("The cat sat. The dog ran away.", 22, 7, 2),
        ("It has 2 parts, e.g. Tables and (often) lists!", 2 + 3 + 1 + 5 + 2 + 6 + 3 + 5 + 5, 9, 1),
        ('Does it stop? "Yes." It does.', 4 + 2 + 4 + 3 + 2 + 4, 6, 3),
        ("We use x. Then we add 1.", 2 + 3 + 1 + 4 + 2 + 3 + 1, 7, 2),
        ("Smith et al. Show it, cf. Jones.", 5 + 2 + 2 + 4 + 2 + 2 + 5, 7, 1),
    ],
)
def test_the_index_by_hand(text: str, characters: int, words: int, sentences: int) -> None:
    index = 4.71 * (characters / words) + 0.5 * (words / sentences) - 21.43
    assert docread.readability_index(text) == pytest.approx(index, abs=1e-12)
    assert docread.ease(text) == pytest.approx((12 - index) / 4.5, abs=1e-12)


@given(st.lists(st.sampled_from(["hat", "window", "remembering"]), min_size=3, max_size=20), st.data())
def test_longer_words_and_sentences_are_harder(words: list[str], draw: st.DataObject) -> None:
    text = " ".join(words) + "."
    at = draw.draw(st.integers(1, len(words) - 1))
    split = " ".join(words[:at]) + ". A" + " ".join(words[at:])[1:] + "."
    assert docread.ease(split) > docread.ease(text)
    longer = " ".join([words[0] + "s", *words[1:]]) + "."
    assert docread.ease(longer) < docread.ease(text)


def test_prose_loses_its_marks_only() -> None:
    text = "Use the :class:`~pkg.Box` with ``open`` set, as *others* do [1]_. " + LONG
    assert docread.prose(text.replace("~pkg.Box", "Box").replace(". ", ".\n")) == (
        "Use the Box with open set, as others do. " + LONG.strip()
    )


@pytest.mark.parametrize(
    "paragraph",
    [
        "Too short to be one.",
        LONG * 4,
        LONG + "And an end without a stop",
        LONG + "\n    Indented, as a parameter's description is.",
        "- " + LONG,
        "1. " + LONG,
        ".. note:: " + LONG,
        ">>> call()\n" + LONG,
        "Notes\n-----\n" + LONG,
        LONG + "An example follows::",
        LONG + "It returns some_value.",
        LONG + "Call box.open first.",
        LONG + "It is a dataFrame.",
        LONG + "Then a = b holds.",
        LONG + "For more see [2]_.",
        LONG + "Then a b c d e f g h j k l m.",
        "lower case at first, " + LONG,
        LONG + "Caf\u00e9s.",
    ],
)
def test_what_is_no_prose(paragraph: str) -> None:
    assert docread.prose(paragraph) is None


def test_of_texts_that_share_eight_words_the_first_stays() -> None:
    a, b = "One two three four five six seven eight.", "Zero one two three four five six seven eight nine."
    assert docread.apart([b, "Other words.", a, a]) == [a, "Other words."]
    assert docread.apart([b, a.replace("eight", "nine")]) == [a.replace("eight", "nine"), b]


def test_too_few_paragraphs_are_said_with_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docread, "read_docstrings", lambda source: iter([Docstring("a.py", "f", "Nothing.\n\n" + LONG)]))
    with pytest.raises(MissingInput, match=r"docread: .*sympy.* give 1 paragraphs, 2277 are needed.*requirements\.lock"):
        docread.load_docread()
