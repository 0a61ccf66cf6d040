"""`stableft figures` and `tables`."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from experiments import adam, bias, pooler, reinit
from stableft.cli.common import Exit
from stableft.reporting import render, report
from stableft.reporting.figures import curves
from stableft.reporting.tables import arm_summary, early_stopping
from stableft.storage.records import Results
from stableft.storage.store import Store
from tests.conftest import Quick
from tests.helpers import synthetic
from tests.helpers.commands import call, contents
from tests.helpers.pages import keep


@pytest.mark.slow
def test_reporting_twice_gives_the_same_bytes_without_torch(finished: Path, quick: Quick):
    # A torch that can't be imported stands in for a machine without it.
    (finished / "poison").mkdir(exist_ok=True)
    (finished / "poison" / "torch.py").write_text("raise ImportError('torch is not needed for reports')")
    paths = os.pathsep.join([str(finished / "poison"), os.environ.get("PYTHONPATH", "")])
    for verb in ("figures", "tables"):
        assert quick(finished, verb, "--results", "out", "--figures", "shown")[0] == 0
        code, _, err = call(finished, verb, "--results", "out", "--figures", "again", PYTHONPATH=paths)
        assert code == 0, err
    again = contents(finished / "again")
    assert again == contents(finished / "shown")
    names = {path.name for path in again}
    for stem in ("train_loss", "score", "score_distribution", "bias_magnitude"):
        assert {f"{stem}.{kind}" for kind in ("pdf", "png", "svg", "csv", "txt")} <= names
    assert {"arms.md", "arms.tex", "arms.csv"} <= names


LOSS = report.figure(curves, split="train", metric="loss")


def diverged(runs: int) -> Results:
    """Runs whose first loss was not finite: nothing of them was logged."""
    whole = synthetic.grid(runs)
    return Results(whole.runs.assign(outcome="diverged"), whole.metrics.iloc[:0], whole.predictions.iloc[:0])


def nowhere_finite(runs: int) -> Results:
    whole = synthetic.grid(runs)
    metrics = whole.metrics
    return replace(whole, metrics=metrics.assign(value=metrics["value"].where(metrics["split"] != "train")))


def without_losses(runs: int) -> Results:
    whole = synthetic.grid(runs)
    return replace(whole, metrics=whole.metrics[whole.metrics["metric"] != "loss"])


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """One experiment that can be drawn, in the checkout's own results folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(render, "cpu_count", lambda: 1)  # another process would not see the reports below
    monkeypatch.setattr(adam, "REPORT", {"train_loss": LOSS, "arms": report.table(arm_summary)})
    keep(Store(Path("results")), "laptop", "adam", synthetic.grid(2, diverged=False))
    return Store(Path("results"))


def test_what_cannot_be_drawn_costs_its_own_figures_alone(good: Store, quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name, bad in ((bias, "bias", diverged), (pooler, "pooler", nowhere_finite), (reinit, "reinit", without_losses)):
        monkeypatch.setattr(module, "REPORT", {"losses": LOSS})
        keep(good, "laptop", name, bad(2))
    lacks = "losses: the results hold no metric 'loss' on split 'train'"
    code, out, err = quick(Path(), "figures")
    assert code == Exit.MISSING_INPUT
    assert out == "5 files in figures/laptop/adam\n"
    names = ("bias", "pooler", "reinit")
    why = [f"figures/laptop/{name}/{lacks}{'; all 8 runs diverged' * (name == 'bias')}" for name in names]
    assert err == "".join(f"not drawn: {each}\n" for each in why)
    assert [path.name for path in Path("figures/laptop").iterdir()] == ["adam"], "no empty folders"
    assert quick(Path(), "tables")[0] == Exit.OK
    code, out, err = quick(Path(), "report")
    assert code == Exit.MISSING_INPUT
    assert all(f"not drawn: {each}\n" in err for each in why)
    assert Path("figures/laptop/report.html").read_text().count("Not shown: losses: the results hold no metric") == 3
    data = json.loads(quick(Path(), "figures", "pooler", "--json")[1])
    assert (data["files"], data["left_out"], data["not_drawn"]) == ([], [], [why[1]])


def test_a_single_run_is_drawn_as_far_as_it_goes(good: Store, quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooler, "REPORT", {"early": report.table(early_stopping), "arms": report.table(arm_summary)})
    whole = synthetic.grid(1)
    first = whole.runs["run_id"].iloc[0]
    keep(good, "laptop", "pooler", Results(*(f[f["run_id"] == first] for f in (whole.runs, whole.metrics, whole.predictions))))
    code, out, err = quick(Path(), "tables")
    assert (code, out) == (Exit.MISSING_INPUT, "3 files in figures/laptop/adam\n3 files in figures/laptop/pooler\n")
    assert err.startswith("not drawn: figures/laptop/pooler/early: no arm has more than 3 runs")
    assert err.endswith("; there is one run only\n")


def test_other_results_overwrite_nothing_of_the_checkout(good: Store, quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adam, "REPORT", {"arms": report.table(arm_summary)})
    keep(Store(Path("sp ace/out")), "laptop", "adam", synthetic.grid(3, diverged=False))
    for verb in ("tables", "report"):
        assert quick(Path(), verb)[0] == Exit.OK
    before = {path: path.read_bytes() for path in Path("figures").rglob("*.*")}
    for verb, place in (("tables", "figures/laptop/adam"), ("report", "figures/laptop")):
        code, out, err = quick(Path(), verb, "--results", "sp ace/out")
        assert code == Exit.OK, err
        assert f" in sp ace/out/{place}\n" in out
    assert {path: path.read_bytes() for path in before} == before
    assert Path("sp ace/out/figures/laptop/report.html").is_file()
    # Named otherwise, the checkout's own results are its own.
    assert " in figures/laptop/adam\n" in quick(Path(), "tables", "--results", str(good.root.resolve()))[1]


def test_an_experiment_may_have_tables_alone(good: Store, quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adam, "REPORT", {"arms": report.table(arm_summary)})
    assert quick(Path(), "figures") == (Exit.OK, "", "")
