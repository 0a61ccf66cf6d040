"""A smoke grid and all that is made of it: it goes nowhere, names nobody, and can be rebuilt from what it says."""

import base64
import json
import re
import shlex
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from stableft.cli.app import app
from stableft.core.anonymize import COMMON, SHORTEST
from tests.helpers.offline import block

pytestmark = pytest.mark.slow  # 20 seconds of computing
USER, HOME = "quixotic-person", "quixotic-home"
Called = Callable[..., str]


@pytest.fixture(scope="module")
def attempts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], list[str]]]:
    """No network, a user and a home that would be noticed."""
    folder = tmp_path_factory.mktemp("world")
    (folder / HOME).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("USER", "LOGNAME", "USERNAME", "LNAME"):
            patch.setenv(name, USER)
        patch.setenv("HOME", str(folder / HOME))
        patch.delenv("XDG_CACHE_HOME", raising=False)
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "STABLEFT_DATA"):  # nobody has said that we are offline
            patch.delenv(name, raising=False)
        patch.chdir(folder / HOME)
        yield block(folder, patch)


@pytest.fixture(scope="module")
def made(attempts: Callable[[], list[str]]) -> Path:
    """A run, from plan to page; where it lies. Training happens in processes of its own, as always."""
    options = ("adam", "--protocol", "smoke", "--seeds", "0", "--set", "adam.lr=2e-3", "--results", "out")
    stableft("plan", *options)
    done = subprocess.run([sys.executable, "-m", "stableft", "run", *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for verb in ("figures", "tables", "report"):
        stableft(verb, "--results", "out", "--figures", "shown")
    stableft("verify", "adam", "--results", "out", "--protocol", "smoke", "--output", "shown/CLAIMS.md")
    return Path.cwd()


def stableft(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_nothing_goes_online(made: Path, attempts: Callable[[], list[str]]):
    stableft("trace", "shown/smoke/adam/score.pdf", "--results", "out")
    assert attempts() == []
    with pytest.raises(OSError, match="no network in this test"):
        socket.create_connection(("127.0.0.1", 9))
    subprocess.run([sys.executable, "-c", "import socket\nsocket.create_connection(('127.0.0.1', 9))"], stderr=subprocess.DEVNULL)
    assert len(attempts()) == 2, "an attempt would be noticed, in a child process too"


def texts(path: Path) -> Iterator[bytes]:
    """All that a file says, whatever it is packed in."""
    content = path.read_bytes()
    yield content
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        yield repr(table.schema.metadata).encode()
        yield json.dumps(table.to_pylist(), default=str).encode()
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", content, re.DOTALL) if path.suffix == ".pdf" else ():
        yield zlib.decompressobj().decompress(stream)
    for packed in re.findall(rb"base64,([A-Za-z0-9+/=]+)", content):
        yield base64.b64decode(packed)


def test_nothing_names_a_person_or_a_machine(made: Path):
    host = socket.gethostname()
    names = [USER, HOME, str(made), *([host] if len(host) >= SHORTEST and host.lower() not in COMMON else [])]
    files = [path for folder in ("out", "shown") for path in (made / folder).rglob("*") if path.is_file()]
    assert {".parquet", ".pdf", ".png", ".svg", ".md", ".tex", ".csv", ".txt", ".html"} <= {path.suffix for path in files}
    found = [(path, name) for path in files for text in texts(path) for name in names if name.encode() in text]
    assert found == []


def test_what_a_run_says_computes_it_again(made: Path, attempts: Callable[[], list[str]]):
    identities = {path.stem for path in (made / "out" / "runs").iterdir()}
    one = min(identities)
    said = json.loads(stableft("show", one[:8], "--results", "out", "--json"))
    assert (said["run_id"], said["places"][0]["seed"]) == (one, 0)
    (rebuilt,) = said["rebuild"]
    assert rebuilt["exact"]
    command = shlex.split(rebuilt["steps"][-1])
    assert command[:4] == [".venv/bin/python", "-m", "stableft", "run"]
    done = subprocess.run([sys.executable, *command[1:]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [path.stem for path in (made / "rebuilt" / "runs").iterdir()] == [one]
    again = json.loads(stableft("show", one, "--results", "rebuilt", "--json"))
    for name in ("git", "lock", "packages", "torch", "environment", "samples", "execution"):
        assert again["provenance"][name] == said["provenance"][name]
    text = stableft("show", one, "--results", "out")
    assert rebuilt["steps"][-1] in text
    assert "to rebuild it:" in text
    traced = json.loads(stableft("trace", "shown/smoke/adam/score.svg", "--results", "out", "--json"))
    assert {run for each in traced["rebuild"] for run in each["runs"]} == identities
