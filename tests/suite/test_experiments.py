"""The committed evidence: settings taken from it are what it says, and it is whole."""

import re
from collections import Counter
from dataclasses import fields
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from experiments import lr_grid
from experiments.adam import ARMS
from experiments.protocol import GLUE_1K, GLUE_DEV, GLUE_SMALL, LAPTOP, PAPER, PROTOCOLS, SMALL
from stableft.core.experiments import all_experiments, get_experiment
from stableft.core.grid import Protocol
from stableft.reporting import grid_axes, run_scores
from stableft.reporting.tables import convergence, rate_pairs, score_summary, variance
from stableft.storage.frames import row_fingerprints
from stableft.storage.records import COLLECTED, TRAJECTORY, Results
from stableft.storage.store import Store


@cache
def committed(project: Path, protocol: str, experiment: str) -> Results:
    """Only to be read: several tests share it."""
    return Store(project / "results").load(protocol, experiment, predictions=False)


@pytest.mark.parametrize("protocol", [LAPTOP, SMALL], ids=lambda protocol: protocol.name)
def test_learning_rates_are_those_at_which_the_corrected_arm_validates_best(project: Path, protocol: Protocol):
    runs = grid_axes.learning_rates(committed(project, protocol.name, "lr_grid"))
    corrected = runs[(runs["arm"] == "corrected") & (runs["setting"] == "")].groupby(["task", "lr"])["validation"].mean()
    chosen = {task: protocol.configs[task].adam.lr for task in lr_grid.grid(protocol).tasks}
    best = {task: corrected[task].idxmax() for task in chosen}
    assert chosen == best


@pytest.mark.parametrize("protocol", [LAPTOP, SMALL], ids=lambda protocol: protocol.name)
def test_no_learning_rate_lies_at_the_edge_of_its_grid(project: Path, protocol: Protocol):
    runs = grid_axes.learning_rates(committed(project, protocol.name, "lr_grid"))
    for task in lr_grid.grid(protocol).tasks:  # a best rate at the edge could be better still beyond it
        swept = runs[(runs["task"] == task) & (runs["arm"] == "corrected") & (runs["setting"] == "")]
        assert min(swept["lr"]) < protocol.configs[task].adam.lr < max(swept["lr"])
        assert swept["lr"].nunique() >= 5
        assert (swept.groupby("lr")["seed"].nunique() >= 3).all()


@pytest.mark.parametrize("name", list(all_experiments()))
def test_committed_results_are_complete_pairs(project: Path, name: str):
    grid = get_experiment(name).grid(LAPTOP)
    runs = committed(project, "laptop", name).runs
    seeds = runs.groupby(["task", "arm"])["seed"].agg(frozenset).unstack()
    assert set(seeds.columns) == set(grid.arms)
    assert set(seeds.index) == set(grid.tasks)
    (shared,) = set(seeds.to_numpy().ravel())  # every arm and task at the same seeds
    assert shared >= set(grid.seeds)
    assert not runs["run_id"].duplicated().any()


def as_written(project: Path, place: tuple[str, str]) -> Results:
    """The results with all that their tables hold, which loading may leave out."""
    folder = Store(project / "results").folder(*place)
    return Results(*(pq.read_table(folder / f"{field.name}.parquet").to_pandas() for field in fields(Results)))


@pytest.mark.slow
def test_a_run_has_the_same_rows_in_every_experiment_that_holds_it(project: Path):
    """As those of ``techniques`` in ``modern``: one run id, one set of rows, whichever table a reader opens."""
    store = Store(project / "results")
    collected = [store.load(*place) for place in store.collected()]
    held = Counter(run_id for results in collected for run_id in results.runs["run_id"].unique())
    shared = {run_id for run_id, tables in held.items() if tables > 1}
    assert len(shared) >= 500
    keys = {"metrics": ["run_id", "step", "split", "metric", "scope"], "predictions": ["run_id", "split", "example"]}
    for name, value in (("metrics", "value"), ("predictions", "prediction")):
        frames = [getattr(results, name) for results in collected]
        rows = pd.concat(
            [frame.loc[frame["run_id"].isin(shared), [*keys[name], value]].astype({"run_id": str}) for frame in frames]
        )
        others = rows.drop_duplicates().groupby(keys[name], observed=True).size()  # older versions logged fewer metrics
        assert others.max() == 1, others[others > 1]


