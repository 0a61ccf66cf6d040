"""Tagging tasks from the user's own files: ``bio:PATH``.

The tags are in one of the schemes of `stableft.tasks.readers.tag_columns`. PATH is one file, or a
folder with ``train.bio``, ``validation.bio`` and optionally ``test.bio``, all in one scheme. A
single file gets a fixed random split: a tenth of its sentences for validation, a tenth for test,
the rest for training. Unlike in `stableft.tasks.user_files` it is not stratified.

The labels are made of the kinds of entities in train; another kind elsewhere is an error. It is
also an error if a sentence occurs in two splits, or twice in a single file, or if a split has no
entity: no score could then detect learning.
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from stableft.core.errors import MissingInput
from stableft.tasks import TAGGING_METRICS, Task, TaskData, bio_labels
from stableft.tasks.readers.tag_columns import Sentence, kind_of, read_tagged, to_examples
from stableft.tasks.readers.user_tables import MIN_ROWS, SPLITS, divide

FORM = "bio"

SentenceSplits = Mapping[str, Sequence[Sentence]]


def read(name: str, path: Path) -> Task:
    """Makes a task of a user's tagged files; they are read now, not when the task is loaded.

    Args:
        name: The name of the task.
        path: The file or folder.

    Raises:
        MissingInput: A file is missing or malformed; gives path, line and reason.
    """
    if not (os.path.isdir(path) or os.path.isfile(path)):
        raise MissingInput(f"{path}: no such file or folder")
    splits = _read_folder(path) if os.path.isdir(path) else _divided(path)
    _check_overlap(splits)
    for split, sentences in splits.items():
        if all(tag == "O" for sentence in sentences for tag in sentence.tags):
            raise MissingInput(f"{path}: {split} has {len(sentences)} sentences without any entity; one is needed")
    kinds = {kind_of(tag) for sentence in splits["train"] for tag in sentence.tags} - {""}
    labels = bio_labels(kinds)
    data = {split: to_examples(sentences, labels) for split, sentences in splits.items()}
    sizes = ", ".join(f"{len(examples)} {split}" for split, examples in data.items())
    return Task(
        name=name,
        kind="tagging",
        labels=labels,
        score="entity_f1",
        language="und",
        summary=f"Own file: sentences, {len(kinds)} kinds of entities; {sizes}",
        load=partial(TaskData, **data),
        metrics=TAGGING_METRICS,
    )


def _read_folder(folder: Path) -> SentenceSplits:
    paths = {split: folder / f"{split}.{FORM}" for split in SPLITS}
    if absent := [str(paths[split]) for split in ("train", "validation") if not paths[split].is_file()]:
        raise MissingInput(f"not found: {', '.join(absent)}")
    there = {split: path for split, path in paths.items() if path.exists()}
    return dict(zip(there, read_tagged(*there.values()), strict=True))


def _divided(path: Path) -> SentenceSplits:
    (sentences,) = read_tagged(path)
    if len(sentences) < MIN_ROWS:
        raise MissingInput(f"{path}: {len(sentences)} sentences; at least {MIN_ROWS} are needed to split them; or give a folder")
    places: dict[tuple[str, ...], str] = {}
    for sentence in sentences:
        if (first := places.setdefault(sentence.words, sentence.place())) != sentence.place():
            raise MissingInput(f"{sentence.place()}: repeats the sentence of {first}; remove one, or give a folder of splits")
    names = divide(None, len(sentences))
    return {split: [s for s, name in zip(sentences, names, strict=True) if name == split] for split in SPLITS}


def _check_overlap(splits: SentenceSplits) -> None:
    origins: dict[tuple[str, ...], tuple[str, str]] = {}
    for split, sentences in splits.items():
        for sentence in sentences:
            other, place = origins.setdefault(sentence.words, (split, sentence.place()))
            if other != split:
                raise MissingInput(f"{sentence.place()}: this sentence of {split} is also in {other}, at {place}; remove one")
