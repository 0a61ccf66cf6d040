"""Tables of results are read as they are, or refused with the place of the fault."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stableft.core.errors import MissingInput, UsageError
from stableft.storage.long_format import read_long
from tests.helpers import long_tables

HEAD = "task,arm,seed,step,split,metric,value"
ROW = "rte,corrected,0,20,test,accuracy,0.7"


def read(folder: Path, text: str | bytes) -> pd.DataFrame:
    path = folder / "runs.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_long(path)


def test_csv_and_parquet_are_read_alike(tmp_path: Path) -> None:
    frame = long_tables.table(experiment="adam", draw=3)
    frame.loc[5, "value"] = np.nan
    one, two = (read_long(long_tables.write(tmp_path, frame, name=name)) for name in ("runs.csv", "runs.parquet"))
    assert one.reset_index(drop=True).equals(two.reset_index(drop=True))
    assert one["value"].tolist()[:5] == frame["value"].tolist()[:5]
    assert np.isnan(one["value"].iloc[5])
    assert (one.index[0], two.index[0]) == (2, 1), "a line of the file, and a row"


def test_what_is_absent_stays_absent(tmp_path: Path) -> None:
    frame = read(tmp_path, f"\ufeff{HEAD},draw\n{ROW},\nrte,corrected,1,20,test,loss,-inf,4\n")
    assert frame["draw"].isna().tolist() == [True, False]
    assert frame["experiment"].tolist() == ["", ""]
    assert frame["value"].tolist() == [0.7, -np.inf]
    categories = pd.DataFrame([ROW.split(",")], columns=HEAD.split(",")).astype({"arm": "category", "seed": int, "step": int})
    categories.astype({"value": float}).assign(draw=None).to_parquet(tmp_path / "runs.parquet")
    assert read_long(tmp_path / "runs.parquet")["draw"].isna().all()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "runs.csv:1: the file is empty"),
        (HEAD, "runs.csv has no rows"),
        (f"{HEAD},lr\n{ROW},1", "runs.csv:1: unknown columns: 'lr'; known: task, arm, seed"),
        (HEAD.replace(",value", "") + "\n", "runs.csv:1: columns missing: 'value'"),
        (f"{HEAD},value\n", "runs.csv:1: columns more than once: 'value'"),
        (f"{HEAD}\n{ROW}\n{ROW},1\n", "runs.csv:3: 8 cells, but the header has 7"),
        (f"{HEAD}\n{ROW}\n\n", "runs.csv:3: 0 cells"),
        (f"{HEAD}\n{ROW}\n{ROW}\n", "runs.csv:3: a second value of the same experiment, task, arm, seed, step, split, metric"),
        (f"{HEAD}\n{ROW.replace('test', 'dev')}\n", "runs.csv:2: unknown split 'dev'; known: train, validation, test"),
        (f"{HEAD}\n{ROW.replace('0.7', 'high')}\n", "runs.csv:2: value is 'high'; expected a number"),
        (f"{HEAD}\n{ROW.replace('0.7', '')}\n", "runs.csv:2: value is ''; expected a number; leave the row out"),
        (f"{HEAD}\n{ROW.replace('0.7', '1_000')}\n", "runs.csv:2: value is '1_000'"),
        (f"{HEAD}\n{ROW.replace(',0,', ',1.5,')}\n", "runs.csv:2: seed is '1.5'; expected a whole number"),
        (f"{HEAD}\n{ROW.replace(',20,', ',-1,')}\n", "runs.csv:2: step is '-1'; expected a whole number"),
        (f"{HEAD}\n{ROW.replace(',20,', ',3000000000,')}\n", "runs.csv:2: step is 3000000000; expected less than 2^31"),
        (f"{HEAD},draw\n{ROW},first\n", "runs.csv:2: draw is 'first'"),
        (f"{HEAD}\n{ROW.replace('corrected', '')}\n", "runs.csv:2: arm is ''; expected a name"),
        (f"{HEAD}\n{ROW.replace('rte', 'x' * 81)}\n", "expected a name of 1 to 80"),
        (f"{HEAD}\n{ROW.replace('rte', chr(27) + '[31m')}\n", "runs.csv:2: task is '\\x1b[31m'"),
        (f'{HEAD}\n"rte,{ROW}', "runs.csv: bad CSV"),
        (HEAD.encode() + b"\n\xff\xfe", "runs.csv: not UTF-8"),
    ],
)  # fmt: skip
def test_a_fault_is_refused_with_its_place(tmp_path: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(MissingInput) as error:
        read(tmp_path, text)
    assert problem in str(error.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="No such file"):
        read_long(tmp_path / "runs.csv")
    with pytest.raises(UsageError, match=r"ends in \.csv or \.parquet"):
        read_long(tmp_path / "runs.xlsx")
    (tmp_path / "runs.parquet").write_bytes(b"PAR1 not quite")
    with pytest.raises(MissingInput, match="is damaged"):
        read_long(tmp_path / "runs.parquet")


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"seed": "0"}, "column seed holds"),
        ({"seed": 0.5}, "column seed holds double"),
        ({"value": "high"}, "column value holds"),
        ({"arm": 3}, "column arm holds int64"),
        ({"value": True}, "column value holds bool"),
        ({"split": "dev"}, "runs.parquet:1: unknown split 'dev'"),
        ({"lr": 1}, "unknown columns: 'lr'"),
    ],
)
def test_a_parquet_file_has_the_types_of_its_columns(tmp_path: Path, columns: dict[str, object], problem: str) -> None:
    with pytest.raises(MissingInput) as error:
        read_long(long_tables.write(tmp_path, long_tables.table(**columns), name="runs.parquet"))
    assert problem in str(error.value)
