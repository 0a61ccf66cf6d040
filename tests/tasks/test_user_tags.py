"""The user's own tagged words: single files and folders, labels from train, refusals."""

import pickle
from pathlib import Path

import pytest

from stableft.core.errors import MissingInput, UsageError
from stableft.tasks import TaggedExample, TaskData, user_files
from stableft.tasks.catalog import get_task, own_tasks

TRAIN = "Ada B-per\nByron I-per\nsang O\n\nWex B-loc\n"
VALIDATION = "in O\nWex B-loc\n"
EXPECTED = TaskData(
    train=(TaggedExample(("Ada", "Byron", "sang"), (3, 4, 0)), TaggedExample(("Wex",), (1,))),
    validation=(TaggedExample(("in", "Wex"), (0, 1)),),
)


def folder(path: Path, **splits: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for split, content in splits.items():
        (path / f"{split}.bio").write_text(content, encoding="utf-8")
    return path


def single(path: Path, count: int = 20, more: str = "") -> Path:
    path.write_text("\n".join(f"word{i} O\nAda B-per\n" for i in range(count)) + more, encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(MissingInput) as caught:
        user_files.read(f"bio:{path}")
    return str(caught.value)


def test_a_folder_of_splits(tmp_path: Path) -> None:
    task = user_files.read(f"bio:{folder(tmp_path / 'my', train=TRAIN, validation=VALIDATION)}")
    assert (task.name, task.kind, task.score, task.language) == ("my.bio", "tagging", "entity_f1", "und")
    assert task.labels == ("O", "B-loc", "I-loc", "B-per", "I-per")
    assert task.metrics == ("entity_precision", "entity_recall", "accuracy")
    assert task.summary == "Own file: sentences, 2 kinds of entities; 2 train, 1 validation"
    assert task.load() == EXPECTED
    folder(tmp_path / "my", test="Ada B-per\n")
    assert user_files.read(f"bio:{tmp_path / 'my'}").load().test == (TaggedExample(("Ada",), (3,)),)


def test_another_scheme_gives_the_same_task(tmp_path: Path) -> None:
    train, validation = (text.replace("B-loc", "S-loc").replace("I-per", "E-per") for text in (TRAIN, VALIDATION))
    task = user_files.read(f"bio:{folder(tmp_path / 'my', train=train, validation=validation)}")
    assert task.load().fingerprint == EXPECTED.fingerprint


def test_a_single_file_is_split_once_and_for_all(tmp_path: Path) -> None:
    task = user_files.read(f"bio:{single(tmp_path / 'my.bio', 30)}")
    data = task.load()
    assert (task.name, task.labels) == ("my.bio", ("O", "B-per", "I-per"))
    held_out = [[int(example.words[0].removeprefix("word")) for example in split] for split in (data.validation, data.test)]
    assert held_out == [[19, 24, 27], [1, 10, 21]]  # as own.divide, drawn anew every result would be orphaned
    assert len(data.train) == 24


def test_it_is_found_by_its_name_and_travels_without_its_file(tmp_path: Path) -> None:
    path = single(tmp_path / "my.bio")
    task = get_task(f"bio:{path}")
    assert [found.name for found in own_tasks([f"bio:{path}"])] == ["my.bio"]
    path.unlink()
    assert pickle.loads(pickle.dumps(task)).load() == task.load()
    with pytest.raises(UsageError, match="write a path after the colon, such as bio:data"):
        user_files.read("bio:")


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": TRAIN}, "not found: {path}/validation.bio"),
        ({"train": TRAIN, "validation": "Ada B-org\n"}, "{path}/validation.bio:1: entity of kind 'org', expected one of loc, per"),
        ({"train": TRAIN, "validation": "a O\nb\n"}, "{path}/validation.bio:2: 1 columns"),
        ({"train": TRAIN, "validation": "a O\nb I-per\n"}, "{path}/validation.bio:2: I-per follows O, which BIO2 forbids"),
        ({"train": TRAIN, "validation": "a O\n"}, "{path}: validation has 1 sentences without any entity"),
        ({"train": "a O\n", "validation": "b O\n"}, "{path}: train has 1 sentences without any entity"),
        (
            {"train": TRAIN, "validation": VALIDATION + "\nWex B-loc\n"},
            "{path}/validation.bio:4: this sentence of validation is also in train, at {path}/train.bio:5",
        ),
        ({"train": TRAIN, "validation": VALIDATION, "test": "\n"}, "{path}/test.bio:1: the file has no sentences"),
    ],
)
def test_folders_that_cant_be_used(splits: dict[str, str], message: str, tmp_path: Path) -> None:
    path = folder(tmp_path / "my", **splits)
    assert refusal(path).startswith(message.format(path=path))


def test_files_that_cant_be_used(tmp_path: Path) -> None:
    path = tmp_path / "my.bio"
    assert refusal(path) == f"{path}: no such file or folder"
    assert refusal(single(path, 19)).startswith(f"{path}: 19 sentences; at least 20 are needed to split them")
    assert refusal(single(path, 20, "\nword3 O\nAda O\n")).startswith(f"{path}:61: repeats the sentence of {path}:10;")
