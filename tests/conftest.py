"""Shared by all tests: a tiny encoder, the toy task, a small configuration; offline and on one thread.

torch is imported by the fixtures that need it, so that the process that only hands tests to workers need not wait for it.
"""

import contextlib
import json
import os
import pickle
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before anything imports transformers or datasets: no test may go online, and a fork after tokenising shall not be warned of.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import numpy as np
import pytest

from stableft.core import plugins
from stableft.core.config import RunConfig, with_overrides
from stableft.core.files import locked, write_whole
from stableft.models.encoders import Encoder, resolve
from stableft.tasks import TaggedExample, Task, TaskData, docread, docs
from stableft.tasks.readers import docstrings
from stableft.tasks.toy import FILLERS, MARKERS, TASKS, VOCABULARY

if TYPE_CHECKING:
    from stableft.models.tokens import Data

TOY = TASKS[0]
BASE: dict[str, Any] = {
    "task": "toy",
    "encoder": "tiny-random",
    "batch_size": 8,
    "max_length": 32,
    "adam": {"lr": 3e-3},
    "schedule": {"num_epochs": 3, "warmup_ratio": 0.1},
    "evaluation": {"every": 8},
}

ConfigFactory = Callable[..., RunConfig]
Quick = Callable[..., tuple[int, str, str]]
Plug = Callable[..., None]


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    """Until it holds; the test fails if it does not by then."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What reads the installed packages is slow: parsing them takes longer than all tests of it."""
    for item in items:
        if "parsed_once" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plug]:
    """Plugs in files of the given texts, by name; with ``forget``, after all earlier ones, as a new process."""
    monkeypatch.setenv(plugins.VARIABLE, "")

    def forget() -> None:
        os.environ[plugins.VARIABLE] = ""
        plugins._TEXTS.clear()
        for name in [name for name in sys.modules if name.startswith(plugins.PACKAGE)]:
            del sys.modules[name]

    def plugged(texts: dict[str, str], forget_all: bool = False) -> None:
        if forget_all:
            forget()
        for name, text in texts.items():
            (tmp_path / f"{name}.py").write_text(text)
        plugins.add([tmp_path / f"{name}.py" for name in texts])

    yield lambda texts, forget=False: plugged(texts, forget)
    forget()


@pytest.fixture(scope="session")
def toy_config() -> ConfigFactory:
    """A small configuration of the toy task (24 steps of 8), with dotted fields replaced: ``toy_config({"adam.lr": 1e-4})``."""
    base = RunConfig.model_validate(BASE)
    return lambda overrides=None, /, **top: with_overrides(base, {**(overrides or {}), **top})


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """``tiny-random`` with the toy task's words, written to a folder of the test session, not to the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return resolve("tiny-random", tiny_vocabulary=VOCABULARY)


@pytest.fixture(scope="session")
def lively_encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A BERT of 2 x 32 that transformers itself made, with weights of std 0.2, so that attention is far from uniform."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("lively")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *VOCABULARY]
    torch.manual_seed(0)
    model = BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.2,
        )
    )
    with torch.no_grad():  # biases and LayerNorm weights that are not 0 and 1, so that leaving one out would show
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.2 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return resolve(str(folder))


@pytest.fixture(scope="session")
def toy_data(tiny_encoder: Encoder) -> "Data":
    """The toy task, tokenised for ``tiny_encoder`` (and for ``lively_encoder``, which has the same vocabulary)."""
    from stableft.models.tokens import encode

    return encode(TOY, TOY.load(), tiny_encoder, max_length=32)


@pytest.fixture(scope="session")
def quick() -> Quick:
    """A command as a user calls it in a folder, without the second that a new process takes to import everything."""
    from typer.testing import CliRunner

    from stableft.cli.app import app

    def called(folder: Path, *arguments: str) -> tuple[int, str, str]:
        with contextlib.chdir(folder):
            result = CliRunner().invoke(app, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return called


@pytest.fixture(scope="session")
def project() -> Path:
    """The repository's root."""
    return Path(__file__).parents[1]


def _tagged(rng: np.random.Generator) -> TaggedExample:
    """Fillers, and one or two entities: runs of up to three harsh or soft words."""
    words, tags = [], []
    for _ in range(int(rng.integers(1, 3))):
        for filler in rng.choice(FILLERS, int(rng.integers(1, 4))):
            words.append(str(filler))
            tags.append(0)
        kind = int(rng.integers(2))
        for place, marker in enumerate(rng.choice(MARKERS[kind], int(rng.integers(1, 4)))):
            words.append(str(marker))
            tags.append(1 + 2 * kind + min(place, 1))
    return TaggedExample(tuple(words), tuple(tags))


def load_tagged() -> TaskData[TaggedExample]:
    examples = [_tagged(rng) for rng in [np.random.default_rng(0)] for _ in range(96)]
    return TaskData(tuple(examples[:64]), tuple(examples[64:80]), tuple(examples[80:]))


TAGGED = Task(
    name="toytags",
    kind="tagging",
    labels=("O", "B-harsh", "I-harsh", "B-soft", "I-soft"),
    score="entity_f1",
    language="en",
    summary="Synthetic: runs of harsh and of soft words; 64 train, 16 validation, 16 test",
    load=load_tagged,
    metrics=("entity_precision", "entity_recall", "accuracy"),
)


@pytest.fixture(scope="session")
def tagged_data(tiny_encoder: Encoder) -> "Data":
    """An invented tagging task, tokenised for ``tiny_encoder`` and ``lively_encoder``."""
    from stableft.models.tokens import encode

    return encode(TAGGED, load_tagged(), tiny_encoder, max_length=32)


@pytest.fixture(scope="session")
def parsed_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The packages that tasks are made of are parsed once for all tests and workers, package by package: 10 s in all."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    base = tmp_path_factory.getbasetemp()
    folder = base.parent if worker else base
    sources = sorted({*docread.SOURCES, *chain.from_iterable(docs.TOPICS.values())})
    parse = docstrings.documented

    def parsed(package: str) -> dict[Path, list[tuple[str, str]]]:
        path = folder / f"{package}.docstrings"
        with locked(path.with_suffix(".lock")):
            if not path.is_file():
                of_package = [source for source in sources if source.partition("/")[0] == package]
                files = {file for source in of_package for _, file in docstrings.source_files(source)}
                with docstrings.without_collection():
                    write_whole(path, pickle.dumps({file: parse(file) for file in files}))
        return pickle.loads(path.read_bytes())

    @cache
    def everything() -> dict[Path, list[tuple[str, str]]]:
        packages = sorted({source.partition("/")[0] for source in sources}, reverse=worker.endswith("1"))  # workers meet half-way
        return dict(chain.from_iterable(parsed(package).items() for package in packages))

    @cache
    def known() -> set[Path]:
        return {file for source in sources for _, file in docstrings.source_files(source)}

    def documented(path: Path) -> list[tuple[str, str]]:
        return everything()[path] if path in known() else parse(path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(docstrings, "documented", documented)
        yield
