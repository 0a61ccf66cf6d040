"""doccode: marks become tags, spelling alone does not solve it, no repeats, reproducible."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from stableft.core.errors import MissingInput
from stableft.tasks import TaggedExample, TaskData, doccode
from stableft.tasks.catalog import get_task
from stableft.tasks.readers.docstrings import Docstring
from stableft.tasks.scores import evaluate

PLAIN = "Give the ``wug`` of this box to whoever has asked."


@pytest.fixture(scope="module")
def data(parsed_once: None) -> TaskData:
    return doccode.load_doccode()


def show(example: TaggedExample | None) -> str:
    assert example is not None
    return " ".join(word + ("", "/B", "/I")[tag] for word, tag in zip(example.words, example.tags, strict=True))


def f1(examples: tuple[TaggedExample, ...], predictions: list[list[int]]) -> float:
    offsets = np.cumsum([0, *(len(example.tags) for example in examples)])
    labels = np.concatenate([example.tags for example in examples])
    return evaluate("entity_f1", labels, np.concatenate(predictions), offsets=offsets, names=doccode.LABELS)


def test_sizes_and_marks(data: TaskData) -> None:
    splits = (data.train, data.validation, data.test)
    assert [len(split) for split in splits] == [1000, 277, 1000]
    for split in splits:
        assert all(8 <= len(example.words) <= 40 and 1 in example.tags for example in split)
        assert not {"`", "*", "\\", "|"} & {character for e in split for word in e.words for character in word}
        assert 1.3 < sum(example.tags.count(1) for example in split) / len(split) < 1.7


def test_spelling_alone_does_not_give_the_tags(data: TaskData) -> None:
    def rule(words: tuple[str, ...]) -> list[int]:
        return [int(doccode.telling(w) or words[i + 1 : i + 3] == ("(", ")")) for i, w in enumerate(words)]

    assert 0.1 < f1(data.test, [rule(example.words) for example in data.test]) < 0.25


def test_nor_do_words_as_they_were_seen(data: TaskData) -> None:
    counts: dict[str, list[int]] = {}
    for example in data.train:
        for word, tag in zip(example.words, example.tags, strict=True):
            counts.setdefault(word, [0, 0, 0])[tag] += 1
    seen = {word: int(np.argmax(count)) for word, count in counts.items()}
    assert 0.4 < f1(data.test, [[seen.get(word, 0) for word in example.words] for example in data.test]) < 0.55


def test_no_sentence_is_there_twice_not_even_with_a_word_changed(data: TaskData) -> None:
    owners: dict[tuple[str, ...], TaggedExample] = {}
    for example in data.train + data.validation + data.test:
        words = [word.casefold() for word in example.words]
        for run in zip(*(words[i:] for i in range(10)), strict=False):
            if all(word.isalpha() for word in run):
                assert owners.setdefault(run, example) is example


def test_the_task_is_registered() -> None:
    (task,) = doccode.TASKS
    assert get_task("doccode") is task
    assert (task.kind, task.labels, task.score) == ("tagging", ("O", "B-code", "I-code"), "entity_f1")


def test_reading_depends_on_no_hash_order_and_imports_no_package() -> None:
    few = ("networkx/algorithms/flow", "seaborn", "torch/optim")
    env = dict(os.environ, PYTHONHASHSEED="1" if os.environ.get("PYTHONHASHSEED") != "1" else "2")
    code = (
        "import json, sys; from stableft.tasks import doccode; "
        f"print(json.dumps([[e.row for e in doccode.read_sentences({few})], [*sys.modules]]))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    rows, modules = json.loads(done.stdout)
    assert rows == [[list(e.words), list(e.tags)] for e in doccode.read_sentences(few)]
    assert len(rows) > 50
    assert {"networkx", "seaborn", "torch"}.isdisjoint(modules)


@pytest.mark.parametrize(
    ("text", "unmarked", "marked"),
    [
        ("Use ``wug``.", "Use wug.", ["wug"]),
        ("``a b`` and :class:`~pkg.mod.Box`", "a b and Box", ["a b", "Box"]),
        (":py:func:`pkg.open`, :meth:`.Box.fill`", "pkg.open, Box.fill", ["pkg.open", "Box.fill"]),
        (":obj:`the box <pkg.Box>`", "the box", ["the box"]),
        ("`single` and :math:`x`", "`single` and :math:`x`", []),
    ],
)
def test_marks_vanish(text: str, unmarked: str, marked: list[str]) -> None:
    found = doccode.unmark(text)
    assert found.text == unmarked
    assert [found.text[first:last] for first, last in found.ranges] == marked


def test_blocks_and_sentences_by_hand() -> None:
    doc = "Give a box.\n\n    wug : int\n        Take the ``wug``, as others do. Then ``zib`` it,\n        or ``pob`` it! Or not.\n"
    found = [sentence for block in doccode.blocks(doc) for sentence in doccode.sentences(block)]
    assert [(s.text, [s.text[a:b] for a, b in s.ranges]) for s in found] == [
        ("Take the wug, as others do.", ["wug"]),
        ("Then zib it, or pob it!", ["zib", "pob"]),
    ]


@pytest.mark.parametrize(
    ("text", "tagged"),
    [
        (PLAIN, "Give the wug/B of this box to whoever has asked ."),
        ("Take (``wug``), ``zib pob`` or the box's ``lid``.", "Take ( wug/B ) , zib/B pob/I or the box's lid/B ."),
        ("``wug`` ``zib`` may be 'off' or ``'on'`` here.", "wug/B zib/B may be ' off ' or '/B on/I '/I here ."),
        ("Put a ``wug_zib`` and a ``pob`` in the box.", "Put a wug_zib/B and a pob/B in the box ."),
    ],
)
def test_tags_by_hand(text: str, tagged: str) -> None:
    (sentence,) = doccode.sentences(text)
    assert show(doccode.tag(sentence)) == tagged


@pytest.mark.parametrize(
    "text",
    [
        "Put a ``wug_zib`` in the box of that.",  # all of it is telling
        "Put a ``wug.zib`` and a ``b`` in the ``box``.",
        "Put ``wug``s in the box of that one.",  # part of a word
        "Give ``wug zib pob lub`` to whoever has asked.",  # too long
        "Give the ``wug`` away now.",
        "Give the ``wug`` " + "away and " * 20 + "stop.",
    ],
)
def test_what_does_not_fit(text: str) -> None:
    (sentence,) = doccode.sentences(text)
    assert doccode.tag(sentence) is None


@pytest.mark.parametrize(
    "text",
    [
        PLAIN.replace("``", ""),
        PLAIN.replace("box", "`box`"),
        PLAIN.replace("box", "*box*"),
        PLAIN.replace("box", ":math:`box`"),
        PLAIN.replace("``wug``", "``wug = 1``"),
        PLAIN.replace("Give", "give"),
        PLAIN.removesuffix("."),
        ">>> " + PLAIN,
        "- " + PLAIN,
    ],
)
def test_what_is_no_sentence(text: str) -> None:
    assert list(doccode.sentences(text)) == []


@pytest.mark.parametrize(
    ("word", "is_telling"), [("wug", False), ("Wug", False), ("a", False), ("I", False), ("NASA", False), ("Box's", False),
                             ("x", True), ("wug_zib", True), ("wugZib", True), ("wug.zib", True), ("wug2", True)]
)  # fmt: skip
def test_telling_words(word: str, is_telling: bool) -> None:
    assert doccode.telling(word) is is_telling


def test_too_few_sentences_are_said_with_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doccode, "read_docstrings", lambda source: iter([Docstring("a.py", "f", PLAIN)]))
    with pytest.raises(MissingInput, match=r"doccode: .*sympy.* give 1 sentences, 2277 are needed.*requirements\.lock"):
        doccode.load_doccode()
