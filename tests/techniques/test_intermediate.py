"""Intermediate: the second run starts from what the first one left, and from nothing else of it; the first is done once."""

import dataclasses
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

from experiments.protocol import SMOKE
from stableft.cli.plan import plan_view
from stableft.core.config import EvaluationConfig, RunConfig, ScheduleConfig, run_id, with_overrides
from stableft.core.errors import MissingInput, UsageError
from stableft.core.grid import Grid
from stableft.core.technique import Stage
from stableft.execution import collect, planning, run_job, runner, worker
from stableft.execution.forecast import Forecast
from stableft.execution.inputs import Inputs
from stableft.execution.job import Job
from stableft.execution.run_job import run_one
from stableft.execution.supervisor import Supervisor
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data, encode
from stableft.models.weights import load_encoder, read_weights, save_weights
from stableft.storage.store import Store
from stableft.tasks.catalog import get_task
from stableft.techniques.intermediate import Intermediate
from stableft.techniques.mixout import Mixout
from stableft.techniques.pretrained_weight_decay import PretrainedWeightDecay
from stableft.techniques.reinit import Reinit
from stableft.training.runtime import Runtime
from stableft.training.setup import Setup, build
from tests.conftest import TOY, ConfigFactory, wait_for
from tests.helpers import trials

EXAMPLE = Intermediate(task="toyscore", num_steps=4)
FEW_STEPS = {"schedule.num_epochs": None, "schedule.num_steps": 8, "evaluation.every": 4}
FIRST = Intermediate(task="toyscore", num_train=24, num_epochs=2, lr=1e-3, batch_size=4)


# --- which run comes first -----------------------------------------------------------------------------------------------------


def test_the_first_run_is_this_one_without_techniques_on_the_other_task(toy_config: ConfigFactory) -> None:
    config = toy_config(
        {"seed": 3, "dropout": 0.2, "reinit_seed": 5}, techniques=(Reinit(num_layers=1), Intermediate(task="other"))
    )
    assert config.sources() == {
        "intermediate": toy_config(
            {"seed": 3, "dropout": 0.2}, task="other", evaluation=EvaluationConfig(num_points=1, test_points="last")
        )
    }


def test_its_settings_are_those_of_the_first_run(toy_config: ConfigFactory) -> None:
    config = toy_config({"seed": 3, "order_seed": 7}, techniques=(FIRST,))
    first = config.sources()["intermediate"]
    assert (first.num_train, first.batch_size, first.adam.lr, first.seed, first.order_seed) == (24, 4, 1e-3, 3, 7)
    assert first.schedule == ScheduleConfig(num_epochs=2, warmup_ratio=0.1)
    steps = toy_config(techniques=(Intermediate(task="other", num_steps=5),)).sources()["intermediate"]
    assert steps.schedule == ScheduleConfig(num_steps=5, warmup_ratio=0.1)
    shared = toy_config({"seed": 3, "order_seed": 7}, techniques=(Intermediate(task="other", seed=0),)).sources()["intermediate"]
    assert (shared.seed, shared.order_seed, shared.sample_seed) == (0, None, None)


