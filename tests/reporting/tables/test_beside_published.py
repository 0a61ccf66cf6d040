"""Ours beside the sources': every number once, differences and bands by hand, nothing dropped."""

import numpy as np
import pandas as pd
import pytest

from experiments import adam, longer, mosbach, reinit
from experiments.protocol import LAPTOP, PAPER
from experiments.published import PUBLISHED
from stableft.core.grid import select
from stableft.reporting import markup
from stableft.reporting.published import rows_for
from stableft.reporting.run_scores import final_scores
from stableft.reporting.tables import beside_published, published_layout
from stableft.storage.records import Results
from tests.helpers.worlds import World, results

RTE = select(adam.grid(PAPER), tasks=["rte"])


def large() -> Results:
    return results(RTE, World(seeds=20, noise=0.025))


def dev(task: str, seeds: int) -> Results:
    return results(select(mosbach.grid(PAPER), tasks=[task]), World(seeds=seeds, noise=0.025))


def cell(table: pd.DataFrame, **key: str) -> pd.Series:
    for name, value in key.items():
        table = table[table[name] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_every_published_row_and_every_arm_of_ours_is_there() -> None:
    given = results(adam.grid(LAPTOP), World(seeds=3))
    table = beside_published.table(given, numbers=PUBLISHED)
    rows = rows_for(PUBLISHED, "adam")
    assert table["source"].notna().sum() == len(rows)
    assert table["published_mean"].dropna().tolist() == rows["mean"].dropna().tolist()
    ours = table[table["source"].isna()]
    assert ours[["task", "arm"]].to_numpy().tolist() == [
        [task, arm] for task in ("docs15", "docpair") for arm in ("corrected", "uncorrected")
    ]
    assert table.loc[table["source"].notna(), "n"].isna().all(), "laptop has none of their tasks"
    assert table["within"].isna().all()


def test_difference_and_band_by_hand() -> None:
    given = large()
    scores = final_scores(given).query("arm == 'corrected'")["score"]
    row = cell(beside_published.table(given, numbers=PUBLISHED), task="rte", arm="corrected", source="Zhang et al. (2021), Table 1")
    assert (row["n"], row["published_n"], row["encoder"]) == (20, 20, "bert-large-uncased")
    assert row["difference"] == pytest.approx(scores.mean() - 0.695)
    assert row["band"] == pytest.approx(1.96 * np.sqrt(scores.var() / 20 + 0.025**2 / 20))
    assert row["within"] == ("yes" if abs(row["difference"]) <= row["band"] else "no")


@pytest.mark.parametrize(("shift", "within"), [(0.0, "yes"), (0.0154, "yes"), (0.0157, "no"), (-0.0157, "no")])
def test_the_band_of_rte_is_that_of_the_protocol(shift: float, within: str) -> None:
    """Two means of 20 seeds with a std of 2.5 points: 1.6 points (protocol section 3.5)."""
    given = large()
    scores = given.metrics["metric"].eq("score") & given.metrics["split"].eq("test") & given.metrics["arm"].eq("corrected")
    whole = scores & given.metrics["scope"].eq("")
    z = np.random.default_rng(0).normal(size=20)
    exact = 0.695 + shift + 0.025 * (z - z.mean()) / z.std(ddof=1)
    metrics = given.metrics.copy()
    metrics.loc[whole, "value"] = exact
    table = beside_published.table(Results(given.runs, metrics, given.predictions), numbers=PUBLISHED)
    row = cell(table, task="rte", arm="corrected", source="Zhang et al. (2021), Table 1")
    assert row["band"] == pytest.approx(0.0155, abs=1e-4)
    assert row["within"] == within


def test_another_encoder_is_shown_but_not_compared() -> None:
    other = select(adam.grid(PAPER), tasks=["rte"], overrides={"encoder": "/models/bert-base-uncased"})
    table = beside_published.table(results(other, World(seeds=3)), numbers=PUBLISHED)
    row = cell(table, task="rte", arm="corrected", source="Zhang et al. (2021), Table 1")
    assert row["encoder"] == "bert-base-uncased"
    assert row["mean"] == pytest.approx(0.7, abs=0.01)
    assert row[["difference", "band", "within"]].isna().all()


def test_the_validation_split_is_compared_with_validation() -> None:
    given = dev("rte_dev", 20)
    metrics = given.metrics.copy()
    metrics.loc[(metrics["metric"] == "score") & (metrics["split"] == "validation"), "value"] = 0.6
    table = beside_published.table(Results(given.runs, metrics, given.predictions), numbers=PUBLISHED)
    row = cell(table, task="rte_dev", arm="devlin", source="Mosbach et al. (2021), Table 1")
    assert (row["split"], row["mean"]) == ("validation", pytest.approx(0.6))


def test_the_mean_of_accuracy_and_f1_is_made_of_what_is_logged() -> None:
    given = dev("mrpc_dev", 2)
    runs = given.runs.assign(score_name="f1", score_split="validation")
    accuracy = given.metrics[(given.metrics["metric"] == "score") & (given.metrics["split"] == "validation")]
    metrics = pd.concat([given.metrics, accuracy.assign(metric="accuracy", value=0.5)], ignore_index=True)
    table = beside_published.table(Results(runs, metrics, given.predictions), numbers=PUBLISHED)
    row = cell(table, task="mrpc_dev", arm="devlin", source="Mosbach et al. (2021), Table 1")
    scores = final_scores(Results(runs, metrics, given.predictions)).query("arm == 'devlin'")["score"]
    assert row["mean"] == pytest.approx((scores.mean() + 0.5) / 2)


def test_wide_tables_have_the_shape_of_the_sources() -> None:
    given = results(longer.grid(LAPTOP), World(seeds=3))
    table = published_layout.table(given, numbers=PUBLISHED, places=[("zhang2021", "Table 1")])
    theirs = table[table["source"] == "Zhang et al. (2021), Table 1"].set_index("arm")
    assert theirs.loc["standard 96", "mnli_1k"] == "0.522±0.042 (20)"
    assert theirs.loc["reinit longer", "rte"] == "0.731±0.013 (20)"
    assert len(theirs) == 6  # both methods: 96 steps, 3 epochs, longer
    assert theirs[["docs15", "docpair"]].isna().all(axis=None), "missing, not dropped"
    ours = table[table["source"] == "ours"]
    assert list(ours["arm"]) == list(longer.grid(LAPTOP).arms)
    assert ours["mnli_1k"].isna().all()
    assert f"| {markup.ABSENT} |" in markup.to_markdown(table)


def test_mosbachs_table_has_std_mean_median_and_max() -> None:
    cells = ("std", "mean", "median", "max")
    table = published_layout.table(dev("rte_dev", 20), numbers=PUBLISHED, places=[("mosbach2021", "Table 1")], cells=cells)
    theirs = cell(table, arm="devlin", source="Mosbach et al. (2021), Table 1, validation")
    assert theirs["rte_dev"] == "0.072 / 0.523 / 0.473 / 0.711"
    ours = cell(table, arm="devlin", source="ours")
    assert [len(number) for number in ours["rte_dev"].split(" / ")] == [5] * 4


def test_other_encoders_have_rows_of_their_own() -> None:
    given = results(select(reinit.grid(PAPER), tasks=["rte"]), World(seeds=2))
    table = published_layout.table(given, numbers=PUBLISHED, places=[("zhang2021", "Table 7")])
    encoders = table.loc[table["source"] != "ours", "encoder"]
    assert sorted(encoders) == sorted(["BART", "ELECTRA", "RoBERTa", "XLNet"] * 2)
    assert cell(table, arm="standard", encoder="XLNet")["stsb"] == "0.868±0.204 (20)"


def test_ours_are_of_the_score_that_the_source_prints() -> None:
    """Mosbach et al. print the mean of accuracy and F1 of MRPC, which is judged by F1."""
    given = results(select(mosbach.grid(PAPER), tasks=["mrpc_dev"]), World(seeds=2))
    runs = given.runs.assign(score_name="f1", score_split="validation")
    accuracy = given.metrics[(given.metrics["metric"] == "score") & (given.metrics["split"] == "validation")]
    metrics = pd.concat([given.metrics, accuracy.assign(metric="accuracy", value=0.5)], ignore_index=True)
    given = Results(runs, metrics, given.predictions)
    table = published_layout.table(given, numbers=PUBLISHED, places=[("mosbach2021", "Table 1")])
    scores = final_scores(given).query("arm == 'devlin'")["score"]
    assert cell(table, arm="devlin", source="ours")["mrpc_dev"].startswith(f"{(scores.mean() + 0.5) / 2:.3f}")
