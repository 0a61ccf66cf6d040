"""The whole way from a grid to collected tables, with real training processes on the smoke protocol."""

import dataclasses
import functools
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import adam
from experiments.protocol import PAPER, SMOKE
from stableft.core.errors import MissingInput, NoDevice, UsageError
from stableft.core.grid import Grid, select
from stableft.execution import forecast, planning, runner
from stableft.execution.backends.base import Cluster
from stableft.execution.collect import collect
from stableft.execution.inputs import Inputs
from stableft.execution.planning import plan
from stableft.execution.runner import ExecutionOptions, run_grid
from stableft.execution.supervisor import Supervisor
from stableft.models import kernels
from stableft.reporting import report, run_scores
from stableft.storage import run_state
from stableft.storage.store import Store
from tests.helpers.misbehaving import by_seed

GRID = adam.grid(SMOKE)


def run(grid: Grid, store: Store, options: ExecutionOptions | None = None) -> list[str]:
    inputs = Inputs()
    statuses = list(run_grid(plan(grid, store, inputs), store, inputs, options or ExecutionOptions("serial")))
    collect(adam.grid(SMOKE) if grid is GRID else select(adam.grid(SMOKE), seeds=grid.seeds), store, inputs)
    return [f"{status.state} {status.detail}" for status in statuses]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(tmp_path_factory.mktemp("results"))
    assert run(GRID, store, ExecutionOptions("local", workers=2)) == ["done ok"] * 4
    return store


def metrics(store: Store) -> pd.DataFrame:
    return store.load("smoke", "adam").metrics


def test_every_cell_is_collected_once(finished: Store):
    runs = finished.load("smoke", "adam").runs
    assert runs[["arm", "seed"]].to_numpy().tolist() == [["corrected", 0], ["corrected", 1], ["uncorrected", 0], ["uncorrected", 1]]
    assert runs["run_id"].nunique() == 4
    assert not (finished.root / "logs").exists() or not list((finished.root / "logs").iterdir())


def test_a_finished_grid_is_not_run_again(finished: Store):
    assert plan(GRID, finished, Inputs()).missing == []
    before = metrics(finished)
    assert run(GRID, finished) == []
    pd.testing.assert_frame_equal(metrics(finished), before)


def test_a_head_that_the_task_cant_have_is_refused_before_anything_starts(tmp_path: Path):
    with pytest.raises(UsageError, match="head bilstm_crf tags words"):
        plan(select(GRID, overrides={"head": "bilstm_crf"}), Store(tmp_path), Inputs())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flags", "options", "refused"),
    [
        ("avx2 fma", ExecutionOptions(), True),
        ("avx2 fma", ExecutionOptions(force_bf16=True), False),
        ("avx2 fma", ExecutionOptions(device="cuda"), False),
        ("avx2 fma", ExecutionOptions("dask", cluster=Cluster(local=1)), True),
        ("avx2 fma", ExecutionOptions("dask", cluster=Cluster("tcp://host:1")), False),  # its processors are not this one
        ("avx512f avx512_bf16", ExecutionOptions(), False),
    ],
)
def test_bf16_is_refused_where_it_does_not_pay(
    flags: str, options: ExecutionOptions, refused: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kernels, "this_processor", lambda: kernels.Processor("AuthenticAMD", frozenset(flags.split())))
    runner.check_options({"fp32"}, options)
    if refused:
        with pytest.raises(UsageError, match=r"ran at 18 GFLOP/s, fp32 products at 140.*--precision fp32 or a GPU; --force-bf16"):
            runner.check_options({"fp32", "bf16"}, options)
    else:
        runner.check_options({"fp32", "bf16"}, options)


