"""`stableft try`: a technique against the baseline on paired seeds; its numbers as an independent computation has them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stableft.cli.common import Exit
from stableft.cli.try_setting import parse_setting, sentence, trial_grid
from stableft.core.errors import UsageError
from tests.conftest import Plug, Quick
from tests.core.test_plugins import TECHNIQUE

AT = ("--protocol", "smoke", "--results", "out", "--backend", "serial")


def test_a_trial_is_compared_drawn_and_cached(tmp_path: Path, quick: Quick):
    code, out, err = quick(tmp_path, "try", "reinit:num_layers=1+dropout=0", *AT, "--seeds", "0-2", "--json")
    assert code == 0, err
    shown = json.loads(out)
    (row,) = shown["tasks"]
    # The numbers, from the tables.
    folder = tmp_path / "out" / "smoke" / "try-reinit-num_layers=1-dropout=0"
    runs, metrics = (pd.read_parquet(folder / f"{name}.parquet") for name in ("runs", "metrics"))
    last = metrics[(metrics["metric"] == "accuracy") & (metrics["scope"] == "") & (metrics["split"] == runs["score_split"].iloc[0])]
    scores = last[last["step"] == runs["num_steps"].iloc[0]].pivot(index="seed", columns="arm", values="value")
    tried, standard = scores["reinit:num_layers=1+dropout=0"], scores["standard"]
    assert (row["pairs"], row["mean"], row["reference"]) == (3, *map(pytest.approx, (tried.mean(), standard.mean())))
    assert row["difference"] == pytest.approx((tried - standard).mean())
    majority = runs["majority_score"].iloc[0]
    assert (row["failed"], row["failed_reference"]) == ((tried <= majority).sum(), (standard <= majority).sum())
    seconds = runs.groupby("arm")["seconds"].median()
    assert row["time"] == pytest.approx(seconds["reinit:num_layers=1+dropout=0"] / seconds["standard"])
    # Both arms differ in exactly what was typed.
    configs = {row.arm: json.loads(str(row.config)) for row in runs[runs["seed"] == 0].itertuples()}
    tried_config = configs["reinit:num_layers=1+dropout=0"]
    assert tried_config.pop("techniques") == [{"name": "reinit", "pooler": True, "num_layers": 1}]
    assert (tried_config.pop("dropout"), configs["standard"].pop("dropout")) == (0, 0.1)
    assert configs["standard"].pop("techniques") is None
    assert tried_config == configs["standard"]
    # Its figure and table.
    assert all((tmp_path / path).is_file() for path in shown["files"])
    assert {Path(path).name for path in shown["files"]} >= {"scores.svg", "comparison.md"}
    # More seeds add to them.
    _, out, err = quick(tmp_path, "try", "reinit:num_layers=1+dropout=0", *AT, "--seeds", "0-3", "--dry-run", "--json")
    assert (json.loads(out)["cached"], json.loads(out)["will_run"]) == (6, 2)


@pytest.mark.slow
def test_a_technique_of_a_plugin_against_another_setting(plug: Plug, tmp_path: Path, quick: Quick):
    plug({"shrink": TECHNIQUE})
    code, out, err = quick(tmp_path, "try", "shrink:factor=0.5", "--against", "dropout=0", *AT, "--seeds", "0")
    assert code == 0, err
    assert "| toy | shrink:factor=0.5 | 1 |" in out
    assert "toy: " in out
    assert (tmp_path / "out/smoke/try-shrink-factor=0.5-against-dropout=0/runs.parquet").is_file()
    assert "draws them" not in err  # no experiment of that name can be drawn


def test_settings_are_parsed():
    assert parse_setting("standard") == {"techniques": None}
    assert parse_setting("llrd:decay=0.9") == {"techniques": [{"name": "llrd", "decay": 0.9}]}
    both = {"techniques": [{"name": "reinit", "num_layers": 2, "pooler": True}, {"name": "swa"}], "adam.lr": 1e-4}
    assert parse_setting("reinit: num_layers=2, pooler=true + swa + adam.lr=1e-4") == both
    assert trial_grid("dropout=0", "standard", "smoke").seeds == (0, 1, 2, 3, 4, 5)
    names = {trial_grid("+".join(f"adam.lr={k}e-{n}" for n in range(20)), "standard", "smoke").name for k in (1, 2)}
    assert len(names) == 2
    assert all(len(name) <= 60 for name in names)


@pytest.mark.parametrize(
    ("setting", "against", "message"),
    [
        ("rein", "standard", "unknown technique 'rein'; known: "),
        ("reinit:num_layer=1", "standard", "reinit: num_layers: Field required; num_layer: Extra inputs are not permitted"),
        ("reinit:num_layers", "standard", "write field=value"),
        ("drop=0", "standard", "unknown configuration field 'drop'"),
        ("standard", "standard", "against itself"),
        ("reinit:num_layers=1", "mixout", "mixout: p: Field required"),
    ],
)
def test_a_setting_that_cant_be_tried(tmp_path: Path, quick: Quick, setting: str, against: str, message: str):
    code, _, err = quick(tmp_path, "try", setting, "--against", against, *AT)
    assert (code, message in err) == (Exit.USAGE, True), err
    assert not (tmp_path / "out").exists()


def test_a_results_folder_that_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path, quick: Quick):
    (tmp_path / "file").touch()
    code, out, err = quick(tmp_path, "try", "dropout=0", "--protocol", "smoke", "--results", "file/out")
    assert (code, out) == (Exit.IO, "")
    assert err == "error: file/out can't be written: name another folder by --results\n"


def test_a_truncated_record_is_set_aside_and_its_run_done_again(tmp_path: Path, quick: Quick):
    assert quick(tmp_path, "try", "dropout=0", *AT, "--seeds", "0")[0] == 0
    record = sorted((tmp_path / "out" / "runs").iterdir())[0]
    record.write_bytes(record.read_bytes()[:-9])
    code, _, err = quick(tmp_path, "try", "dropout=0", *AT, "--seeds", "0")
    assert code == 0, err
    assert f"{record.name} is damaged (cut short)" in err
    assert (tmp_path / "out" / "damaged" / record.name).is_file()
    assert record.is_file()


def test_what_is_said_of_a_task():
    row = {"task": "t", "difference": 0.1, "p": 0.03, "pairs": 6, "more": 0}
    assert sentence(row) == "t: better (p = 0.030, 6 pairs)"
    assert sentence({**row, "difference": -0.1}) == "t: worse (p = 0.030, 6 pairs)"
    assert (
        sentence({**row, "p": 0.2, "more": 9})
        == "t: undecided after 6 pairs; about 9 more seeds would decide a difference of that size"
    )
    assert "about 4 more" in sentence({**row, "p": 0.5, "pairs": 2, "more": 1})  # six pairs at least
    for more in (None, np.nan, 1_000_000):
        assert sentence({**row, "p": 1.0, "more": more}) == "t: no difference that seeds would show"


def test_settings_that_are_the_same_by_another_spelling_are_refused():
    with pytest.raises(UsageError, match="against itself"):
        trial_grid("llrd:decay=0.9", "llrd: decay=0.9", "smoke")
