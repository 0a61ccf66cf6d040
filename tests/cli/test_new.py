"""`stableft new`: what it writes works as it is, and nothing is overwritten."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stableft.core.technique import CARD
from tests.conftest import Plug, Quick
from tests.helpers.commands import call

KINDS = ("technique", "task", "experiment")


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_found_under_its_name(tmp_path: Path, quick: Quick, plug: Plug, kind: str):
    code, out, err = quick(tmp_path, "new", kind, "my_own", "--folder", "here")
    assert code == 0, err
    assert out.startswith("wrote here/my_own.py and here/test_my_own.py\nnext: python -m pytest here/test_my_own.py\n")
    for name in ("my_own.py", "test_my_own.py"):
        compile((tmp_path / "here" / name).read_text(), name, "exec")
        assert "$" not in (tmp_path / "here" / name).read_text()
    _, listed, _ = quick(tmp_path, "ls", f"{kind}s", "--plugin", "here/my_own.py", "--json")
    assert "my_own" in json.loads(listed)[f"{kind}s"]
    if kind == "technique":
        _, shown, _ = quick(tmp_path, "ls", "techniques", "my_own", "--plugin", "here/my_own.py", "--json")
        assert set(json.loads(shown)) >= {"Claim", "Definition", "Parameters", "Null", "Reference"} <= {*CARD, "name"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_its_test_passes_and_its_commands_work(tmp_path: Path, kind: str):
    """As a user: from nothing to the last command that is printed, at the scale of tests."""
    code, out, err = call(tmp_path, "new", kind, "my_own", "--json")
    assert code == 0, err
    first, *others = (shlex.split(line)[2:] for line in json.loads(out)["next"])

    tested = subprocess.run(
        [sys.executable, "-m", *first, "-q", "-p", "no:cacheprovider"], cwd=tmp_path, capture_output=True, text=True
    )
    assert tested.returncode == 0, tested.stdout
    for _, *words in (["stableft", *words[1:]] for words in others):
        small = ["--protocol", "smoke"] if words[0] in ("try", "run", "data") and "--protocol" not in words else []
        small += ["--allow-unknown"] if words[0] == "run" and kind == "task" else []
        code, _, err = call(tmp_path, *words, *small)
        assert code == 0, (words, err)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("technique", "reinit"), "there is a technique reinit already"),
        (("experiment", "adam"), "there is an experiment adam already"),
        (("task", "rte"), "there is a task rte already"),
        (("figure", "mine"), "can't write a 'figure'; write technique, task or experiment"),
        (("task", "my-task"), "'my-task' is no name of a Python module"),
        (("task", "Mine"), "'Mine' is no name of a Python module"),
        (("task", "there"), "there.py exists; choose another name or --folder"),
        (("technique", "tested"), "test_tested.py exists; choose another name or --folder"),
    ],
)
def test_what_it_refuses(tmp_path: Path, quick: Quick, words: tuple[str, str], message: str):
    for name in ("there.py", "test_tested.py"):
        (tmp_path / name).write_text("mine")
    code, _, err = quick(tmp_path, "new", *words)
    assert (code, message in err) == (2, True), err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test_tested.py", "there.py"]
    assert (tmp_path / "there.py").read_text() == "mine"
