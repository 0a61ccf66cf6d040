"""The user's own tagged words: single files and folders, labels from train, refusals."""

import pickle
from pathlib import Path

import pytest

from stableft.core.errors import MissingInput, UsageError
from stableft.core.own_data import OwnData
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


def test_a_tag_that_fits_nothing_begins_an_entity_and_is_counted(tmp_path: Path) -> None:
    """As conlleval and seqeval read it: the 'default' mode of seqeval."""
    orphans = "a O\nb I-per\nc I-loc\n"
    task = user_files.read(f"bio:{folder(tmp_path / 'my', train=TRAIN, validation=orphans)}")
    assert task.load().validation == (TaggedExample(("a", "b", "c"), (0, 3, 1)),)
    assert task.notes == ("2 tags do not fit the one before and begin an entity, at validation.bio:2, validation.bio:3",)
    closed = folder(tmp_path / "closed", train="a B-x\nb M-x\n\nc M-x\nd E-x\n", validation="e S-x\n")
    task = user_files.read(f"bio:{closed}")
    assert [example.tags for example in task.load().train] == [(1, 2), (1, 2)]
    assert task.notes[0].startswith("2 tags do not fit")


def test_files_as_conll_has_them(tmp_path: Path) -> None:
    train = "-DOCSTART- -X- O\n\n# id = 1\nAda NN U-per\nsang VB O\n\n-DOCSTART- -X- O\n\nNether NN B-loc\nWex NN L-loc\n"
    path = tmp_path / "my"
    path.mkdir()
    (path / "train.conll").write_text(train)
    (path / "dev.conll").write_text("Zolk NN U-per\n")
    (path / "test.conll").write_text("Zolk NN\nsang VB\n")
    task = user_files.read(f"bio:{path}")
    data = task.load()
    assert [example.words for example in data.train] == [("Ada", "sang"), ("Nether", "Wex")]
    assert [example.tags for example in data.train] == [(3, 0), (1, 2)]
    assert ([e.words for e in data.unlabelled], data.test) == ([("Zolk", "sang")], ())
    said = " ".join(task.notes)
    assert "train.conll: 1 comment lines are left out" in said
    assert "train.conll: 2 -DOCSTART- lines are left out" in said
    assert "of 3 columns the word is number 1 and the tag the last" in said
    assert "test has no tags" in said


def test_columns_are_chosen_by_number(tmp_path: Path) -> None:
    rows = "".join(f"{i} w{i} B-x NN\n\n" for i in range(20))
    (tmp_path / "my.bio").write_text(rows)
    task = user_files.read(f"bio:{tmp_path / 'my.bio'}", OwnData(text="2", label="3"))
    assert task.load().train[0].words == ("w0",)
    with pytest.raises(UsageError, match="--text 'two': columns of tagged words have numbers"):
        user_files.read(f"bio:{tmp_path / 'my.bio'}", OwnData(text="two"))
    with pytest.raises(MissingInput, match=r"my.bio:1: tag 'NN', .* put I- before it"):
        user_files.read(f"bio:{tmp_path / 'my.bio'}")


def test_repeated_sentences_stop_stay_or_go(tmp_path: Path) -> None:
    path = single(tmp_path / "my.bio", 20, "\nword3 O\nAda B-per\n")
    assert "1 such row in all" in refusal(path)
    kept, dropped = (
        user_files.read(f"bio:{path}", own).load() for own in (OwnData(on_duplicates="keep"), OwnData(on_duplicates="drop"))
    )
    assert [len(data.train + data.validation + data.test) for data in (kept, dropped)] == [21, 20]


def test_kinds_that_differ_by_case_stop(tmp_path: Path) -> None:
    path = folder(tmp_path / "my", train=TRAIN + "\nZolk B-PER\n", validation=VALIDATION)
    assert "'PER' (1 rows) = 'per' (1 rows)" in refusal(path)
    assert user_files.read(f"bio:{path}", OwnData(on_variants="merge")).labels == ("O", "B-PER", "I-PER", "B-loc", "I-loc")


def test_files_that_cant_be_used(tmp_path: Path) -> None:
    path = tmp_path / "my.bio"
    assert refusal(path) == f"{path}: no such file or folder"
    assert refusal(single(path, 19)).startswith(f"{path}: 19 sentences; at least 20 are needed to split them")
    assert refusal(single(path, 20, "\nword3 O\nAda O\n")).startswith(f"{path}:61: repeats the sentence of {path}:10;")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("1\ta\tO\n2\tb\tB-PER", "the first column counts the words, as in CoNLL-U; name that of the word, such as --text 2"),
        ("a o\nb b-per", "write the letter before the hyphen, and O, in capitals"),
        ("a O\nb B_PER", "write a hyphen for the underscore"),
    ],
)
def test_near_misses_say_what_to_do(lines: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "my.bio"
    path.write_text("\n\n".join(lines.replace("a", f"a{i}") for i in range(30)))
    with pytest.raises(MissingInput) as caught:
        user_files.read(f"bio:{path}")
    assert reason in str(caught.value)


def test_files_that_are_no_split_are_named(tmp_path: Path) -> None:
    for name in ("train", "dev", "other"):
        (tmp_path / f"{name}.bio").write_text(f"{name} O\nb B-PER\n")
    assert "not read, since their names are no split's: other.bio" in user_files.read(f"bio:{tmp_path}").notes
