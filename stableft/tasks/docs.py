"""docs15 and docpair: two real-text tasks made from docstrings of installed packages.

Nothing is downloaded. A *summary* is the first sentence of the docstring of a public function,
class or method (test, benchmark and vendored folders left out). It must be plain ASCII English: no
identifiers, formulas or "see ...". The examples depend on the package versions only (`sources`);
requirements.lock pins them.

``docs15`` mirrors TNEWS-1k: from which of 15 subjects does a summary of 4 to 16 words come? There
are 1,000 training examples (66 or 67 for each subject), 2,625 for validation (175 each), and no
test split; 12.3 WordPiece tokens on average, 36 at most. Summaries that name a library or any
label, or that two subjects share, are left out. Logistic regression (C=10) on the mean-pooled,
normalised output of the frozen MiniLM encoder, fitted on the training split, has an accuracy of
0.675 on validation. Fine-tuning for 3 epochs (batch 16, 1e-4, one seed) reaches 0.614, still
rising. The 15 subjects were chosen from 26 candidates for being subjects, guided by a probe of 25.
They are not the 15 easiest to tell apart: images, plotting and tables are weakest, with 0.46, 0.43
and 0.55 of their examples right.

``docpair`` mirrors RTE (binary, 2,490 / 277 examples; 1,000 for test): does a summary of 4 to 9
words describe the function of this name, written as words? Half do. Each summary and each name is
used once over all splits. In a mismatch two functions of the same file have exchanged their
summaries. Both halves of the exchange are in the same split, but the second half of the last couple
may be left out. Functions are left out if their whole name is in the summary, and mismatches prefer
couples that share words. So "any shared word means match" (`shared_words`) has an accuracy of only
0.62 on train, 0.63 on validation and 0.61 on test. Fine-tuning for 3 epochs (batch 32, 1e-4, one
seed) reaches 0.689 on validation and test together. There are 15.9 tokens on average, 38 at most.
Mismatches are not checked by hand: some exchanged summaries fit both functions.

Both tasks are read by MiniLM-L6 at laptop, which is all-MiniLM-L6-v2. It was trained contrastively
on sentence pairs, of which 1,151,414 are of code and its description (CodeSearchNet). docpair is
close to that training, so what holds there may not hold for an encoder that never saw such pairs.
"""

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from itertools import chain
from pathlib import Path

import numpy as np

from stableft.core import seeds
from stableft.core.errors import MissingInput
from stableft.core.files import cached
from stableft.core.seeds import stream
from stableft.tasks import Example, Task, TaskData
from stableft.tasks.readers import docstrings
from stableft.tasks.readers.docstrings import ROLE, read_docstrings, without_collection
from stableft.tasks.readers.example_cache import load_or_make

# Subject -> its sub-packages or files (patterns ending in .py); labels are in this order.
TOPICS: dict[str, tuple[str, ...]] = {
    "graphs": ("networkx/algorithms", "networkx/generators", "networkx/classes", "networkx/linalg", "networkx/drawing"),
    "statistics": ("scipy/stats", "sympy/stats", "torch/distributions"),
    "signals": ("scipy/signal", "scipy/fft", "scipy/fftpack", "numpy/fft"),
    "geometry": ("sympy/geometry", "scipy/spatial"),
    "linear-algebra": ("scipy/linalg", "scipy/sparse", "numpy/linalg", "sympy/matrices"),
    "polynomials": ("sympy/polys", "numpy/polynomial"),
    "special-functions": ("scipy/special", "sympy/functions", "mpmath"),
    "optimisation": ("scipy/optimize", "scipy/_lib/cobyqa", "scipy/_lib/pyprima", "torch/optim"),
    "physics": ("sympy/physics",),
    "neural-networks": ("torch/nn",),
    "machine-learning": ("sklearn",),
    "text-generation": ("transformers/generation", "transformers/cache_utils.py", "transformers/tokenization_*.py"),
    "images": ("PIL", "scipy/ndimage", "transformers/image_*.py", "transformers/models/*/image_processing_*.py"),
    "plotting": ("matplotlib", "seaborn"),
    "tables": ("pandas/core",),
}
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn"}
"""Import name -> distribution name where the two differ."""

