"""Which task lends its settings to a user's own one: kind first, then language, then pairs."""

import pytest

from experiments import adam, head_lr
from experiments.protocol import LAPTOP, PAPER, SMALL, SMOKE
from stableft.core.grid import Protocol
from stableft.tasks import Example, TaggedExample, Task, TaskData
from stableft.tasks.catalog import all_tasks
from stableft.tasks.settings_source import language_of, settings_source

ENGLISH, CHINESE = "a plain text, 3", "中文标题 a"


def own(kind: str, pair: bool, text: str) -> tuple[Task, TaskData]:
    data = TaskData(train=(Example(text, text if pair else None, 0),), validation=())
    if kind == "tagging":
        data = TaskData(train=(TaggedExample(tuple(text.split()), (0,) * len(text.split())),), validation=())
    return Task("my.csv", kind, (), "", "und", "", lambda: data, pairs=pair), data  # pyright: ignore[reportArgumentType]


def chosen(protocol: Protocol, kind: str, pair: bool, text: str) -> tuple[str, str]:
    known = dict.fromkeys([*adam.grid(protocol).tasks, *protocol.tasks, *protocol.configs])
    return settings_source(*own(kind, pair, text), [all_tasks()[name] for name in known])


@pytest.mark.parametrize(
    ("protocol", "kind", "pair", "text", "name"),
    [
        (LAPTOP, "classification", False, ENGLISH, "docs15"),
        (LAPTOP, "classification", True, ENGLISH, "docpair"),
        (LAPTOP, "regression", False, ENGLISH, "docread"),
        (LAPTOP, "regression", True, ENGLISH, "docread"),
        (LAPTOP, "tagging", False, ENGLISH, "doccode"),
        (LAPTOP, "classification", False, CHINESE, "docs15"),
        (SMALL, "classification", False, ENGLISH, "rte"),
        (SMALL, "classification", False, CHINESE, "tnews"),
        (SMALL, "tagging", False, CHINESE, "resume_ner"),
        (PAPER, "classification", True, ENGLISH, "rte"),
        (PAPER, "classification", False, ENGLISH, "cola"),
        (PAPER, "regression", True, ENGLISH, "stsb"),
        (PAPER, "classification", False, CHINESE, "tnews50k"),
        (SMOKE, "tagging", False, ENGLISH, "toytag"),
    ],
)
def test_the_task_most_like_it(protocol: Protocol, kind: str, pair: bool, text: str, name: str) -> None:
    assert chosen(protocol, kind, pair, text)[0] == name


def test_the_reason_says_what_differs() -> None:
    assert chosen(LAPTOP, "classification", True, ENGLISH)[1] == "for text pairs with classes"
    assert chosen(LAPTOP, "classification", False, CHINESE)[1] == "the nearest to texts with classes; it has English, not Chinese"
    assert chosen(SMALL, "tagging", False, ENGLISH)[1] == "the nearest to texts with tags; it has Chinese, not English"


def test_an_experiment_on_other_tasks_changes_nothing() -> None:
    """Its first task is one of tags, and the settings of a class file are not."""
    known = dict.fromkeys([*head_lr.grid(LAPTOP).tasks, *LAPTOP.tasks, *LAPTOP.configs])
    assert settings_source(*own("classification", False, ENGLISH), [all_tasks()[name] for name in known])[0] == "docs15"


def test_languages() -> None:
    assert language_of(own("tagging", False, "中 文 B")[1]) == "zh"
    assert language_of(own("classification", True, "caf\u00e9 \u65e5")[1]) == "en"
