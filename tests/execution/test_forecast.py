"""Expected time of a grid: from this machine's own runs, else from a calibration, else unknown with the reason."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from experiments import adam, techniques
from experiments.protocol import PAPER, SMOKE
from stableft.core.grid import Grid, select
from stableft.execution import forecast
from stableft.execution.backends.base import Cluster
from stableft.execution.forecast import Forecast
from stableft.execution.inputs import Inputs
from stableft.execution.job import Job
from stableft.execution.pace import Pace, run_seconds, workload
from stableft.execution.planning import plan
from stableft.execution.runner import ExecutionOptions
from stableft.models import kernels
from stableft.storage.store import Store
from tests.storage.test_store import record

GRID = select(adam.grid(SMOKE), seeds=range(4))
LONG = select(GRID, overrides={"schedule.num_epochs": 500})
TWO = ExecutionOptions(workers=2)


class Measure:
    """Gives every job the same pace, and keeps the jobs."""

    def __init__(self, pace: Pace | str = Pace(1.0, 0.1, 0.01)) -> None:
        self.pace, self.jobs, self.workers = pace, list[Job](), 0

    def __call__(self, jobs: Sequence[Job], workers: int) -> Mapping[str, Pace | str]:
        self.jobs, self.workers = list(jobs), workers
        return {job.run_id: self.pace for job in jobs}


def expected(grid: Grid, folder: Path, options: ExecutionOptions = TWO, measure: Measure | None = None) -> Forecast:
    store, inputs = Store(folder), Inputs()
    return forecast.forecast(plan(grid, store, inputs), store, inputs, options, measure or Measure("not to be called"))


def test_a_calibration_measures_each_shape_once_and_scales_it_to_every_run(tmp_path: Path):
    measure = Measure()
    found = expected(LONG, tmp_path, measure=measure)
    (job,) = measure.jobs  # the arms differ in Adam's correction only
    assert measure.workers == 2
    assert (job.config.evaluation.num_points, job.data.test, job.checkpoint_minutes) == (1, (), 0.0)
    inputs = Inputs()
    one = run_seconds(Pace(1.0, 0.1, 0.01), workload(LONG.cells()[0].config, inputs.data("toy"), inputs.encoder("tiny-random")))
    assert set(found.seconds.values()) == {one}
    assert found.total() == pytest.approx(4 * one)
    assert found.total([0]) == pytest.approx(one)
    assert found.total([0, 1, 2]) == pytest.approx(3 * one)
    assert (found.by_task(), found.origin, found.reason) == ({"toy": one}, "calibration", "")
    assert not list(tmp_path.iterdir())


def test_techniques_that_change_no_step_are_not_measured_apart_and_source_runs_count(tmp_path: Path):
    arms = {
        "standard": {},
        "reinit": {"techniques": [{"name": "reinit", "num_layers": 1}]},
        "mixout": {"techniques": [{"name": "mixout", "p": 0.5}]},
        "sam": {"techniques": [{"name": "sam", "rho": 0.1}]},
        "cosine": {"techniques": [{"name": "lr_shape", "shape": "cosine"}]},
        "first": {"techniques": [{"name": "intermediate", "task": "toyscore"}]},
    }
    measure = Measure()
    found = expected(dataclasses.replace(LONG, arms=arms, seeds=[0, 1]), tmp_path, measure=measure)
    shapes = {(job.config.task, tuple(each.name for each in job.config.techniques or ())) for job in measure.jobs}
    assert shapes == {("toy", ()), ("toy", ("mixout",)), ("toy", ("sam",)), ("toyscore", ())}
    assert len(found.seconds) == 2 * (len(arms) + 1)
    assert list(found.tasks.values())[:2] == ["toyscore"] * 2, "source runs are done first"


@pytest.mark.parametrize(
    ("grid", "options", "reason"),
    [
        (GRID, TWO, "too short to be measured"),
        (LONG, ExecutionOptions(device="cuda"), "no earlier run of these settings on cuda here"),
        (
            LONG,
            ExecutionOptions("dask", cluster=Cluster("tcp://host:1")),
            "the runs are on a Dask cluster, whose machines may be others",
        ),
        (select(GRID, seeds=[]), TWO, "no run is missing"),
        (select(adam.grid(PAPER), tasks=["rte"]), TWO, "inputs are missing"),
    ],
)
def test_what_is_not_measured_is_unknown_with_the_reason(
    grid: Grid, options: ExecutionOptions, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    found = expected(grid, tmp_path, options)
    assert found.reason.startswith(reason)
    assert (found.total(), found.total([0]), found.by_task(), found.origin) == (None, None, {}, None)


def test_a_calibration_that_fails_stops_nothing(tmp_path: Path):
    assert expected(LONG, tmp_path, measure=Measure("killed: no memory")).reason == "the calibration failed (killed: no memory)"


def write(store: Store, grid: Grid, seconds: Sequence[float], **changes: Mapping[str, Any]) -> None:
    """Records of a grid's runs, computed under the conditions of this machine unless changed."""
    inputs = Inputs()
    hardware, torch, execution = forecast._here(TWO)
    conditions = {"hardware": hardware, "torch": torch, "execution": execution}
    for p, each in zip(plan(grid, store, inputs).cells, seconds, strict=True):
        made = record(p.run_id or "")
        said = {name: {**value, **changes.get(name, {})} for name, value in conditions.items()}
        facts = {
            "data_fingerprint": inputs.data(p.cell.task).fingerprint,
            "weights_fingerprint": inputs.encoder(p.cell.config.encoder).fingerprint,
        }
        store.write(
            dataclasses.replace(
                made,
                config={**p.cell.config.model_dump(mode="json"), "encoder": "./renamed"},
                facts={**made.facts, **facts},
                provenance={**made.provenance, **said, "seconds": each},
            )
        )