def test_arms_of_a_seed_share_everything_until_the_first_real_update(finished: Store):
    losses = metrics(finished).query("metric == 'loss' and split == 'train' and step <= 2")
    by_arm = losses.pivot_table(index=["seed", "step"], columns="arm", values="value")
    np.testing.assert_array_equal(by_arm["corrected"], by_arm["uncorrected"])
    assert losses.query("arm == 'corrected' and step == 1")["value"].nunique() == 2  # and seeds differ


def test_the_measured_bias_follows_the_closed_form(finished: Store):
    wide = (
        metrics(finished)
        .query("split == 'train' and step > 2")
        .pivot_table(index=["arm", "seed", "step"], columns="metric", values="value")
    )
    wide = wide.dropna(subset="update_bias")  # measured at some steps only
    ratio = wide["update_bias"] / wide["update_bias_closed_form"]
    # Not exactly 1: the closed form ignores epsilon, which counts where gradients are tiny, as in this random model.
    assert ratio.between(0.75, 1.001).all()
    measured = {arm: wide.xs(arm)["update_bias"] for arm in ("corrected", "uncorrected")}
    assert measured["corrected"].between(0.999, 1.001).all()
    assert measured["uncorrected"].max() > 4


def test_only_what_is_missing_is_run_other_seeds_stay_and_one_process_gives_what_two_gave(finished: Store, tmp_path: Path):
    store = Store(tmp_path)  # finished was made by two processes, this is made by one
    one = select(GRID, seeds=[1])
    assert run(one, store) == ["done ok"] * 2
    assert run(GRID, store) == ["done ok"] * 2
    found, reference = (each.load("smoke", "adam") for each in (store, finished))
    pd.testing.assert_frame_equal(found.metrics, reference.metrics, check_exact=True)
    pd.testing.assert_frame_equal(found.predictions, reference.predictions, check_exact=True)
    identity = ["arm", "task", "seed", "run_id", "outcome", "trajectory_sha256"]
    pd.testing.assert_frame_equal(found.runs[identity], reference.runs[identity])
    for path in (tmp_path / "runs").iterdir():  # as in a fresh clone: the evidence is there, the cache is not
        path.unlink()
    assert run(one, store) == ["done ok"] * 2
    pd.testing.assert_frame_equal(metrics(store), metrics(finished), check_exact=True)


def test_results_of_another_setting_are_set_aside_not_overwritten(finished: Store, tmp_path: Path):
    store, inputs = Store(tmp_path), Inputs()
    shutil.copytree(finished.root / "smoke", tmp_path / "smoke")
    before = metrics(store)
    other = select(GRID, seeds=[0], arms=["corrected"], overrides={"adam.lr": 1e-3, "schedule.num_epochs": 1})
    list(run_grid(plan(other, store, inputs), store, inputs, ExecutionOptions("serial")))
    collect(other, store, inputs)
    assert '"lr": 0.001' in store.load("smoke", "adam").runs["config"].iloc[0]
    (aside,) = (tmp_path / "smoke").glob("adam@*")
    pd.testing.assert_frame_equal(Store(tmp_path).load("smoke", aside.name).metrics, before)
    assert store.collected() == [("smoke", "adam")]


def test_a_run_that_two_arms_share_is_run_once(tmp_path: Path):
    store, inputs = Store(tmp_path), Inputs()
    twin = dataclasses.replace(GRID, arms={"a": {}, "b": {"adam.bias_correction": True}}, seeds=[0])
    statuses = list(run_grid(plan(twin, store, inputs), store, inputs, ExecutionOptions("serial")))
    assert len(statuses) == 1
    results = collect(twin, store, inputs)
    assert results is not None
    assert results.runs["arm"].tolist() == ["a", "b"]
    assert results.runs["run_id"].nunique() == 1