@pytest.mark.slow
def test_committed_rows_are_those_that_the_runs_wrote(project: Path):
    """A value that was changed in a table, whatever way, is not the one whose fingerprint the run left."""
    store = Store(project / "results")
    checked = []
    for place in store.collected():
        runs = store.load_runs(*place)
        name = next((name for name in (COLLECTED, TRAJECTORY) if name in runs), None)
        if name is not None:  # tables from before it was kept have none
            assert row_fingerprints(as_written(project, place)) == runs[name].tolist(), place
            checked.append(place)
    again = {"adam", "bias", "longer", "lr_grid", "pooler", "seeds", "techniques"}  # run, or run again, since it is kept
    assert {("laptop", name) for name in again} <= set(checked)
    results = as_written(project, ("laptop", "adam"))
    values = results.metrics["value"].to_numpy(copy=True)
    values[1000] = np.nextafter(values[1000], np.inf)
    changed = Results(results.runs, results.metrics.assign(value=values), results.predictions)
    pairs = zip(results.runs["run_id"], row_fingerprints(results), row_fingerprints(changed), strict=True)
    assert [run for run, before, after in pairs if before != after] == [results.metrics["run_id"].iloc[1000]]


@pytest.mark.parametrize(
    "name",
    ["article", "bias", "control", "few_examples", "head_lr", "longer", "lr_grid", "mosbach", "pooler", "precision", "reinit",
     "seeds", "slower", "techniques"],
)  # fmt: skip
def test_costs_are_those_of_the_committed_runs(project: Path, name: str):
    said = " ".join((get_experiment(name).__doc__ or "").split())
    laptop = re.search(r"Cost: (\d+) runs,[^(]*? (\d+) minutes on 2 cores[^(]*\(sum of the runs' own times / 2", said)
    small = re.search(r"At small (\d+) runs,[^.]*? (\d+) minutes", said)
    assert laptop
    for protocol, found in (("laptop", laptop), ("small", small)):
        if found:
            runs = committed(project, protocol, name).runs
            assert (len(runs), round(runs["seconds"].sum() / 2 / 60)) == (int(found[1]), int(found[2]))


def test_precision_found_what_it_says(project: Path):
    """The numbers of its docstring that stand in no table."""
    results = committed(project, "laptop", "precision")
    runs = run_scores.final_scores(results)
    score, failed = (runs.pivot(index="seed", columns="arm", values=name) for name in ("score", "failed"))
    said = " ".join((get_experiment("precision").__doc__ or "").split())
    assert f"paired scores differ by {(score['bf16'] - score['fp32']).abs().max():.3f} at most" in said
    assert f"paired scores differ by up to {(score['bf16 edge'] - score['fp32 edge']).abs().max():.3f}" in said
    assert (failed["bf16"] == failed["fp32"]).all()
    assert failed["fp32"].sum() == 1
    assert "one run of 20 fails, the same in both" in said
    assert (failed["bf16 edge"] != failed["fp32 edge"]).sum() == 1
    assert "one run of 20 ends on the other side" in said
    losses = results.metrics.query("metric == 'loss' and split == 'train' and arm in ('fp32', 'bf16')")
    paired = losses.pivot_table(index=["seed", "step"], columns="arm", values="value", observed=True)
    difference = (paired["bf16"] - paired["fp32"]).abs().groupby("step").median()
    first, last = (f"{difference[step]:.0e}".replace("e-0", "e-") for step in (1, 96))
    assert f"Training losses differ by {first} at step 1 and by {last} at step 96 (corrected, median over seeds)" in said