def test_own_earlier_runs_of_the_same_settings_decide(tmp_path: Path):
    write(Store(tmp_path), select(LONG, seeds=[7], arms=["uncorrected"]), [30.0])  # an arm of the same cost, another seed
    write(Store(tmp_path), select(LONG, seeds=[8, 9], arms=["uncorrected"]), [40.0, 400.0])
    found = expected(LONG, tmp_path)
    assert found.origin == "earlier runs"
    assert set(found.seconds.values()) == {40.0}
    assert found.total() == 4 * 40.0
    other = Measure()
    assert expected(select(LONG, overrides={"schedule.num_epochs": 600}), tmp_path, measure=other).origin == "calibration"
    assert other.jobs


@pytest.mark.parametrize(
    "changes",
    [
        {"hardware": {"cpu": "another"}}, {"hardware": {"cores": 999}}, {"torch": {"cpu_capability": "another"}},
        {"torch": {"products": None}}, {"execution": {"threads": 3}}, {"execution": {"packed": False}},
    ],
)  # fmt: skip
def test_runs_of_another_machine_or_in_another_way_do_not_count(changes: dict[str, Any], tmp_path: Path):
    write(Store(tmp_path), select(LONG, seeds=[7], arms=["corrected"]), [30.0], **changes)
    assert expected(LONG, tmp_path, measure=Measure()).origin == "calibration"


def test_records_that_say_nothing_of_their_conditions_do_not_count(tmp_path: Path):
    store = Store(tmp_path)
    for number, provenance in enumerate([{}, {"hardware": None, "seconds": 1.0}, {"torch": [], "seconds": "long"}]):
        store.write(dataclasses.replace(record(f"{number:016}"), provenance=provenance))
    (tmp_path / "runs" / f"{9:016}.parquet").write_bytes(b"cut short")
    assert forecast.earlier_seconds(store, TWO) == {}


def test_the_conditions_here_are_those_that_a_run_records():
    from stableft.models import layers
    from stableft.training.runtime import Runtime, flags

    _, torch, _ = forecast._here(TWO)
    said = flags(Runtime())
    assert torch == {name: said[name] for name in ("cpu_capability", "products")}
    assert said["products"] == dataclasses.asdict(kernels.chosen().products) == dataclasses.asdict(layers.PRODUCTS)


def test_runs_begin_seed_by_seed_with_all_arms_and_tasks_also_when_resumed(tmp_path: Path):
    """After each seed all arms and tasks are complete, but for source runs, which are done inside the runs that need them."""
    for grid in (adam.grid(SMOKE), techniques.grid(SMOKE)):
        few = select(grid, seeds=[3, 0, 5])
        store = Store(tmp_path / grid.name)
        planned = plan(few, store, Inputs())
        done = [p for p in planned.cells if p.cell.seed == 3][1::2]
        for p in done:
            store.write(record(p.run_id or ""))
        resumed = plan(few, store, Inputs())
        for each in (planned, resumed):
            seeds = [config.seed for config in each.jobs.values()]
            assert seeds == sorted(seeds, key=[3, 0, 5].index)
            for config in each.jobs.values():
                assert {source.seed for source in config.sources().values()} <= {config.seed}
        assert len(resumed.missing) == len(planned.missing) - len(done)
