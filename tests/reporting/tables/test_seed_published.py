"""Appendix B beside ours, by init seed; all of its 22 rows are shown."""

import pytest

from experiments import seeds
from experiments.protocol import LAPTOP, PAPER
from experiments.published import PUBLISHED
from stableft.reporting import run_scores
from stableft.reporting.tables import seed_published
from tests.helpers.worlds import World, results


def test_all_rows_of_appendix_b_stand_beside_ours() -> None:
    table = seed_published.table(results(seeds.grid(PAPER), World(noise=0.01)), numbers=PUBLISHED)
    assert len(table) == table["published_mean"].notna().sum() == 22
    assert table["init"].tolist() == ["all", "all", *map(str, range(10)), *map(str, range(10))]
    row = table.query("method == 'reinit' and init == '5'").iloc[0]
    assert (row["n"], row["published_n"], row["published_mean"]) == (10, 10, 0.7239)


def test_ours_are_means_over_order_seeds_and_of_all_runs() -> None:
    given = results(seeds.grid(LAPTOP), World(noise=0.01))
    table = seed_published.table(given, numbers=PUBLISHED)
    scores = run_scores.both_splits(given)
    some = scores[scores["arm"].str.startswith("reinit init=2 ")]["validation"]
    assert len(table) == 2 + 2 * 4 + 22
    row = table.query("task == 'docpair' and method == 'reinit' and init == '2'").iloc[0]
    assert row[["n", "mean", "std"]].tolist() == [4, pytest.approx(some.mean()), pytest.approx(some.std())]
    assert table.query("task == 'docpair' and method == 'standard' and init == 'all'")["n"].item() == 16
