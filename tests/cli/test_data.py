"""`stableft data check`; `data fetch` is tested in tests/tasks/test_download.py."""

import json
import os
import re
from pathlib import Path

import pytest

from stableft.tasks.catalog import get_task
from tests.conftest import Quick
from tests.helpers.commands import call, write_own


@pytest.mark.parametrize("task", ["toy", "docs15", "csv"])
def test_data_are_checked(tmp_path: Path, quick: Quick, parsed_once: None, task: str):
    spec = f"csv:{write_own(tmp_path / 'my.csv')}" if task == "csv" else task
    code, text, _ = quick(tmp_path, "data", "check", spec)
    _, raw, _ = quick(tmp_path, "data", "check", spec, "--json")
    said, data = json.loads(raw), get_task(spec).load()
    assert (code, said["task"], said["fingerprint"]) == (0, "my.csv" if task == "csv" else task, data.fingerprint)
    assert {name: split["examples"] for name, split in said["splits"].items()} == {
        name: len(rows) for name in ("train", "validation", "test") if (rows := getattr(data, name))
    }
    for name, split in said["splits"].items():
        assert sum(split["labels"].values()) == split["examples"]
        assert all(label in text for label in split["labels"])  # as they are, not read as markup
        assert split["constant_score"] == max(split["labels"].values()) / split["examples"]
        assert split["shared"] == dict.fromkeys(set(said["splits"]) - {name}, 0)
    assert data.fingerprint in text
    assert json.loads(raw)["splits"]["train"]["words"]["max"] < 20


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("check", "nope"), 2, "unknown task 'nope'; known: "),
        (("check", "csv:no.csv"), 4, "no.csv: no such file or folder"),
        (("check", "csv:"), 2, "write a path after the colon"),
        (("check", "rte"), 4, "lacks the task's files"),
        (("check",), 2, "Missing argument"),
        (("chekc", "toy"), 2, "No such command"),
    ],
)
def test_data_that_cant_be_checked(
    tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str
):
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    found, out, err = quick(tmp_path, "data", *arguments)
    assert (found, out) == (code, "")
    assert message in " ".join(err.split()).replace("│ ", "").replace(" │", "")


def test_tagged_data_are_checked(tmp_path: Path, quick: Quick):
    (tmp_path / "my.bio").write_text("\n".join(f"word{i} O\nAda B-[red]\nByron I-[red]\n" for i in range(20)))
    code, text, _ = quick(tmp_path, "data", "check", "bio:my.bio")
    assert code == 0
    assert text.startswith("my.bio: tagging of sentences, judged by entity_f1")
    assert re.search(r"\[red\] entities +16 +2 +2", text)
    splits = json.loads(quick(tmp_path, "data", "check", "bio:my.bio", "--json")[1])["splits"]
    assert splits["train"]["labels"] == {"O": 16, "B-[red]": 16, "I-[red]": 16}
    assert (splits["train"]["words"]["max"], splits["test"]["entities"]) == (3, {"[red]": 2})


def test_checking_data_needs_no_torch_and_the_command_line_no_dask(tmp_path: Path):
    for name in ("torch", "distributed", "dask"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is not needed to look at data')")
    spec = f"csv:{write_own(tmp_path / 'my.csv')}"
    code, out, err = call(
        tmp_path, "data", "check", spec, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    )
    assert (code, err) == (0, "")
    assert out.startswith("my.csv: classification of texts, judged by accuracy")