LIBRARY_WORDS = re.compile(
    r"\b(numpy|np|scipy|networkx|nx|matplotlib|mpl|pyplot|seaborn|pandas|sympy|mpmath|torch|pytorch"
    r"|transformers|tokenizers|hugging|huggingface|sklearn|scikit|pyarrow|arrow|pil|pillow|axes|dataframe|series)\b",
    re.IGNORECASE,
)
LABEL_WORDS = re.compile(
    r"\b(graphs?|statistics?|signals?|geometr(y|ies|ic)|linear algebra|polynomials?|special functions?|optimi[sz]ations?"
    r"|physics|neural networks?|machine learning|text generation|images?|plot(s|ting)?|tables?)\b",
    re.IGNORECASE,
)
PLAIN_ENGLISH = re.compile(r"[A-Z][A-Za-z0-9 ,'()/;+-]*")
NOT_PLAIN = re.compile(r"[a-z][A-Z]|\bdeprecated\b|\btodo\b|\bsee\b|\bdocstring\b")
STOP_WORDS = re.compile(r"a|an|the|of|to|for|in|on|from|by|and|or|is|as|with|at|be|it|its|this|that|if|get|set")
DOCS15_TRAIN = 1000
VALIDATION_PER_TOPIC = 175
DOCPAIR_SIZES = (2490, 277, 1000)

SENTENCE_END = re.compile(r"(?<=[^.\s][^.\s])[.!?:](?=\s|$)")


@dataclass(frozen=True, slots=True)
class Doc:
    """A documented public definition.

    Attributes:
        file: Its file, relative to site-packages.
        name: Its name inside the file.
        summary: First sentence of its docstring.
    """

    file: str
    name: str
    summary: str


def first_sentence(docstring: str) -> str:
    """Returns the first sentence of a docstring's first paragraph, in one line.

    RST roles, backticks, asterisks and the final full stop are removed.
    """
    text = " ".join(re.split(r"\n\s*\n", docstring.strip(), maxsplit=1)[0].split())
    text = re.sub(r"[`*]", "", ROLE.sub(r"\1", text))
    end = SENTENCE_END.search(text)
    return (text[: end.start()] if end else text).strip(" .")


def read_docs(source: str) -> list[Doc]:
    """Returns the summaries of `read_docstrings`, in its order."""
    return [Doc(doc.file, doc.name, first_sentence(doc.text)) for doc in read_docstrings(source)]


def is_plain(summary: str) -> bool:
    """Returns True for one line of ASCII English without identifiers, formulas or references."""
    return PLAIN_ENGLISH.fullmatch(summary) is not None and NOT_PLAIN.search(summary) is None


def gives_no_topic_away(summary: str) -> bool:
    """Returns True for 4 to 16 plain words without a library's name or any of the 15 labels."""
    return (
        4 <= len(summary.split()) <= 16
        and is_plain(summary)
        and LABEL_WORDS.search(summary) is None
        and LIBRARY_WORDS.search(summary) is None
    )


@cache
def _documented() -> dict[str, tuple[Doc, ...]]:
    """Reads all documented public definitions of each topic's sources.

    They are in order of source, path and line.
    """
    with without_collection():
        return {topic: tuple(chain.from_iterable(map(read_docs, sources))) for topic, sources in TOPICS.items()}


def short_of(task: str, things: str, count: int, needed: int, packages: Iterable[str]) -> MissingInput:
    """Returns the error for packages whose docstrings give too few examples."""
    return MissingInput(
        f"{task}: the docstrings of {', '.join(sorted(packages))} give {count} {things}, {needed} are needed; "
        f"the installed versions are not the pinned ones: pip install -r requirements.lock"
    )