@pytest.mark.slow
def test_a_regression_goes_the_whole_way_to_its_report(tmp_path: Path):
    longer = SMOKE.configs["toy"].schedule.model_copy(update={"num_epochs": 12})
    evaluation = SMOKE.configs["toy"].evaluation.model_copy(update={"every": 48, "num_examples": 20})
    config = SMOKE.configs["toy"].model_copy(update={"task": "toyscore", "schedule": longer, "evaluation": evaluation})
    arms = {"corrected": {}, "stuck": {"adam.lr": 1e-9}}  # no warm-up can make a score of that
    grid = Grid("adam", dataclasses.replace(SMOKE, configs={"toyscore": config}), arms, ["toyscore"], [0, 1])
    store, inputs = Store(tmp_path / "results"), Inputs()
    assert [s.state for s in run_grid(plan(grid, store, inputs), store, inputs, ExecutionOptions("serial"))] == ["done"] * 4
    results = collect(grid, store, inputs)
    assert results is not None
    assert results.runs[["score_name", "score_split", "majority_score"]].drop_duplicates().to_numpy().tolist() == [
        ["spearman", "test", 0.0]
    ]
    points = (
        results.metrics.query("split != 'train' and metric != 'best_step'").groupby(["split", "scope", "step"])["metric"].agg(set)
    )
    assert set(map(frozenset, points)) == {frozenset({"loss", "score", "spearman", "pearson", "rmse"})}
    assert set(points.index) >= {
        ("validation", "subset", 48),
        ("validation", "subset", 96),
        ("validation", "", 96),
        ("test", "", 96),
    }
    for run_id, of_run in results.predictions.query("split == 'test'").groupby("run_id"):
        assert of_run["label"].isin(range(5)).all()
        assert all(len(p) == 0 for p in of_run["probabilities"])
        last = results.metrics.query("split == 'test' and step == 96 and scope == ''").set_index("run_id").loc[[run_id]]
        values = dict(zip(last["metric"], last["value"], strict=True))
        label, prediction = of_run["label"], of_run["prediction"]
        assert values["score"] == values["spearman"] == pytest.approx(label.corr(prediction, method="spearman"))
        assert values["pearson"] == pytest.approx(label.corr(prediction))
        assert values["loss"] == pytest.approx(values["rmse"] ** 2) == pytest.approx(((label - prediction) ** 2).mean())
    scores = run_scores.final_scores(results).set_index("arm")["score"]
    assert scores["corrected"].min() > max(0.5, scores["stuck"].max())
    written = report.render_all(adam.REPORT, results, tmp_path / "figures")
    assert all(path.stat().st_size for path in written)


def test_missing_inputs_stop_a_grid_before_it_starts_but_not_its_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    store, inputs = Store(tmp_path / "results"), Inputs()
    planned = plan(adam.grid(PAPER), store, inputs)
    assert len(planned.cells) == len(planned.missing) == 5 * 2 * 50
    assert len(planned.problems) == 5
    with pytest.raises(MissingInput, match="RTE"):
        next(run_grid(planned, store, inputs, ExecutionOptions()))
    assert not store.root.exists()


def test_an_unknown_backend_is_a_usage_error(tmp_path: Path):
    store, inputs = Store(tmp_path), Inputs()
    with pytest.raises(UsageError, match="unknown backend 'slurm'"):
        next(run_grid(plan(GRID, store, inputs), store, inputs, ExecutionOptions("slurm")))


def test_time_and_disk_are_estimated_from_earlier_runs_of_the_same_task(finished: Store, tmp_path: Path):
    two = ExecutionOptions(workers=2)
    more = plan(select(GRID, seeds=range(10)), finished, Inputs())
    expected = forecast.forecast(more, finished, Inputs(), two)
    typical = finished.load("smoke", "adam").runs["seconds"].median()
    assert expected.total() == pytest.approx(16 * typical / 2)
    assert 16 * 5_000 < planning.estimated_bytes(more, finished) < 16 * 50_000
    assert forecast.forecast(plan(GRID, Store(tmp_path), Inputs()), Store(tmp_path), Inputs(), two).total() is None


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Training processes that fail as their run's seed says."""
    monkeypatch.setattr(runner, "Supervisor", functools.partial(Supervisor, target=by_seed))