def test_without_a_task_there_is_none(toy_config: ConfigFactory) -> None:
    assert toy_config().sources() == toy_config(techniques=(Intermediate.null(),)).sources() == {}


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"task": "toy", "num_epochs": 1, "num_steps": 1}, "set at most one of num_epochs and num_steps"),
        ({"lr": 1e-3}, "set task: without one there is no first run"),
        ({"task": "toy", "lr": 0}, "greater than 0"),
        ({"task": ""}, "at least 1 character"),
    ],
)
def test_impossible_settings(toy_config: ConfigFactory, settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        toy_config(techniques=[{"name": "intermediate", **settings}])


def test_it_acts_before_reinit(toy_config: ConfigFactory) -> None:
    config = toy_config(techniques=(Reinit(num_layers=1), PretrainedWeightDecay(weight_decay=1.0), EXAMPLE))
    assert [technique.name for technique in config.techniques or ()] == ["intermediate", "reinit", "pretrained_weight_decay"]
    assert EXAMPLE.stage is Stage.WEIGHTS


# --- what it starts from -------------------------------------------------------------------------------------------------------

Built = Callable[..., Setup]


@pytest.fixture
def built(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> Built:
    def built(*techniques: Any, packed: bool = True, **settings: Any) -> Setup:
        return trials.prepare(toy_config(settings, techniques=techniques), lively_encoder, toy_data, packed=packed)

    return built


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_tensor_by_tensor_it_is_what_the_first_run_left(
    built: Built, packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    """The file is read by safetensors itself, the first run is done anew, on tokens of its own."""
    standard, setup = built(packed=packed), built(FIRST, packed=packed)
    config = toy_config(techniques=(FIRST,))
    left = load_file(trials.sources(config, lively_encoder)["intermediate"])
    first = config.sources()["intermediate"]
    task = get_task("toyscore")
    data = encode(task, task.load(), lively_encoder, first.max_length)
    again = trials.prepare(first, lively_encoder, data)
    trials.run(again, data)
    start, trained, before = trials.state(setup), trials.state(again), trials.state(standard)
    table = "encoder.embeddings.word_embeddings.weight"
    for name, value in start.items():
        if name.startswith("head."):
            assert torch.equal(value, before[name]), "the head is this seed's, as without the technique"
        elif name == table:
            assert torch.equal(value, left[name][torch.from_numpy(toy_data.pieces)])
            pretrained = load_file(lively_encoder.folder / "model.safetensors")["embeddings.word_embeddings.weight"].clone()
            pretrained[torch.from_numpy(data.pieces)] = trained[name]
            assert torch.equal(left[name], pretrained), "all pieces: trained ones, and the others as they were"
        else:
            assert torch.equal(value, left[name]), name
            assert torch.equal(value, trained[name]), name
    assert not torch.equal(start[table], before[table])
    assert not torch.equal(
        start["encoder.encoder.layer.1.output.dense.weight"], before["encoder.encoder.layer.1.output.dense.weight"]
    )
    assert left["head.weight"].shape != start["head.weight"].shape, "the file has the other task's, which is left there"
    assert setup.fresh == standard.fresh == {"head.weight", "head.bias"}


def test_nothing_else_of_the_run_changes(built: Built, toy_config: ConfigFactory, toy_data: Data) -> None:
    """Head, examples, schedule, groups, data order and dropout masks are those of the standard arm."""
    standard, setup = built(**FEW_STEPS), built(FIRST, **FEW_STEPS)
    for field in ("num_steps", "warmup_steps", "evaluation_steps", "fresh"):
        assert getattr(standard, field) == getattr(setup, field)
    assert np.array_equal(standard.train_indices, setup.train_indices)
    assert [(g.place, g.lr_scale, g.weight_decay, len(g.params)) for g in standard.groups] == [
        (g.place, g.lr_scale, g.weight_decay, len(g.params)) for g in setup.groups
    ]
    members = {id(parameter) for group in setup.groups for parameter in group.params}
    assert members == {id(parameter) for parameter in setup.model.parameters()}
    # With the weights of the standard arm put back, the run is the standard run: no stream has moved.
    setup.model.load_state_dict(trials.state(standard), strict=True)
    assert trials.same(trials.run(setup, toy_data), trials.run(standard, toy_data))


def test_between_tagging_and_other_kinds_all_but_the_pooler_is_carried_over(
    built: Built, toy_config: ConfigFactory, lively_encoder: Encoder
) -> None:
    """Tagging has no pooler: none is taken from where there is one, and the checkpoint's stays where there was none."""
    blocks = Intermediate(task="toytag", num_steps=2)
    left = load_file(trials.sources(toy_config(techniques=(blocks,)), lively_encoder)["intermediate"])
    start, standard = trials.state(built(blocks)), trials.state(built())
    poolers = {name for name in start if "pooler" in name}
    assert poolers
    assert not any("pooler" in name for name in left)
    assert all(torch.equal(start[name], standard[name]) for name in poolers)
    block = "encoder.encoder.layer.1.output.dense.weight"
    assert torch.equal(start[block], left[block])
    tagging = toy_config(task="toytag", techniques=(EXAMPLE,), head="bilstm_crf")
    assert tagging.sources()["intermediate"].head == "linear"
    task = get_task("toytag")
    setup = trials.prepare(tagging, lively_encoder, encode(task, task.load(), lively_encoder, tagging.max_length))
    there = load_file(trials.sources(tagging, lively_encoder)["intermediate"])
    assert torch.equal(trials.state(setup)[block], there[block])


def test_the_start_of_other_techniques_is_what_the_first_run_left(built: Built) -> None:
    left = trials.state(built(EXAMPLE))
    setup = built(EXAMPLE, PretrainedWeightDecay(weight_decay=1.0), Mixout(p=0.5), Reinit(num_layers=1))
    parameters = dict(setup.model.named_parameters())
    names = {id(parameter): name for name, parameter in parameters.items()}
    anchored = {names[id(p)]: to for group in setup.groups for p, to in zip(group.params, group.decay_to or (), strict=False)}
    assert anchored
    assert all(torch.equal(to, left[name]) for name, to in anchored.items())
    block = "encoder.encoder.layer.1.output.dense.weight"
    assert block in setup.fresh, "reinit drew it after"
    assert not torch.equal(parameters[block], left[block])
    kept = "encoder.encoder.layer.0.output.dense.weight"
    assert torch.equal(parameters[kept], left[kept])


def test_unread_embeddings_are_what_plain_decay_makes_of_them(
    toy_config: ConfigFactory, lively_encoder: Encoder, tmp_path: Path
) -> None:
    """Step by step, with the rates that were logged."""
    task = get_task("toyscore")
    config = toy_config({"adam.weight_decay": 0.1, "adam.lr": 1e-2}, task="toyscore")
    job = Job("first", config, lively_encoder, task.load(), tmp_path)
    path = Store(tmp_path).weights_path("first")
    path.parent.mkdir(parents=True)
    run_job._train_source(job, lambda *_: None, path)
    data = encode(task, task.load(), lively_encoder, config.max_length)
    unread = [piece for piece in range(45) if piece not in data.pieces]
    assert unread
    original = load_file(lively_encoder.folder / "model.safetensors")["embeddings.word_embeddings.weight"][unread]
    record = Store(tmp_path).read("first")
    expected = original.double()
    for lr in record.metrics.query("metric == 'lr'")["value"]:
        expected = expected - lr * 0.1 * expected
    left = read_weights(path)["encoder.embeddings.word_embeddings.weight"][unread]
    torch.testing.assert_close(left.double(), expected, rtol=1e-6, atol=0)
    assert not torch.equal(left, original)


def test_build_without_the_weights_says_so(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    with pytest.raises(UsageError, match=r"intermediate: build.. needs the encoder that a run on toyscore ended with"):
        build(toy_config(techniques=(EXAMPLE,)), toy_data, lively_encoder, Runtime())


@pytest.fixture
def saved(built: Built, lively_encoder: Encoder, tmp_path: Path) -> tuple[Setup, Path]:
    setup = built()
    save_weights(setup.model, lively_encoder, tmp_path / "x.safetensors")
    return setup, tmp_path / "x.safetensors"


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "other", "gone"])
def test_weights_that_are_damaged_or_of_another_encoder(saved: tuple[Setup, Path], damage: str) -> None:
    setup, path = saved
    content = path.read_bytes()
    message = "is damaged .*Delete it and run again"
    if damage == "cut":
        path.write_bytes(content[:-100])
    elif damage == "flipped":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "emptied":
        path.write_bytes(b"")
    elif damage == "other":  # whole, but not written by us
        save_file({"a": torch.zeros(1)}, path)
    else:
        path.unlink()
        message = "does not exist: run again"
    with pytest.raises(MissingInput, match=message):
        load_encoder(setup.model, path)


def test_weights_of_another_shape(
    saved: tuple[Setup, Path], lively_encoder: Encoder, toy_config: ConfigFactory, toy_data: Data, tmp_path: Path
) -> None:
    deep = trials.deep_encoder(lively_encoder, tmp_path / "deep", 3)
    other = trials.prepare(toy_config(), deep, toy_data)
    with pytest.raises(MissingInput, match=r"is of another model: encoder.* is .* there and .* here"):
        load_encoder(other.model, saved[1])


# --- execution -----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def job(toy_config: ConfigFactory, tiny_encoder: Encoder, tmp_path: Path) -> Job:
    return make(toy_config(FEW_STEPS, techniques=(EXAMPLE,)), tiny_encoder, tmp_path)


def make(config: RunConfig, encoder: Encoder, results: Path) -> Job:
    data = get_task(config.task).load()
    sources = {name: make(source, encoder, results) for name, source in config.sources().items()}
    identity = run_id(config, data=data.fingerprint, weights=encoder.fingerprint, sources=[s.run_id for s in sources.values()])
    return Job(identity, config, encoder, data, results, sources=sources)


def values(record: Any) -> list[float]:
    return record.metrics["value"].tolist()


def test_the_first_run_is_done_stored_and_told_of(job: Job) -> None:
    told: list[tuple[int, int, float]] = []
    run_job.PROGRESS_SECONDS, before = 0.0, run_job.PROGRESS_SECONDS
    try:
        record = run_one(job, lambda *event: told.append(event))
    finally:
        run_job.PROGRESS_SECONDS = before
    store, first = Store(job.results), job.sources["intermediate"]
    assert [step for step, _, _ in told] == list(range(1, 4 + 8 + 1))
    assert {total for _, total, _ in told} == {4 + 8}
    assert record.facts["sources"] == first.run_id
    stored = store.read(first.run_id)
    assert (stored.outcome, stored.config["task"], stored.facts["num_steps"]) == ("ok", "toyscore", 4)
    assert "sources" not in stored.facts
    assert set(stored.metrics.query("split != 'train'")["step"]) == {4}
    alone = run_one(dataclasses.replace(first, results=job.results / "elsewhere"))
    assert values(alone) == values(stored), "it is an ordinary run"
    assert [path.suffix for path in sorted(store.weights_path("x").parent.iterdir())] == [".lock", ".safetensors"]


def test_it_is_done_once_and_the_second_run_is_the_same_whoever_did_it(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    train = run_job._train
    monkeypatch.setattr(run_job, "_train", lambda job, *rest: done.append(job.run_id) or train(job, *rest))
    first, second = run_one(job), run_one(job)
    source = job.sources["intermediate"].run_id
    assert done == [source, job.run_id, job.run_id]
    assert values(first) == values(second)
    # The record alone is not enough: without the weights the first run is done again, to the same bits.
    path = Store(job.results).weights_path(source)
    content = path.read_bytes()
    path.unlink()
    assert values(run_one(job)) == values(first)
    assert path.read_bytes() == content
    assert done[3:] == [source, job.run_id]


def test_damaged_weights_are_refused_with_what_to_do(job: Job) -> None:
    path = Store(job.results).weights_path(job.sources["intermediate"].run_id)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{}")
    state, message = worker._reply(job, Store(job.results), lambda *_: None)
    assert state == "refused"
    assert f"{path} is damaged" in message


def test_a_first_run_that_diverges_leaves_what_it_had(toy_config: ConfigFactory, tiny_encoder: Encoder, tmp_path: Path) -> None:
    config = toy_config({"max_grad_norm": None}, techniques=(Intermediate(task="toyscore", lr=1e30, num_steps=6),))
    job = make(config, tiny_encoder, tmp_path)
    record = run_one(job)
    assert Store(tmp_path).read(job.sources["intermediate"].run_id).outcome == "diverged"
    assert record.outcome == "diverged"


GRID = Grid(
    "adam",
    dataclasses.replace(SMOKE, seeds=(0, 1)),
    {
        "standard": {},
        "intermediate": {"techniques": (Intermediate(task="toyscore", seed=0),)},
        "both": {"techniques": (Intermediate(task="toyscore", seed=0), Reinit(num_layers=1))},
    },
    ("toy",),
    (0, 1),
)


@pytest.mark.slow
def test_from_the_plan_to_the_tables_with_one_first_run_for_all(tmp_path: Path) -> None:
    store, inputs = Store(tmp_path / "results"), Inputs()
    planned = planning.plan(GRID, store, inputs)
    (source,) = planned.sources
    assert planned.sources[source].task == "toyscore"
    assert not store.root.exists()
    view = plan_view(planned, store, Forecast(2, reason="too short to be measured"))
    assert view.data["first"] == {"toyscore": 1}
    assert "first: 1 runs on toyscore, since others start from their weights" in view.text
    assert json.dumps(view.data)
    assert planning.estimated_bytes(planned, store) > inputs.encoder("tiny-random").size > 0
    ended = list(runner.run_grid(planned, store, inputs, runner.ExecutionOptions("local", workers=2)))
    assert [status.state for status in ended] == ["done"] * 6
    assert {path.stem for path in (store.root / "runs").iterdir()} == {source, *(cell.run_id for cell in planned.cells)}
    assert [path.stem for path in (store.root / "weights").glob("*.safetensors")] == [source]
    after = planning.plan(GRID, store, inputs)
    assert after.missing == []
    assert after.sources == {}
    results = collect.collect(GRID, store, inputs)
    assert results is not None
    by_arm = store.load("smoke", "adam").runs.groupby("arm")["sources"].agg(lambda column: set(column.dropna()))
    assert by_arm.to_dict() == {"standard": set(), "intermediate": {source}, "both": {source}}
    # As in a fresh clone: the tables are there, runs and weights are not.
    for path in [*(store.root / "runs").iterdir(), *(store.root / "weights").iterdir()]:
        path.unlink()
    again = collect.collect(GRID, store, inputs)
    assert again is not None
    pd.testing.assert_frame_equal(again.metrics, results.metrics)
    assert len(planning.plan(GRID, store, inputs).sources) == 1


def test_identities(toy_config: ConfigFactory) -> None:
    inputs = Inputs()
    ids = [
        inputs.run_id(toy_config({"seed": seed}, techniques=techniques))
        for seed in (0, 1)
        for techniques in (None, (EXAMPLE,), (EXAMPLE.model_copy(update={"num_steps": 5}),), (Intermediate.null(),))
    ]
    assert len(set(ids)) == len(ids)
    config = toy_config(techniques=(EXAMPLE,))
    data, weights = TOY.load().fingerprint, inputs.encoder("tiny-random").fingerprint
    source = inputs.run_id(config.sources()["intermediate"])
    assert inputs.run_id(config) == run_id(config, data=data, weights=weights, sources=[source])
    assert len({run_id(config, data="d", weights="w", sources=sources) for sources in ([], ["a"], ["b"])}) == 3


def test_a_source_has_no_source(toy_config: ConfigFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Intermediate, "source_overrides", lambda self: {"task": "toyscore"})
    config = toy_config(techniques=(EXAMPLE,))
    monkeypatch.setattr(RunConfig, "sources", lambda self: {"intermediate": self})
    with pytest.raises(UsageError, match=r"intermediate: the run on toy .* can't itself start from another"):
        Inputs().run_id(config)


def test_an_unknown_first_task_is_refused_when_planned(tmp_path: Path) -> None:
    grid = dataclasses.replace(GRID, arms={"a": {"techniques": (Intermediate(task="mnlii"),)}})
    with pytest.raises(UsageError, match="unknown task 'mnlii'; known: "):
        planning.plan(grid, Store(tmp_path), Inputs())


@pytest.mark.slow
def test_killed_in_the_first_run_and_after_it(job: Job) -> None:
    """The same command goes on: nothing half written is taken for whole, and no lock stays behind."""
    long = Intermediate(task="toyscore", num_steps=150)
    job = make(with_overrides(job.config, {"techniques": (long,), "schedule.num_steps": 160}), job.encoder, job.results)
    store, source = Store(job.results), job.sources["intermediate"].run_id
    path = store.weights_path(source)
    kill_when(job, path.with_suffix(".lock").exists)
    assert not path.exists()
    assert not store.has(source)
    kill_when(job, lambda: store.has(source))
    assert not store.has(job.run_id)
    weights = path.read_bytes()
    supervisor = Supervisor(lambda *_: None)
    assert supervisor(job).state == "done"
    supervisor.stop()
    assert path.read_bytes() == weights
    undisturbed = run_one(make(job.config, job.encoder, job.results / "elsewhere"))
    assert values(store.read(job.run_id)) == values(undisturbed)


def kill_when(job: Job, reached: Callable[[], bool]) -> None:
    """Starts the job in a process of its own and kills it as soon as that is so."""
    supervisor = Supervisor(lambda *_: None, max_retries=0)
    statuses: list[Any] = []
    thread = threading.Thread(target=lambda: statuses.append(supervisor(job)))
    thread.start()
    wait_for(reached, 300)
    os.kill(supervisor._workers[0].process.pid or 0, signal.SIGKILL)
    thread.join(60)
    assert [status.state for status in statuses] == ["killed"]
