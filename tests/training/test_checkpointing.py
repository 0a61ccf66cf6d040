"""Checkpoints: when they are written and read, what is refused, what goes wrong, and a training process that is killed.

That a resumed run is the undisturbed one, with everything that a run can have, is in ``techniques/test_resuming.py``.
"""

import dataclasses
import resource
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from stableft.core.config import run_id
from stableft.core.errors import Damaged
from stableft.execution import provenance, run_job
from stableft.execution.determinism import serve_but_die_once
from stableft.execution.job import Job
from stableft.execution.run_job import run_one
from stableft.execution.supervisor import Supervisor
from stableft.models import kernels, layers
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.storage.records import RunRecord
from stableft.storage.store import Store
from stableft.training import checkpointing
from stableft.training.checkpointing import Checkpointer
from stableft.training.evaluation import MetricRow, Predictions
from stableft.training.loop import train
from stableft.training.runtime import Runtime
from stableft.training.setup import Setup, build
from tests.conftest import TOY, ConfigFactory

SHORT = {"schedule.num_epochs": None, "schedule.num_steps": 6, "evaluation.every": 2}
ALWAYS = 1e-9  # seconds


@pytest.fixture
def job(toy_config: ConfigFactory, tiny_encoder: Encoder, tmp_path: Path) -> Job:
    config, data = toy_config(SHORT), TOY.load()
    identity = run_id(config, data=data.fingerprint, weights=tiny_encoder.fingerprint)
    return Job(identity, config, tiny_encoder, data, tmp_path, checkpoint_minutes=10)


def trajectory(record: RunRecord, folder: Path) -> str:
    store = Store(folder)
    store.write(record)
    return store.trajectory(record.run_id)


class Killed(BaseException):
    """As SIGKILL: nothing catches it."""


def killed_after(step: int, monkeypatch: pytest.MonkeyPatch, job: Job) -> Path:
    """The checkpoint of a run that ends after that step."""

    def maybe_save(checkpointer: Checkpointer, done: int, state: checkpointing.TrainingState) -> None:
        if done == step:
            checkpointer.save(done, state)
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpointer, "maybe_save", maybe_save)
        with pytest.raises(Killed):
            run_one(job)
    return Store(job.results).checkpoint_path(job.run_id)


# --- when --------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps after which a checkpoint is written, where every step takes four minutes."""
    steps: list[int] = []
    clock = [0.0]
    monkeypatch.setattr(checkpointing.time, "monotonic", lambda: clock[0])
    maybe_save, save = Checkpointer.maybe_save, Checkpointer.save

    def later(checkpointer: Checkpointer, done: int, state: checkpointing.TrainingState) -> None:
        clock[0] += 240
        maybe_save(checkpointer, done, state)

    def noted(checkpointer: Checkpointer, done: int, state: checkpointing.TrainingState) -> None:
        steps.append(done)
        save(checkpointer, done, state)

    monkeypatch.setattr(Checkpointer, "maybe_save", later)
    monkeypatch.setattr(Checkpointer, "save", noted)
    return steps


@pytest.mark.parametrize(("minutes", "expected"), [(10.0, [3]), (4.0, [1, 2, 3, 4, 5]), (8.0, [2, 4]), (60.0, []), (0.0, [])])
def test_checkpoints_come_by_the_clock(job: Job, written: list[int], minutes: float, expected: list[int]) -> None:
    """None after the last step: the record follows."""
    run_one(dataclasses.replace(job, checkpoint_minutes=minutes))
    assert written == expected
    assert Store(job.results).checkpoint_path(job.run_id).exists() == bool(expected)


def test_a_record_takes_its_checkpoint_away(job: Job, written: list[int]) -> None:
    record = run_one(dataclasses.replace(job, checkpoint_minutes=1))
    store = Store(job.results)
    assert store.checkpoint_path(job.run_id).is_file()
    store.write(record)
    assert not list(store.checkpoint_path("").parent.iterdir())


def test_short_runs_and_those_that_want_none_touch_no_file(job: Job) -> None:
    for minutes in (10.0, 0.0):
        record = run_one(dataclasses.replace(job, checkpoint_minutes=minutes))
        assert not (job.results / "checkpoints").exists()
        assert (record.provenance["attempts"], record.provenance["resumed_at"]) == (1, [])