# Runs by task, as the sources have them where they have the experiment (protocol sections 2 to 7).
SOURCES = {
    "adam": {task: 50 * 2 for task in (*GLUE_SMALL, "tnews50k")},  # Zhang et al., section 4; TNEWS note
    "article": {f"commonlit{fold}": 7 * 6 for fold in range(5)},  # rows of the article's table, here 6 seeds
    "lr_grid": {"rte_dev": 3 * 3 * 2 * 25},  # Mosbach et al.: rates x epochs x correction x seeds = 450 models
    "mosbach": {task: 6 * 25 for task in GLUE_DEV},  # Table 1 has three; the correction alone, and Figure 3's two
    "slower": {"tnews50k": 2 * 20},  # the TNEWS note has one run of each
    "longer": {task: 6 * 2 * 8 for task in GLUE_1K},  # Zhang et al., Figures 8 and 14: lengths x methods x seeds
    "precision": {task: 4 * 20 for task in (*GLUE_SMALL, "tnews50k")},  # Zhang et al., Appendix C: 20 trials
    "reinit": {task: (2 + 6 + 1) * 20 for task in GLUE_SMALL},  # standard, pooler, 1 to 6 and 10 blocks
    "seeds": {"rte": 10 * 10 * 2},  # Zhang et al., Appendix B
    "techniques": {task: (8 + 1) * 20 for task in GLUE_SMALL},  # columns of Zhang et al., Table 2, and mixout's control
}


@pytest.mark.parametrize("name", SOURCES)
def test_at_paper_scale_the_counts_are_those_of_the_sources(name: str):
    grid = get_experiment(name).grid(PAPER)
    assert Counter(cell.task for cell in grid.cells()) == SOURCES[name]


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.name)
def test_every_experiment_has_a_grid_of_different_runs_at_every_scale(protocol: Protocol):
    for name, module in all_experiments().items():
        cells = module.grid(protocol).cells()
        assert len({cell.config.model_dump_json() for cell in cells}) == len(cells) > 0, name


def test_every_experiment_says_what_it_asks_and_expects():
    for module in all_experiments().values():
        text = module.__doc__ or ""
        for part in ("Question:", "Source:", "Prediction:", "Found (laptop):", "Cost:"):
            assert part in text, (module.__name__, part)


def test_article_found_what_it_says(project: Path):
    """The numbers of its docstring that stand in no table: the squared error of the average, and how often runs are evaluated."""
    results = committed(project, "laptop", "article")
    metrics = results.metrics.merge(results.runs[["run_id", "num_steps"]], on="run_id")
    ends = metrics.query("arm == '+swa' and split == 'test' and metric == 'loss' and step == num_steps")
    average, last = (ends.loc[ends["scope"] == scope, "value"].mean() for scope in ("average", ""))
    points = metrics.query("split == 'validation' and metric == 'score' and scope == ''")
    times = points.groupby(["arm", "seed"]).size().reset_index(name="times")
    said = " ".join((get_experiment("article").__doc__ or "").split())
    assert f"its squared error is lower ({average:.3f} against {last:.3f})" in said
    assert set(times.query("arm == '+frequent'")["times"]) == {27}
    assert set(times.query("arm == '+swa'")["times"]) == {5}
    assert "evaluated 27 times instead of 5" in said


def test_reinit_found_what_it_says(project: Path):
    """Its differences and training losses, against the tables that print them."""
    results = committed(project, "laptop", "reinit")
    said = " ".join((get_experiment("reinit").__doc__ or "").split())
    scores = score_summary.table(results).set_index(["task", "arm"])["difference"]
    costs = [f"{-scores['docs15', f'pooler+{n}']:.3f}" for n in range(1, 7)]
    assert f"every number of blocks costs, {', '.join(costs[:5])} and {costs[5]} for one to six" in said
    gains = [f"{scores['docpair', f'pooler+{n}']:.3f}" for n in (1, 2)]
    assert f"one or two re-initialised blocks gain {' and '.join(gains)}" in said
    last = convergence.table(results).set_index(["task", "arm"])["last"]["docpair"]
    faster = ", ".join(f"{last[arm]:.3f}" for arm in ("pooler", "pooler+1", "pooler+2", "pooler+3"))
    assert f"last tenth {faster} against {last['standard']:.3f}" in said


