"""How a user's file is read: the options of a command, and no part of an identity."""

from experiments.protocol import SMOKE
from stableft.core.config import RunConfig, run_id
from stableft.core.own_data import OwnData
from stableft.techniques.intermediate import Intermediate

CHOSEN = OwnData(source="csv:my.csv", like="toy", text="a b", encoding="cp1252", on_duplicates="drop")


def test_its_options() -> None:
    assert CHOSEN.flags() == ["--text", "a b", "--encoding", "cp1252", "--on-duplicates", "drop"]
    assert OwnData(source="csv:my.csv", like="toy").flags() == []


def test_it_is_recorded_and_not_hashed() -> None:
    config = SMOKE.configs["toy"]
    own = config.model_copy(update={"own_data": CHOSEN})
    assert run_id(own, data="d", weights="w") == run_id(config, data="d", weights="w")
    assert RunConfig.model_validate(own.model_dump(mode="json")) == own


def test_a_source_run_on_another_task_has_none() -> None:
    config = SMOKE.configs["toy"].model_copy(update={"own_data": CHOSEN, "task": "my.csv"})
    first = config.model_copy(update={"techniques": (Intermediate(task="toy"),)})
    assert [source.own_data for source in first.sources().values()] == [None]