def test_a_checkpoint_moves_no_number(job: Job, tmp_path: Path) -> None:
    off, on = (run_one(dataclasses.replace(job, checkpoint_minutes=minutes)) for minutes in (0.0, 1e-9))
    assert trajectory(off, tmp_path / "off") == trajectory(on, tmp_path / "on")


# --- what is in it -----------------------------------------------------------------------------------------------------------


def test_what_a_checkpoint_holds(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tensors, none of them pickled; each in its own type."""
    path = killed_after(3, monkeypatch, job)
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    kinds = {name.partition(".")[0] for name in tensors}
    assert kinds == {"model", "adam", "stream", "generator", "points", "rows", "notes"}
    assert {str(tensors[name].dtype) for name in tensors if name.startswith(("model.", "adam."))} == {"torch.float32"}
    assert tensors["adam.step.head.weight"].item() == 3
    assert tensors["rows.value"].dtype == torch.float64
    assert path.read_bytes()[8:9] == b"{"


def test_rows_come_back_with_all_their_bits() -> None:
    nan = np.array([0xFFF8000000000001, 0x7FF8000000000000], np.uint64).view(np.float64)  # one of them negative, with a payload
    rows = [MetricRow(1, "train", "loss", "", v) for v in (*nan.tolist(), 0.1, -0.0, float("inf"))] + [
        MetricRow(2, "a", "b", "c.d", 5e-324)
    ]
    kinds, tensors = checkpointing._rows_as_tensors(rows)
    again = checkpointing._read_rows(kinds, tensors)
    assert [row[:4] for row in again] == [row[:4] for row in rows]
    values = [np.array([row.value for row in part]).view(np.uint64).tolist() for part in (rows, again)]
    assert values[0] == values[1]


@pytest.mark.parametrize("offsets", [None, np.array([0, 2, 3])])
def test_predictions_come_back(offsets: Any, tmp_path: Path, setup: Setup, state: checkpointing.TrainingState) -> None:
    given = Predictions("test", np.array([1.0, 0, 1]), np.array([1.0, 1, 1]), np.zeros((3, 0), np.float32), offsets)
    checkpointer = Checkpointer(tmp_path / "x", {}, 1.0)
    checkpointer.predictions.append(given)
    checkpointer.save(1, state)
    again = Checkpointer(tmp_path / "x", {}, 1.0)
    again.load()
    for one, other in zip(given, again.predictions[0], strict=True):
        assert type(one) is type(other)
        assert np.array_equal(np.array(one), np.array(other))


@pytest.fixture
def setup(toy_config: ConfigFactory, toy_data: Data, tiny_encoder: Encoder) -> Setup:
    return build(toy_config(SHORT), toy_data, tiny_encoder, Runtime())


@pytest.fixture
def state(setup: Setup, toy_config: ConfigFactory, toy_data: Data) -> checkpointing.TrainingState:
    """After all steps of a run."""
    seen: list[checkpointing.TrainingState] = []

    class Looking(Checkpointer):
        def maybe_save(self, done: int, state: checkpointing.TrainingState) -> None:
            seen.append(state)

    for _ in train(setup, toy_data, Runtime(), Looking(Path("nowhere"), {}, None)):
        pass
    return seen[-1]


def test_a_bf16_moment_stays_one(state: checkpointing.TrainingState, tmp_path: Path) -> None:
    parameter, slots = next(iter(state._optimizer.state.items()))
    slots["exp_avg"] = slots["exp_avg"].to(torch.bfloat16)
    Checkpointer(tmp_path / "x", {}, 1.0).save(1, state)
    checkpointer = Checkpointer(tmp_path / "x", {}, 1.0)
    checkpointer.load()
    kept = slots["exp_avg"].clone()
    slots["exp_avg"] = torch.zeros_like(parameter)
    assert checkpointer.restore(state) == 1
    assert state._optimizer.state[parameter]["exp_avg"].dtype == torch.bfloat16
    assert torch.equal(state._optimizer.state[parameter]["exp_avg"], kept)


# --- refused and damaged -----------------------------------------------------------------------------------------------------


def whole(job: Job, folder: Path) -> str:
    return trajectory(run_one(dataclasses.replace(job, results=folder, checkpoint_minutes=0.0)), folder)


@pytest.mark.parametrize(("change", "named"), [({"packed": False}, "packed"), ({"run_id": "f" * 16}, "run")], ids=str)
def test_a_checkpoint_of_another_execution_is_not_used(
    job: Job, change: dict[str, Any], named: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = killed_after(3, monkeypatch, job)
    other = dataclasses.replace(job, **change)
    path.rename(path := Store(job.results).checkpoint_path(other.run_id))
    record = run_one(other)
    assert record.provenance["resumed_at"] == []
    assert capsys.readouterr().err == f"{path} is not used, the run starts again: it has another {named}\n"
    assert path.is_file()  # no damage was done; the next checkpoint takes its place, and the record takes it away


def test_one_of_other_code_is_not_used(job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    killed_after(3, monkeypatch, job)
    monkeypatch.setattr(provenance, "code_sha256", lambda: "changed")
    assert run_one(job).provenance["resumed_at"] == []
    assert "another code" in capsys.readouterr().err


@pytest.mark.parametrize(("variable", "used"), [("ONEDNN_MAX_CPU_ISA", False), ("CUDA_VISIBLE_DEVICES", True)])
def test_one_that_other_kernels_computed_is_not_used(
    job: Job, variable: str, used: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_after(3, monkeypatch, job)
    monkeypatch.setenv(variable, "7")
    assert run_one(job).provenance["resumed_at"] == ([3] if used else [])
    assert ("another environment" in capsys.readouterr().err) is not used


def test_one_with_products_of_other_libraries_is_not_used(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    killed_after(3, monkeypatch, job)
    monkeypatch.setattr(layers, "PRODUCTS", kernels.TORCH if layers.PRODUCTS != kernels.TORCH else kernels.ONEDNN)
    assert run_one(job).provenance["resumed_at"] == []
    assert "another products" in capsys.readouterr().err


def test_a_damaged_one_is_set_aside_and_the_run_starts_anew(
    job: Job, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = killed_after(3, monkeypatch, job)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    record = run_one(job)
    assert record.provenance["resumed_at"] == []
    assert trajectory(record, tmp_path / "a") == whole(job, tmp_path / "b")
    assert not path.exists()
    (aside,) = (job.results / "damaged").iterdir()
    assert aside.read_bytes() == bytes(content)
    messages = capsys.readouterr().err
    assert str(aside) in messages
    assert "starts again" in messages


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_is_taken_for_a_checkpoint(state: checkpointing.TrainingState, tmp_path: Path, data: st.DataObject) -> None:
    """Whatever byte is another one, wherever the file ends: it is damaged, or at the least it is not used."""
    path = tmp_path / "x"
    if not path.is_file():
        Checkpointer(path, {"run": "a"}, 1.0).save(1, state)
    good = path.read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    where = data.draw(st.one_of(st.integers(0, header + 200), st.integers(0, len(good) - 1)))
    cut = data.draw(st.booleans())
    bad = good[:where] if cut else good[:where] + bytes([good[where] ^ data.draw(st.integers(1, 255))]) + good[where + 1 :]
    try:
        path.write_bytes(bad)
        checkpointer = Checkpointer(path, {"run": "a"}, 1.0)
        with pytest.raises(Damaged):
            checkpointer.load()
        assert checkpointer.restore(state) == 0
    finally:
        path.write_bytes(good)


@pytest.fixture
def small_files() -> Iterator[Callable[[int], None]]:
    """Lets this process write no file larger than that, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_without_room_the_run_goes_on(
    job: Job, small_files: Callable[[int], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = whole(job, tmp_path / "whole")
    small_files(50_000)
    record = run_one(dataclasses.replace(job, checkpoint_minutes=ALWAYS / 60))
    assert trajectory(record, tmp_path / "a") == expected
    messages = capsys.readouterr().err.splitlines()
    assert len(messages) == 5
    assert messages[0].startswith("no checkpoint after step 1, the run continues without: ")
    assert not list((job.results / "checkpoints").iterdir()), "no draft stays"


def test_the_earlier_checkpoint_outlives_a_failed_one(
    state: checkpointing.TrainingState, small_files: Callable[[int], None], tmp_path: Path
) -> None:
    warnings: list[str] = []
    checkpointer = Checkpointer(tmp_path / "x", {}, ALWAYS, warn=warnings.append)
    checkpointer.maybe_save(1, state)
    content = (tmp_path / "x").read_bytes()
    small_files(50_000)
    checkpointer.maybe_save(2, state)
    assert len(warnings) == 1
    assert (tmp_path / "x").read_bytes() == content
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_drafts_of_a_dead_command_go(tmp_path: Path) -> None:
    ours, others = tmp_path / ".x.123.abc.tmp", tmp_path / ".y.123.abc.tmp"
    for draft in (ours, others):
        draft.touch()
    Checkpointer(tmp_path / "x", {}, 1.0).load()
    assert list(tmp_path.iterdir()) == [others]


# --- attempts ----------------------------------------------------------------------------------------------------------------


def test_time_and_memory_are_those_of_all_attempts(
    state: checkpointing.TrainingState, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, peak = [50.0], [500.0]
    monkeypatch.setattr(checkpointing.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpointing.time, "time", lambda: 1e9 + now[0])
    monkeypatch.setattr(checkpointing.memory, "peak_memory_mb", lambda: peak[0])
    for done in (2, 4):
        checkpointer = Checkpointer(tmp_path / "x", {}, 1.0)
        checkpointer.load()
        now[0] += 10
        checkpointer.save(done, state)
        now[0] += 1000  # after the checkpoint, lost
        peak[0] -= 100
    last = Checkpointer(tmp_path / "x", {}, 1.0, began=now[0] - 3)
    last.load()
    assert last.cost() == checkpointing.RunCost(started=1e9 + 50, seconds=23.0, peak_memory_mb=500.0, resumed_at=(2, 4))


def test_progress_goes_on_from_where_it_was(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_after(4, monkeypatch, job)
    monkeypatch.setattr(run_job, "PROGRESS_SECONDS", -1.0)
    seen: list[tuple[int, int]] = []
    run_one(job, lambda step, total, loss: seen.append((step, total)))
    assert seen == [(5, 6), (6, 6)]


@pytest.mark.slow
@pytest.mark.parametrize("intermediate", [False, True])
def test_a_killed_process_is_replaced_and_the_run_goes_on(job: Job, intermediate: bool, tmp_path: Path) -> None:
    """The real thing: SIGKILL after a checkpoint. With an intermediate task, of each of the two runs."""
    if intermediate:
        source = job
        techniques = [{"name": "intermediate", "task": "toy", "seed": 1}]
        config = source.config.model_validate({**source.config.model_dump(), "techniques": techniques})
        first = config.sources()["intermediate"]
        source = dataclasses.replace(job, run_id="a" * 16, config=first)
        job = dataclasses.replace(job, run_id="b" * 16, config=config, sources={"intermediate": source})
    undisturbed = dataclasses.replace(job, results=tmp_path / "whole", sources={
        name: dataclasses.replace(source, results=tmp_path / "whole") for name, source in job.sources.items()
    })  # fmt: skip
    expected = trajectory(run_one(undisturbed), tmp_path / "whole")
    told: list[int] = []
    supervisor = Supervisor(lambda job, step, *_: told.append(step), max_retries=2, target=partial(serve_but_die_once, step=4))
    status = supervisor(job)
    supervisor.stop()
    assert (status.state, status.detail, status.attempts) == ("done", "ok", 3 if intermediate else 2)
    store = Store(job.results)
    assert store.trajectory(job.run_id) == expected
    provenance = {run: store.read(run).provenance for run in (job.run_id, *(source.run_id for source in job.sources.values()))}
    assert all(each["resumed_at"] == [4] for each in provenance.values())
    assert provenance[job.run_id]["attempts"] == status.attempts
    assert all(each["attempts"] == 2 for run, each in provenance.items() if run != job.run_id)
    assert not list((job.results / "checkpoints").iterdir())
