"""The published numbers: those of the sources, each once, and each with a place in our grids or marked as having none."""

from pathlib import Path

import pandas as pd
import pytest

from experiments.protocol import PAPER
from experiments.published import CURVES, PUBLISHED
from stableft.core.errors import MissingInput
from stableft.core.experiments import get_experiment
from stableft.reporting import published
from stableft.tasks.catalog import all_tasks, get_task

LINE = "zhang2021,Table 1,exact,bert,adam,rte,corrected,test,accuracy,20,0.695,0.025,,,,,"


def cell(**key: str) -> pd.Series:
    rows = PUBLISHED
    for name, value in key.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.mark.parametrize(
    ("key", "numbers"),
    [
        # Zhang et al., Tables 1, 2, 4, 5 and 7, Appendix B, Figures 5 and 8
        ({"place": "Table 1", "experiment": "reinit", "task": "rte", "arm": "pooler+5"}, {"n": 20, "mean": 0.726, "std": 0.016}),
        ({"place": "Table 1", "task": "(cola)", "arm": "(reinit longer)"}, {"mean": 0.619, "std": 0.023}),
        ({"place": "Table 1", "task": "mnli_1k", "arm": "standard 96"}, {"mean": 0.522, "std": 0.042}),
        ({"place": "Table 1", "task": "mnli_1k", "arm": "(standard longer)"}, {"mean": 0.675, "std": 0.011}),
        ({"place": "Table 2", "task": "rte", "arm": "first mnli"}, {"mean": 0.818, "std": 0.017}),
        ({"place": "Table 2", "task": "stsb", "arm": "mixout"}, {"mean": 0.892, "std": 0.004}),
        ({"place": "Table 2", "task": "cola", "arm": "reinit"}, {"mean": 0.642}),
        ({"place": "Table 4", "task": "rte", "arm": "fp32"}, {"mean": 0.714, "std": 0.022}),
        ({"place": "Table 5", "arm": "uncorrected", "split": "test"}, {"n": 3, "mean": 0.870, "std": 0.004}),
        ({"place": "Table 7", "encoder": "XLNet", "task": "stsb", "arm": "standard"}, {"mean": 0.868, "std": 0.204}),
        ({"place": "Table 7", "encoder": "BART", "task": "cola", "arm": "(reinit)"}, {"mean": 0.649, "std": 0.023}),
        ({"place": "Appendix B", "arm": "(standard)"}, {"n": 100, "min": 0.6377, "mean": 0.7122, "max": 0.7609}),
        ({"place": "Appendix B", "arm": "(reinit init=5)"}, {"n": 10, "mean": 0.7239}),
        ({"place": "Figure 5", "task": "mrpc", "arm": "pooler+4"}, {"median": 0.902}),
        ({"place": "Figure 8", "task": "stsb_1k", "arm": "reinit 400"}, {"n": 8, "mean": 0.8865}),
        # replication
        (
            {"source": "replication", "experiment": "adam", "task": "rte", "arm": "uncorrected"},
            {"n": 50, "mean": 0.5484, "failed": 36},
        ),
        (
            {"source": "replication", "experiment": "adam", "task": "stsb", "arm": "uncorrected", "score_name": "spearman"},
            {"mean": 0.781, "failed": 6},
        ),
        ({"source": "replication", "task": "cola_1k", "arm": "(uncorrected 96)"}, {"mean": 0.164, "std": 0.224}),
        # Mosbach et al., Table 1; Dodge et al.; the articles
        (
            {"source": "mosbach2021", "experiment": "mosbach", "task": "rte_dev", "arm": "devlin"},
            {"n": 25, "std": 0.072, "mean": 0.523, "median": 0.473, "max": 0.711},
        ),
        ({"source": "mosbach2021", "experiment": "lr_grid", "arm": "corrected lr=2e-05 epochs=20"}, {"mean": 0.701, "std": 0.024}),
        ({"source": "dodge2020", "task": "rte"}, {"n": 625, "max": 0.773}),
        ({"source": "tnews_article", "arm": "corrected"}, {"mean": 0.82}),
        ({"source": "article", "task": "(commonlit)", "arm": "+reinit"}, {"mean": -0.5543}),
        ({"source": "article", "task": "commonlit1", "arm": "grouped"}, {"mean": -0.54}),
        ({"source": "ner_article"}, {"mean": 0.598}),
    ],
)
def test_numbers_are_those_of_the_sources(key: dict[str, str], numbers: dict[str, float]) -> None:
    row = cell(**key)
    assert {name: row[name] for name in numbers} == numbers


def test_each_is_there_once() -> None:
    assert len(PUBLISHED) > 300
    assert not PUBLISHED.duplicated(published.KEY).any()
    assert set(PUBLISHED["source"]) == set(published.CITATIONS)


def test_the_same_number_under_several_experiments_is_the_same() -> None:
    tables = PUBLISHED[(PUBLISHED["source"] == "zhang2021") & (PUBLISHED["place"] == "Table 1")]
    standard = tables[tables["arm"].isin(["corrected", "standard", "(standard 3 epochs)"])]
    values = standard.assign(task=standard["task"].str.strip("()")).groupby("task")[["mean", "std"]].nunique()
    assert len(values) == 4
    assert (values == 1).all(axis=None)


def test_tasks_and_arms_exist_or_are_marked() -> None:
    for name, rows in PUBLISHED.groupby("experiment"):
        grid = get_experiment(str(name)).grid(PAPER)
        for row in rows.itertuples():
            assert published.is_own(str(row.task)) or row.task in grid.tasks, row
            assert published.is_own(str(row.arm)) or row.arm in grid.arms, row
            assert row.here == (row.task in grid.tasks and row.arm in grid.arms), row