def test_head_lr_found_what_it_says(project: Path):
    """The means of its docstring, against the table that prints them; the second rate is ahead in every setting."""
    pairs = rate_pairs.table(committed(project, "laptop", "head_lr"))
    pairs = pairs[pairs["arm"] == "two"] if "arm" in pairs else pairs
    said = " ".join((get_experiment("head_lr").__doc__ or "").split())
    assert (pairs["difference"] > 0).all()
    assert len(pairs) == 9
    for row in pairs[pairs["setting"] != "epochs=3"].to_dict("records"):
        assert f"{row['mean_one']:.3f} and {row['mean_two']:.3f}" in said


def _means(project: Path, protocol: str, name: str) -> tuple[dict[tuple[str, str], float], str]:
    """Mean scores by task and arm, and what the docstring says in one line."""
    table = score_summary.table(committed(project, protocol, name))
    means = {(str(task), str(arm)): float(mean) for task, arm, mean in table[["task", "arm", "mean"]].itertuples(index=False)}
    return means, " ".join((get_experiment(name).__doc__ or "").split())


def test_techniques_found_what_it_says(project: Path):
    means, said = _means(project, "laptop", "techniques")
    gains = {(task, arm): f"{mean - means[task, 'standard']:+.3f}" for (task, arm), mean in means.items()}
    for arm in ("decay", "pretrained_decay"):
        assert {abs(float(gains[task, arm])) for task in ("docs15", "docpair")} == {0.0}
    for arm in ("mixout", "llrd"):
        assert f"({gains['docs15', arm]}{' on docs15' * (arm == 'mixout')}, {gains['docpair', arm]}" in said
    assert f"reinit gains on docpair alone ({gains['docpair', 'reinit']}; {gains['docs15', 'reinit']} on docs15)" in said
    assert f"longer on docs15 alone ({gains['docs15', 'longer']}; {gains['docpair', 'longer']})" in said
    first, plain = means["docpair", "first docs15"], means["docpair", "standard"]
    assert f"docpair after docs15 scores {first:.3f} instead of {plain:.3f}, 2 of 3 runs failed" in said
    assert f"docs15 after docpair {means['docs15', 'first docpair']:.3f} instead of {means['docs15', 'standard']:.3f}" in said
    assert f"{gains['docs15', 'first docs15']} on docs15, {gains['docpair', 'first docpair']} on docpair" in said


def test_longer_found_what_it_says(project: Path):
    means, said = _means(project, "laptop", "longer")
    gap = {
        (task, n): means[task, f"reinit {n}"] - means[task, f"standard {n}"]
        for task in ("docs15", "docpair")
        for n in (96, 200, 400)
    }
    behind = [f"{-gap['docs15', n]:.3f}" for n in (96, 200, 400)]
    assert "behind by {} after 96 steps, {} after 200 and {} after 400".format(*behind) in said
    ahead = [f"{gap['docpair', n]:.3f}" for n in (96, 200, 400)]
    assert "ahead by {} after 96 steps, {} and {} after 200 and 400".format(*ahead) in said
    for task, arm in (("docs15", "standard"), ("docpair", "standard"), ("docpair", "reinit")):
        assert f"{arm} " + ", ".join(f"{means[task, f'{arm} {n}']:.3f}" for n in (96, 200, 400)) in said