def _packages(*topics: str) -> set[str]:
    return {source.partition("/")[0] for topic in topics for source in TOPICS[topic]}


def sources() -> dict[str, str]:
    """Returns the versions of the packages that docstrings are read from.

    Returns:
        Distribution name -> version, sorted by name.

    Raises:
        MissingInput: A package is not installed.
    """
    versions: dict[str, str] = {}
    for distribution in sorted(DISTRIBUTIONS.get(package, package) for package in _packages(*TOPICS)):
        try:
            versions[distribution] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            raise MissingInput(f"package {distribution!r} is not installed: pip install -r requirements.lock") from None
    return versions


def _topic_pools() -> dict[str, list[str]]:
    """Returns the usable summaries of each topic, in alphabetical order.

    A summary shared by two topics is in neither.
    """
    pools = {
        topic: {doc.summary.casefold(): doc.summary for doc in reversed(docs) if gives_no_topic_away(doc.summary)}
        for topic, docs in _documented().items()
    }
    topics_with = Counter(chain.from_iterable(pools.values()))
    return {topic: [pool[key] for key in sorted(pool) if topics_with[key] == 1] for topic, pool in pools.items()}


def load_docs15() -> TaskData:
    """Draws 1,000 training and 15 x `VALIDATION_PER_TOPIC` validation examples.

    Both splits are balanced; there is no test split.

    Raises:
        MissingInput: A package is not installed, or a topic has too few summaries.
    """
    rng = stream(0, "docs15")
    train: list[Example] = []
    validation: list[Example] = []
    for label, (topic, pool) in enumerate(_topic_pools().items()):
        quota = len(range(label, DOCS15_TRAIN, len(TOPICS)))  # 67 for the first ten topics, else 66
        if len(pool) < quota + VALIDATION_PER_TOPIC:
            raise short_of("docs15", f"summaries on {topic}", len(pool), quota + VALIDATION_PER_TOPIC, _packages(topic))
        examples = [Example(pool[i], None, label) for i in rng.permutation(len(pool))]
        train += examples[:quota]
        validation += examples[quota : quota + VALIDATION_PER_TOPIC]
    return TaskData(_shuffled(train, rng), _shuffled(validation, rng))


def _shuffled(examples: Sequence[Example], rng: np.random.Generator) -> tuple[Example, ...]:
    return tuple(examples[i] for i in rng.permutation(len(examples)))