def test_scores_are_ours_but_for_the_mean_of_two() -> None:
    for row in PUBLISHED.drop_duplicates(["task", "score_name"]).itertuples():
        if row.task in all_tasks() and row.score_name not in ("pearson", "accuracy_and_f1"):
            assert get_task(str(row.task)).score == row.score_name


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (LINE.replace("Table 1", ""), "place is empty"),
        (LINE.replace("exact", "roughly"), "confidence is 'roughly'"),
        (LINE.replace("zhang2021", "zhang"), "source is 'zhang'"),
        (LINE.replace("test", "dev"), "split is 'dev'"),
        (LINE.replace(",20,", ",,"), "n, the number of runs"),
        (LINE.replace("0.695", "high"), "mean is 'high'; expected a number"),
        (LINE.replace("0.695", "nan"), "mean is 'nan'; expected a number"),
        (LINE.replace(",20,", f",{'9' * 400},"), "n is '9+\u2026 .*; expected a whole number"),
        (LINE.replace("0.695", ""), "no mean, median"),
        (LINE.replace("0.025", "-0.025"), "std is negative"),
        (LINE.replace("0.025,,,,,", "0.025,,,0.6,,"), "not in this order"),
        (LINE.replace("0.025,,,,,", "0.025,,,,21,"), "more runs failed"),
        (LINE + ",more", "18 fields instead of 17"),
        (LINE + "\n" + LINE, "as in line 2"),
    ],
)
def test_a_malformed_row_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "published.csv"
    path.write_text(",".join(published.COLUMNS) + "\n" + line + "\n", encoding="utf-8")
    number = line.count("\n") + 2
    with pytest.raises(MissingInput, match=reason) as raised:
        published.read_published(path)
    assert str(raised.value).startswith(f"{path}:{number}: ")


def test_a_file_of_other_columns_or_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    with pytest.raises(MissingInput, match="No such file"):
        published.read_published(path)
    path.write_text("source,mean\n", encoding="utf-8")
    with pytest.raises(MissingInput, match=r"published.csv:1: columns are source, mean"):
        published.read_published(path)


def test_what_stands_beside_our_scores() -> None:
    """Means before medians; of a source's encoders the one it is about; no rows that have neither (Dodge et al.'s maximum)."""
    ours = pd.DataFrame(
        [("reinit", "rte", "standard", "test"), ("mosbach", "rte_dev", "devlin", "validation"), ("adam", "rte", "mine", "test")],
        columns=["experiment", "task", "arm", "split"],
    ).assign(score_name="accuracy", score=0.6)
    rows = published.matching_rows(PUBLISHED, pd.concat([ours, ours]))
    assert rows["label"].tolist() == [
        "Zhang et al. (2021), Table 1, bert-large-uncased, n = 20: mean ± std",
        "independent replication of Zhang et al., results of 50 seeds, bert-large-uncased, n = 50: mean ± std",
        "Mosbach et al. (2021), Table 1, bert-large-uncased, n = 25: mean ± std",
    ]
    assert rows["value"].tolist() == [0.695, 0.6905, 0.523]
    assert published.matching_rows(PUBLISHED, ours.assign(score_name="f1")).empty


POINT = "replication,curves,bert,adam,rte,corrected,train,loss,50,23,0.7"


def test_curves_are_those_of_the_replication() -> None:
    assert CURVES.groupby(["experiment", "task", "arm"]).size().to_dict() == {
        (experiment, task, arm): 10
        for experiment, arms in {"adam": ("corrected", "uncorrected"), "reinit": ("standard", "pooler+5")}.items()
        for arm in arms
        for task in ("rte", "mrpc", "stsb", "cola")
    }
    curve = CURVES.query("experiment == 'adam' and task == 'cola' and arm == 'uncorrected'")
    assert curve["step"].tolist() == list(range(80, 801, 80))
    assert curve["value"].tolist() == [0.578, 0.551, 0.538, 0.478, 0.443, 0.432, 0.400, 0.354, 0.345, 0.346]
    first = CURVES[CURVES["step"] == CURVES.groupby("task")["step"].transform("min")].pivot_table("value", "task", "arm")
    assert (
        first["corrected"] > first["uncorrected"]
    ).all()  # slower in the first interval, on all four tasks (protocol section 3.4)
    assert first["corrected"].equals(first["standard"].rename("corrected"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (POINT.replace("0.7", ""), "value is empty"),
        (POINT.replace("23", "0"), "at least 1"),
        (POINT.replace("23", "2.5"), "2.5"),
        (POINT.replace("rte", ""), "task is empty"),
        (POINT + ",", "12 fields instead of 11"),
        (POINT + "\n" + POINT, "as in line 2"),
    ],
)
def test_a_malformed_curve_is_refused_with_its_line(tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "curves.csv"
    path.write_text(",".join(published.CURVE_COLUMNS) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(MissingInput, match=rf"curves.csv:{2 + line.count(chr(10))}: .*{reason}"):
        published.read_curves(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"source,\xff\n", "not UTF-8"), (b"source," + b"a" * 140_000, ":1: bad CSV"), (b"", ":1: columns are ")],
)
def test_a_file_that_is_no_table_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "published.csv"
    path.write_bytes(content)
    with pytest.raises(MissingInput, match=reason):
        published.read_published(path)