def test_lr_grid_found_what_it_says(project: Path):
    means, said = _means(project, "laptop", "lr_grid")
    small = [f"{means[task, f'{arm} lr=2e-05']:.3f}" for task in ("docs15", "docpair") for arm in ("uncorrected", "corrected")]
    assert "({} against {}; {} against {})".format(*small) in said
    long = {(task, arm): f"{means[task, f'{arm} lr=2e-05 epochs=10']:.3f}" for task, arm in product(("docs15", "docpair"), ARMS)}
    assert (
        f"docpair {long['docpair', 'corrected']} corrected ({small[3]} after three) and {long['docpair', 'uncorrected']} un" in said
    )
    assert f"docs15 {long['docs15', 'corrected']} and {long['docs15', 'uncorrected']}." in said
    for task, edge in (("docs15", "5e-04"), ("docpair", "2e-04")):  # the best rates of the corrected arm
        rates = {
            arm: mean for (of, arm), mean in means.items() if of == task and arm.startswith("corrected") and "epochs" not in arm
        }
        assert max(rates, key=rates.__getitem__) == f"corrected lr={edge}"


def test_seeds_found_what_it_says(project: Path):
    """Its components, of scores on validation, and their intervals."""
    table = variance.table(committed(project, "laptop", "seeds")).set_index("method")
    said = " ".join((get_experiment("seeds").__doc__ or "").split())
    plain, reinit = (table.loc[method] for method in ("standard", "reinit"))
    one, other = (f"{plain[f'low_{name}']:.3f} to {plain[f'high_{name}']:.3f}" for name in ("init", "order"))
    assert f"adds a std of {plain['std_init']:.3f} to the validation scores (95 % interval {one})" in said
    assert f"the order seed {plain['std_order']:.3f} ({other}), and the rest is {plain['std_rest']:.3f}" in said
    assert "the three are {:.3f}, {:.3f} and {:.3f}.".format(*reinit[["std_init", "std_order", "std_rest"]]) in said
    assert f"Means are alike ({plain['mean']:.3f} and {reinit['mean']:.3f})" in said


@pytest.mark.parametrize(("page", "fewest"), [("README.md", (12, 30)), ("docs/evidence.md", (12, 30))])
def test_the_summaries_have_the_numbers_of_the_matrix(project: Path, page: str, fewest: tuple[int, int]) -> None:
    """Each sentence names its claim, and each effect and count is in that claim's row or in one named before."""
    summary, claims = ((project / name).read_text(encoding="utf-8") for name in (page, "CLAIMS.md"))
    said = summary.split("## What the evidence says")[1].split("\n## ")[0]
    rows = {name: row for row in claims.splitlines() for name in re.findall(r"^\| \[.*?\]\(#([a-z_]+-[a-z_0-9]+)\)", row)}
    named = re.findall(r"(?:`|CLAIMS\.md#)([a-z_]+-[a-z_0-9]+)", said)
    assert len(named) >= fewest[0]
    matrix = " ".join(rows[name] for name in named)
    numbers = re.findall(r"(?<![\w.])[+-]\d\.\d+|\b\d+ of \d+|\bx \d+\.\d+", said)
    assert len(numbers) >= fewest[1]
    missing = [number for number in numbers if not re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", matrix)]
    assert missing == []


def test_the_experiments_of_the_summary_have_the_numbers_of_their_docstrings(project: Path) -> None:
    """Scores, differences and counts in the cells of docs/evidence.md that tell what was found; signs are a matter of wording."""
    said = (project / "docs/evidence.md").read_text(encoding="utf-8").split("## Experiments")[1].split("\n## ")[0]
    laptop, small = said.split("On real data")
    row = r"^\| `([a-z_]+)`[^|]*\|([^|]*)\|([^|]*)\|$"
    found = [(name, cell) for name, _, cell in re.findall(row, laptop, flags=re.MULTILINE)]
    assert sorted(name for name, _ in found) == sorted(all_experiments())
    found += [(name, cell) for name, cell, _ in re.findall(row, small, flags=re.MULTILINE)]
    docs = {name: " ".join((get_experiment(name).__doc__ or "").split()) for name, _ in found}
    missing = [
        (name, number) for name, cell in found for number in re.findall(r"\d\.\d+|\d+ of \d+", cell) if number not in docs[name]
    ]
    assert missing == []
