"""Tagging tasks from the user's own files: ``bio:PATH``.

The files are those of `stableft.tasks.readers.user_columns`. PATH is one file, or a folder with a
file for each split (``train.bio``, or another of `ENDINGS`), all in one scheme. A single file gets
fixed random splits, see `stableft.tasks.user_splits`; unlike in `stableft.tasks.user_files` they
are not stratified. A test file may have words only: it is then predicted and not scored.

The labels are made of the kinds of entities in train; another kind elsewhere is an error. A tag
that its scheme forbids is read as conlleval and seqeval read it, and counted. It is an error if a
split has no entity: no score could then detect learning.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from stableft.core.errors import MissingInput
from stableft.core.own_data import OwnData
from stableft.tasks import TAGGING_METRICS, TaggedExample, Task, TaskData, bio_labels, label_variants
from stableft.tasks.readers.tag_columns import Sentence, kind_of, to_bio2, to_examples
from stableft.tasks.readers.user_columns import read_tagged_file
from stableft.tasks.readers.user_text import short
from stableft.tasks.user_splits import SHOWN, SPLITS, Rules, divided, joined, split_files, unread_files, with_validation

FORM = "bio"
ENDINGS = (FORM, "conll", "iob", "iob2", "bioes", "bmes")

SentenceSplits = Mapping[str, Sequence[Sentence]]


def read(name: str, path: Path, own: OwnData) -> Task:
    """Makes a task of a user's tagged files; they are read now, not when the task is loaded.

    Args:
        name: The name of the task.
        path: The file or folder.
        own: How to read it.

    Raises:
        MissingInput: A file is missing or malformed; gives path, line and reason.
    """
    # Read the files, and convert their tags together: they are in one scheme.
    files, notes = _read_files(path, own)
    tagged = {split: sentences for split, sentences in files.items() if sentences[0].tags}
    converted, broken = to_bio2(list(tagged.values()))
    given: dict[str, Sequence[Sentence]] = {**files, **dict(zip(tagged, converted, strict=True))}
    if broken:
        places = ", ".join(map(short, broken[:SHOWN])) + ", ..." * (len(broken) > SHOWN)
        notes.append(f"{len(broken)} tags do not fit the one before and begin an entity, at {places}")
    # Divide or join the splits.
    rules: Rules[Sentence] = Rules("sentence", own.on_duplicates, lambda s: s.words, lambda s: s.place())
    if path.is_dir():
        given, said = with_validation(path, given, rules)
        splits, more_said = joined({split: given[split] for split in SPLITS if split in given}, rules)
        notes += said + more_said
    else:
        splits, said = divided(path, given["train"], rules, "give a folder of splits")
        notes += said
    return _task(name, path, own, splits, notes)


def _read_files(path: Path, own: OwnData) -> tuple[dict[str, list[Sentence]], list[str]]:
    files: dict[str, list[Sentence]] = {}
    notes: list[str] = []
    paths = split_files(path, ENDINGS) if path.is_dir() else {"train": path}
    notes += unread_files(path, paths.values(), ENDINGS) if path.is_dir() else []
    for split, file in paths.items():
        files[split], said = read_tagged_file(file, own, tagged=split != "test")
        notes += said
    return files, notes


def _task(name: str, path: Path, own: OwnData, splits: SentenceSplits, notes: list[str]) -> Task:
    unlabelled = [s for s in splits.get("test", ()) if not s.tags]
    splits = {split: sentences for split, sentences in splits.items() if split != "test" or not unlabelled}
    for split, sentences in splits.items():
        if all(tag == "O" for sentence in sentences for tag in sentence.tags):
            raise MissingInput(f"{path}: {split} has {len(sentences)} sentences without any entity; one is needed")
    written = [kind_of(tag) for sentences in splits.values() for s in sentences for tag in s.tags if tag[0] == "B"]
    kinds, said = label_variants.merged(path, written, own.on_variants)
    splits = {split: [replace(s, tags=tuple(_renamed(tag, kinds) for tag in s.tags)) for s in of] for split, of in splits.items()}
    labels = bio_labels({kind_of(tag) for s in splits["train"] for tag in s.tags} - {""})
    data = {split: to_examples(sentences, labels) for split, sentences in splits.items()}
    if unlabelled:
        data["unlabelled"] = tuple(TaggedExample(s.words, (0,) * len(s.words)) for s in unlabelled)
        said = [*said, "test has no tags: it is predicted, and validation is scored"]
    sizes = ", ".join(f"{len(examples)} {split}" for split, examples in data.items())
    return Task(
        name=name,
        kind="tagging",
        labels=labels,
        score="entity_f1",
        language="und",
        summary=f"Own file: sentences, {len(labels) // 2} kinds of entities; {sizes}",
        load=partial(TaskData, **data),
        metrics=TAGGING_METRICS,
        own=own,
        notes=(*notes, *said),
    )


def _renamed(tag: str, kinds: Mapping[str, str]) -> str:
    return tag if tag == "O" else f"{tag[:2]}{kinds[kind_of(tag)]}"