def readable(name: str) -> str:
    """Writes a dotted identifier as words: ``DataFrame.to_csv`` -> ``data frame to csv``."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[._]+", " ", name)
    return " ".join(spaced.lower().split())


def shared_words(name: str, summary: str) -> int:
    """Counts the words of a readable name that occur in a summary.

    Two words are the same if the shorter (of 3 letters or more) begins the longer, or if they share
    their first 5 letters.
    """
    theirs = _content_words(summary)
    return sum(any(_same_stem(word, other) for other in theirs) for word in _content_words(name))


def _content_words(text: str) -> list[str]:
    return [word for word in re.findall(r"[a-z0-9]+", text.lower()) if STOP_WORDS.fullmatch(word) is None]


def _same_stem(a: str, b: str) -> bool:
    short, long = sorted((a, b), key=len)
    return len(short) >= 3 and (long.startswith(short) or (len(short) >= 5 and long[:5] == short[:5]))


def _coincide(name: str, summary: str) -> bool:
    """Returns True if every word of the name is in the summary.

    String matching alone would then call the two a match.
    """
    return shared_words(name, summary) >= len(_content_words(name))


def _pair_groups() -> list[list[tuple[str, str]]]:
    """Returns (readable name, summary) of each usable function, grouped by file.

    No name and no summary occurs twice.
    """
    names: set[str] = set()
    summaries: set[str] = set()
    groups: dict[str, list[tuple[str, str]]] = {}
    for doc in sorted(chain.from_iterable(_documented().values()), key=lambda doc: (doc.file, doc.name, doc.summary)):
        name, key = readable(doc.name), doc.summary.casefold()
        fits = 4 <= len(key.split()) <= 9 and len(name.split()) <= 6 and is_plain(doc.summary)
        if fits and name not in names and key not in summaries and not _coincide(name, doc.summary):
            names.add(name)
            summaries.add(key)
            groups.setdefault(doc.file, []).append((name, doc.summary))
    return list(groups.values())


def _couples(group: list[tuple[str, str]], rng: np.random.Generator) -> Iterator[tuple[tuple[str, str], tuple[str, str]]]:
    """Yields couples of functions of one file.

    Each function is paired with the free one whose exchanged summaries share the most words.
    """
    free = [group[i] for i in rng.permutation(len(group))]
    while len(free) > 1:
        one = free.pop()
        other = max(range(len(free)), key=lambda i: _exchange_score(one, free[i]))
        yield one, free.pop(other)


def _exchange_score(one: tuple[str, str], other: tuple[str, str]) -> int:
    crossed = ((one[0], other[1]), (other[0], one[1]))
    return -1 if any(_coincide(*pair) for pair in crossed) else sum(min(1, shared_words(*pair)) for pair in crossed)


def load_docpair() -> TaskData:
    """Draws 2,490 / 277 / 1,000 examples from couples, without replacement.

    Half of each split are matches (138 of the 277).

    Raises:
        MissingInput: A package is not installed, or there are too few couples.
    """
    rng = stream(0, "docpair")
    couples = [couple for group in _pair_groups() for couple in _couples(group, rng)]
    couples = [couple for couple in couples if _exchange_score(*couple) >= 0]
    needed = sum(2 * -(-size // 4) for size in DOCPAIR_SIZES)
    if len(couples) < needed:
        raise short_of("docpair", "couples of functions", len(couples), needed, _packages(*TOPICS))
    order = iter(rng.permutation(len(couples)).tolist())
    splits: list[tuple[Example, ...]] = []
    for size in DOCPAIR_SIZES:
        mismatches, matches = ([couples[next(order)] for _ in range(-(-size // 4))] for _ in range(2))
        wrong = [Example(b[1], a[0], 0) for one, other in mismatches for a, b in ((one, other), (other, one))]
        right = [Example(summary, name, 1) for couple in matches for name, summary in couple]
        splits.append(_shuffled(wrong[: (size + 1) // 2] + right[: size // 2], rng))
    return TaskData(*splits)


def kept(task: str, make: Callable[[], TaskData], *code_files: str) -> Callable[[], TaskData]:
    """Wraps a task's loader so that its examples are cached on disk.

    Parsing the packages takes seconds. The cache is valid for the same packages, Python version and
    code.

    Args:
        task: First part of the cache file's name.
        make: Makes the examples.
        code_files: Source files that affect the examples, besides this module and those it reads
            and draws with.
    """

    def load() -> TaskData:
        code = hashlib.sha256(
            b"".join(Path(file).read_bytes() for file in (__file__, docstrings.__file__, seeds.__file__, *code_files))
        ).hexdigest()
        recipe = json.dumps([sources(), sys.version_info[:2], code])
        return load_or_make(cached(f"{task}-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}.json"), make)

    return load


TASKS = (
    Task(
        name="docs15",
        kind="classification",
        labels=tuple(TOPICS),
        score="accuracy",
        language="en",
        summary="One-line API summaries of installed packages, 15 subjects; 1,000 training examples, no download",
        load=kept("docs15", load_docs15),
    ),
    Task(
        name="docpair",
        kind="classification",
        labels=("mismatch", "match"),
        score="accuracy",
        language="en",
        summary="Does this one-line summary describe this function? 2,490 training examples, no download",
        load=kept("docpair", load_docpair),
        pairs=True,
    ),
)
