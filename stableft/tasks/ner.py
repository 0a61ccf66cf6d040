"""Chinese named entities: CLUENER2020 (Xu et al., 2020) and ResumeNER (Zhang & Yang, 2018).

Each character is a word.

``cluener``: news with ten kinds of entities, in CLUE's JSON lines; a span's end is its last
character. CLUE does not publish the labels of its test file, so the official development set is
halved, like those of GLUE. Its 1,343 sentences are put in a fixed random order; 671 are for
validation and 672 for test. They are not stratified, because a sentence has entities of many kinds.
Results on halves are not comparable with the leaderboard. Of two nested entities the outer one
counts, as a tag can name only one. There are two such nestings in the training file, both in one
sentence, and none in the development file. Any other overlap is an error; there is none.

``resume_ner``: Chinese résumés with eight kinds of entities, in the authors' BMES files. These are
the official splits. Two sentences of the training file end inside an entity; each part counts as an
entity. Repeats in the files are kept: five test sentences and one development sentence are also in
the training file, one sentence is in both the development and the test file, 18 are repeated within
the training file and one within the test file.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from stableft.core.errors import MissingInput, quoted
from stableft.core.seeds import stream
from stableft.tasks import TAGGING_METRICS, TaggedExample, Task, TaskData, bio_labels
from stableft.tasks.readers.corpus_files import DATA_VARIABLE, Record, find_local, read_lines, text
from stableft.tasks.readers.tag_columns import read_tagged, to_examples

CLUENER_KINDS = ("address", "book", "company", "game", "government", "movie", "name", "organization", "position", "scene")
RESUME_KINDS = ("CONT", "EDU", "LOC", "NAME", "ORG", "PRO", "RACE", "TITLE")
CLUENER_FOLDERS = ("cluener", "cluener_public")
RESUME_FOLDERS = ("resume_ner", "ResumeNER")
CLUENER_FILES = ("train.json", "dev.json")
RESUME_FILES = ("train.char.bmes", "dev.char.bmes", "test.char.bmes")

Span = tuple[int, int, str]


def outermost(place: str, spans: Sequence[Span]) -> list[Span]:
    """Sorts spans in the order of the text and drops those inside another one.

    Args:
        place: Their place, for the message.
        spans: First word, word after the last, and kind of each.

    Raises:
        MissingInput: Two spans overlap without nesting, or cover the same words.
    """
    outer: list[Span] = []
    for start, end, kind in sorted(spans, key=lambda span: (span[0], -span[1], span[2])):
        if outer and start < outer[-1][1]:
            first, last, other = outer[-1]
            if end > last or (start, end) == (first, last):
                raise MissingInput(f"{place}: {kind} [{start}, {end - 1}] overlaps {other} [{first}, {last - 1}]")
        else:
            outer.append((start, end, kind))
    return outer


def read_cluener(path: Path) -> tuple[TaggedExample, ...]:
    """Reads the sentences of a CLUENER file, one JSON object a line.

    An object is ``{"text": .., "label": {kind: {mention: [[first, last], ..]}}}``.

    Raises:
        MissingInput: There is no sentence, or a malformed one; gives path, line and reason.
    """
    labels = bio_labels(CLUENER_KINDS)
    examples: list[TaggedExample] = []
    for number, line in enumerate(read_lines(path), start=1):
        place = f"{path}:{number}"
        sentence, label = _parse(place, line)
        tags = [0] * len(sentence)
        for start, end, kind in outermost(place, list(_spans(place, sentence, label))):
            begin = labels.index(f"B-{kind}")
            tags[start:end] = [begin] + [begin + 1] * (end - start - 1)
        examples.append(TaggedExample(tuple(sentence), tuple(tags)))
    if not examples:
        raise MissingInput(f"{path}:1: the file has no sentences")
    return tuple(examples)


def _parse(place: str, line: str) -> tuple[str, dict[str, object]]:
    try:
        row: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MissingInput(f"{place}: bad JSON ({error})") from error
    match row:
        case {"text": str(written), "label": dict(label)}:
            return text(Record(place, {"text": written}), "text"), label
        case {"text": str()}:
            raise MissingInput(f"{place}: 'label' must be an object; the test file has none and can't be used")
        case _:
            raise MissingInput(f"{place}: expected an object with 'text', a string, and 'label'")


def _spans(place: str, sentence: str, label: dict[str, object]) -> Iterator[Span]:
    for kind, mentions in label.items():
        if kind not in CLUENER_KINDS:
            raise MissingInput(f"{place}: unknown kind {quoted(kind)}, expected one of {', '.join(CLUENER_KINDS)}")
        for mention, ranges in mentions.items() if isinstance(mentions, dict) else [("", mentions)]:
            for span in ranges if isinstance(ranges, list) else [ranges]:
                match span:
                    case [int(start), int(last)] if 0 <= start <= last < len(sentence) and sentence[start : last + 1] == mention:
                        yield start, last + 1, kind
                    case _:
                        raise MissingInput(f"{place}: {kind} {quoted(mention)} is not at {quoted(span)} of the text")


def halves(examples: Sequence[TaggedExample], name: str) -> tuple[tuple[TaggedExample, ...], tuple[TaggedExample, ...]]:
    """Splits examples at random into halves, the first one smaller if their number is odd.

    The draw uses the stream ``name`` of seed 0. Both halves are in the given order.
    """
    # Sorts uniform numbers: numpy doesn't guarantee that permutation() never changes.
    order = np.argsort(stream(0, name).random(len(examples)), kind="stable")
    first = set(order[: len(examples) // 2].tolist())
    return (
        tuple(example for i, example in enumerate(examples) if i in first),
        tuple(example for i, example in enumerate(examples) if i not in first),
    )


def load_cluener() -> TaskData:
    """Loads the official training set, and the halves of the official development set.

    Raises:
        MissingInput: The files are missing or malformed.
    """
    paths = _files("cluener", CLUENER_FOLDERS, CLUENER_FILES)
    train, dev = map(read_cluener, paths)
    if len(dev) < 2:
        raise MissingInput(f"{paths[1]}: one sentence can't be halved into validation and test")
    return TaskData(train, *halves(dev, "cluener"))


def load_resume() -> TaskData:
    """Loads the official splits.

    Raises:
        MissingInput: The files are missing or malformed.
    """
    files = read_tagged(*_files("resume_ner", RESUME_FOLDERS, RESUME_FILES), cut=True)
    return TaskData(*(to_examples(sentences, bio_labels(RESUME_KINDS)) for sentences in files))


def _files(name: str, folders: Sequence[str], files: Sequence[str]) -> tuple[Path, ...]:
    paths = find_local(name, folders, files)
    if paths is None:
        raise MissingInput(
            f"{name}: no data; type `python -m stableft data fetch {name}`, the one step that goes online, or set {DATA_VARIABLE} "
            f"to a folder that holds {folders[0]}/{{{','.join(files)}}}"
        )
    return paths


TASKS: tuple[Task, ...] = (
    Task(
        name="cluener",
        kind="tagging",
        labels=bio_labels(CLUENER_KINDS),
        score="entity_f1",
        language="zh",
        summary="CLUENER2020, ten kinds of entities in news: 10,748 train, halves of the official development set of 1,343",
        load=load_cluener,
        metrics=TAGGING_METRICS,
    ),
    Task(
        name="resume_ner",
        kind="tagging",
        labels=bio_labels(RESUME_KINDS),
        score="entity_f1",
        language="zh",
        summary="ResumeNER, eight kinds of entities in résumés: 3,821 train, 463 validation, 477 test",
        load=load_resume,
        metrics=TAGGING_METRICS,
    ),
)
