"""docs15 and docpair: balanced, without leaks and shortcuts, the same in every process.

No package is imported to make them.
"""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from stableft.core.errors import MissingInput
from stableft.tasks import TaskData, docs

DOCS15, DOCPAIR = docs.TASKS
PART = """
import json, sys
from stableft.tasks import docs
docs.TOPICS = {topic: docs.TOPICS[topic] for topic in ("signals", "geometry", "neural-networks")}
docs.DOCS15_TRAIN, docs.VALIDATION_PER_TOPIC, docs.DOCPAIR_SIZES = 200, 20, (90, 26, 50)
prints = [load().fingerprint for load in (docs.load_docs15, docs.load_docpair)]
print(json.dumps([prints, sorted(name for name in sys.modules if "." not in name)]))
"""


@pytest.fixture(scope="module")
def docs15(parsed_once: None) -> TaskData:
    return docs.load_docs15()


@pytest.fixture(scope="module")
def docpair(parsed_once: None) -> TaskData:
    return docs.load_docpair()


def test_docs15_is_balanced(docs15: TaskData) -> None:
    assert len(DOCS15.labels) == 15
    train, validation = (Counter(e.label for e in split) for split in (docs15.train, docs15.validation))
    assert len(docs15.train) == 1000
    assert sorted(train.values()) == [66] * 5 + [67] * 10
    assert len(docs15.validation) >= 2000
    assert set(validation.values()) == {docs.VALIDATION_PER_TOPIC}
    assert set(train) == set(validation) == set(range(15))
    assert docs15.test == ()


def test_docs15_texts_are_short_unique_and_name_no_label(docs15: TaskData) -> None:
    texts = [e.text for e in docs15.train + docs15.validation]
    assert len({text.casefold() for text in texts}) == len(texts)
    assert all(4 <= len(text.split()) <= 16 and text.isascii() for text in texts)
    phrases = "|".join(re.escape(label.replace("-", " ")) for label in DOCS15.labels)
    given_away = re.compile(rf"\b({phrases}|scipy|numpy|torch|sympy|pandas|matplotlib|networkx)\b", re.IGNORECASE)
    assert [text for text in texts if given_away.search(text)] == []


@pytest.mark.parametrize("label", docs.TOPICS)
def test_every_label_counts_as_a_label_word(label: str) -> None:
    phrase = label.replace("-", " ")
    assert docs.LABEL_WORDS.search(f"Return {phrase} of this")
    assert docs.LABEL_WORDS.search(f"Return {phrase.removesuffix('s') if phrase != 'physics' else phrase} of this")


def test_docpair_is_balanced(docpair: TaskData) -> None:
    sizes = [len(split) for split in (docpair.train, docpair.validation, docpair.test)]
    assert sizes == [2490, 277, 1000]
    assert DOCPAIR.labels == ("mismatch", "match")
    assert [sum(e.label for e in split) for split in (docpair.train, docpair.validation, docpair.test)] == [1245, 138, 500]


def test_docpair_uses_each_summary_and_each_name_once(docpair: TaskData) -> None:
    examples = docpair.train + docpair.validation + docpair.test
    assert len({e.text.casefold() for e in examples}) == len({e.pair for e in examples}) == len(examples)
    assert all(4 <= len(e.text.split()) <= 9 and e.pair and len(e.pair.split()) <= 6 for e in examples)


def test_docpair_is_not_solved_by_shared_words(docpair: TaskData) -> None:
    for split in (docpair.train, docpair.validation, docpair.test):
        hits = [(docs.shared_words(e.pair or "", e.text) > 0) == (e.label == 1) for e in split]
        assert sum(hits) / len(hits) < 0.66


def test_loading_depends_on_no_hash_order_and_imports_no_package() -> None:
    """Both tasks made of a part of the subjects, and smaller: parsing all of them twice would take 15 s."""
    answers = []
    for seed in "12":
        env = dict(os.environ, PYTHONHASHSEED=seed)
        done = subprocess.run([sys.executable, "-c", PART], env=env, capture_output=True, text=True, check=True)
        answers.append(json.loads(done.stdout))
    assert answers[0] == answers[1]
    packages = {source.partition("/")[0] for sources in docs.TOPICS.values() for source in sources} - {"numpy"}
    assert packages.isdisjoint(answers[0][1])