def ends(store: Store, execution: ExecutionOptions, seeds: list[int]) -> dict[int, str]:
    planned = plan(select(GRID, arms=["corrected"], seeds=seeds), store, Inputs())
    return {status.job.config.seed: status.state for status in run_grid(planned, store, Inputs(), execution)}


@pytest.mark.usefixtures("obedient")
def test_failures_do_not_end_a_grid_and_are_noted(tmp_path: Path):
    store = Store(tmp_path)
    found = ends(store, ExecutionOptions("serial", max_retries={"crashed": 1}, timeout=5, again="stableft retry"), [1, 2, 3, 4, 0])
    assert found == {1: "killed", 2: "crashed", 3: "refused", 4: "oom", 0: "done"}
    notes = {note.seed: note for note in run_state.failures(store)}
    assert {seed: (note.state, note.kind, note.attempts) for seed, note in notes.items()} == {
        1: ("killed", "killed", 1), 2: ("failed", "crashed", 2), 3: ("failed", "refused", 1), 4: ("oom", "oom", 1),
    }  # fmt: skip
    note = notes[2]
    assert (note.experiment, note.protocol, note.name, note.retry) == ("adam", "smoke", "toy / corrected / 2", "stableft retry")
    assert note.why == "crashed: crashed as asked"


@pytest.mark.usefixtures("obedient")
def test_fail_fast_ends_a_grid_at_the_first_failure(tmp_path: Path):
    found = ends(Store(tmp_path), ExecutionOptions("local", workers=2, fail_fast=True, max_retries=0), [0, 2, 5])
    assert (found[2], found[5]) == ("crashed", "stopped"), "the last one would sleep for ten minutes"
    assert found[0] in ("done", "stopped")  # it began beside the one that crashed
    assert len(list(run_state.failures(Store(tmp_path)))) == 1


@pytest.mark.usefixtures("obedient")
def test_a_run_that_takes_too_long_does_not_end_a_grid(tmp_path: Path):
    found = ends(Store(tmp_path), ExecutionOptions("serial", timeout=0.5), [0, 5, 0])
    assert found == {0: "done", 5: "timeout"}
    (note,) = run_state.failures(Store(tmp_path))
    assert (note.state, note.why) == ("timeout", "took more than 0.5 s")
    assert note.seconds >= 0.5


@pytest.mark.usefixtures("obedient")
def test_gpus_bind_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runner, "count_gpus", lambda: 2)
    planned = plan(dataclasses.replace(GRID, seeds=[6]), Store(tmp_path), Inputs())
    execution = ExecutionOptions(device="cuda", gpus=(1,), per_gpu=2)
    statuses = list(run_grid(planned, Store(tmp_path), Inputs(), execution))
    assert [status.detail.split()[0] for status in statuses] == ["1", "1"]
    assert len({status.detail for status in statuses}) == 2, "two processes at a time"
    assert statuses[0].job.device == "cuda"
    with pytest.raises(NoDevice, match="no GPU 2: torch finds 2 here"):
        next(run_grid(planned, Store(tmp_path), Inputs(), ExecutionOptions(device="cuda", gpus=(2,))))


def test_a_plan_tells_collected_runs_from_those_whose_records_are_here(finished: Store, tmp_path: Path):
    clone = Store(tmp_path)
    shutil.copytree(finished.root / "smoke", tmp_path / "smoke")
    planned = plan(select(GRID, seeds=[0, 7]), clone, Inputs())
    assert [(p.done, p.collected) for p in planned.cells] == [(False, True), (False, True), (False, False), (False, False)]
    assert all(p.done and p.collected for p in plan(GRID, finished, Inputs()).cells)
    changed = plan(select(GRID, overrides={"adam.lr": 1e-3}), clone, Inputs())
    assert not any(p.collected for p in changed.cells), "collected at another setting is another run"
