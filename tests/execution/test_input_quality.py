"""Input quality: what is said of a task before its runs, and what is refused."""

from dataclasses import replace

import pytest

from experiments.protocol import SMOKE
from stableft.core.errors import MissingInput, UsageError
from stableft.execution.input_quality import qualities, refuse_unreadable
from stableft.execution.inputs import Inputs
from stableft.tasks import Example, Task, TaskData
from stableft.tasks.catalog import get_task


def inputs(*texts: str) -> Inputs:
    rows = tuple(Example(text, None, i % 2) for i, text in enumerate(texts))
    data = TaskData(rows, rows)
    task: Task = replace(get_task("toy"), name="my.csv", load=lambda: data, notes=("a remark", "my.csv: another"))
    return Inputs([task])


CONFIG = SMOKE.configs["toy"].model_copy(update={"task": "my.csv"})


def test_each_task_encoder_and_length_is_measured_once() -> None:
    configs = [CONFIG, CONFIG.model_copy(update={"seed": 1}), CONFIG.model_copy(update={"max_length": 8})]
    found = qualities(configs, inputs("alin dorn", "alin"))
    assert [each.max_length for each in found] == [32, 8]
    assert found[0].lines[:2] == ["my.csv: a remark", "my.csv: another"]
    assert found[0].lines[2].startswith("my.csv: tiny-random: none of the pieces unknown; none of the texts cut at 32 pieces")
    assert found[0].facts["coverage"]["examples"] == 4
    refuse_unreadable(found)


@pytest.mark.parametrize(
    ("texts", "warned", "refused"),
    [(["alin"] * 99, False, False), (["alin"] * 9 + ["zzz"], True, False), (["alin", "zzz"], True, True)],
)
def test_above_one_percent_it_warns_and_above_twenty_it_refuses(texts: list[str], warned: bool, refused: bool) -> None:
    found = qualities([CONFIG], inputs(*texts))
    assert (found[0].lines[-1].startswith("warning: "), found[0].is_refused) == (warned, refused)
    if refused:
        with pytest.raises(UsageError, match=r"my.csv: 50 % of its pieces are unknown to tiny-random, above 20 %.*--allow-unknown"):
            refuse_unreadable(found)
    else:
        refuse_unreadable(found)


def test_what_cannot_be_measured_is_said() -> None:
    def absent() -> TaskData:
        raise MissingInput("no data")

    (found,) = qualities([CONFIG], Inputs([replace(get_task("toy"), name="my.csv", load=absent)]))
    assert found.lines == ["my.csv: what tiny-random can read of it is not measured: no data"]
    refuse_unreadable([found])