def write_package(root: Path, name: str) -> None:
    (root / name / "tests").mkdir(parents=True)
    (root / name / "tests" / "extra.py").write_text('def helper():\n    """Never read this one."""\n')
    (root / name / "__init__.py").write_text('raise RuntimeError("imported")\n')
    (root / name / "b.py").write_text(
        'def later():\n    """\n    Compute the :func:`~x.fast`\n    norm of ``vec``. More.\n\n    Even more.\n    """\n'
        'def _hidden():\n    """Private."""\n'
        "def undocumented():\n    pass\n"
    )
    (root / name / "a.py").write_text(
        'class Box:\n    """A box, e.g. a crate: heavy"""\n'
        '    def open(self):\n        """Open it"""\n        def inner():\n            """Local."""\n'
        '    def _shut(self):\n        """Private."""\n'
        'class _Crate:\n    """Private."""\n    def lift(self):\n        """Public method of a private class."""\n'
        'add_newdoc("pkg.a", "ufunc", """Elementwise something.""")\n'
        'add_newdoc("pkg.a", "_ufunc", """Private.""")\n'
    )


def test_read_docs_finds_public_definitions_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_package(tmp_path, "stableft_docs_sample")
    monkeypatch.syspath_prepend(str(tmp_path))
    found = [(doc.file.partition("/")[2], doc.name, doc.summary) for doc in docs.read_docs("stableft_docs_sample")]
    assert found == [
        ("a.py", "Box", "A box, e.g. a crate"),
        ("a.py", "Box.open", "Open it"),
        ("a.py", "ufunc", "Elementwise something"),
        ("b.py", "later", "Compute the x.fast norm of vec"),
    ]
    assert [doc.name for doc in docs.read_docs("stableft_docs_sample/b*.py")] == ["later"]


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingInput, match=r"'no_such_package_here'.*requirements\.lock"):
        docs.read_docs("no_such_package_here/sub")
    monkeypatch.setattr(docs, "TOPICS", {"nothing": ("no_such_package_here",)})
    with pytest.raises(MissingInput, match="no_such_package_here"):
        docs.sources()


def test_too_few_summaries_is_said_with_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docs, "_documented", lambda: {topic: () for topic in docs.TOPICS})
    with pytest.raises(MissingInput, match=r"docs15.*networkx give 0 summaries on graphs, 242 are needed.*requirements\.lock"):
        docs.load_docs15()
    with pytest.raises(MissingInput, match=r"docpair.*give 0 couples"):
        docs.load_docpair()


def test_sources_name_the_distributions() -> None:
    versions = docs.sources()
    assert list(versions) == sorted(versions)
    assert {"scikit-learn", "pillow", "scipy", "torch"} <= set(versions)


@pytest.mark.parametrize(
    ("name", "words"),
    [("DataFrame.to_csv", "data frame to csv"), ("Polynomial.roots", "polynomial roots"), ("HTTPServer", "http server")],
)
def test_readable(name: str, words: str) -> None:
    assert docs.readable(name) == words


def test_shared_words_compares_stems() -> None:
    assert docs.shared_words("poly roots", "Compute the root of a polynomial") == 2
    assert docs.shared_words("get edge", "Return the colour of a face") == 0


def test_what_is_kept_is_what_was_made(docs15: TaskData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []
    load = docs.kept("docs15", lambda: made.append("once") or docs15)
    assert load() == load() == docs15
    assert made == ["once"]


def test_other_packages_are_read_anew(docs15: TaskData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made = []
    load = docs.kept("docs15", lambda: made.append("again") or docs15)
    load()
    monkeypatch.setattr(docs, "sources", lambda: {"numpy": "0.0"})
    load()
    assert made == ["again", "again"]


@pytest.mark.parametrize("source", [b"def (:\n", b"x = '\xff'\n", b"\0", b"(" * 5000, b"-" * 100_000 + b"1"])
def test_a_damaged_package_is_named(source: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "damagedpackage").mkdir()
    (tmp_path / "damagedpackage" / "__init__.py").write_bytes(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingInput, match=r"damagedpackage/__init__\.py can't be read \(.+\); install its package again"):
        docs.read_docs("damagedpackage")
