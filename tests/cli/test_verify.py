"""`stableft verify` as users call it."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from experiments import adam
from experiments.protocol import LAPTOP
from stableft.cli.app import app
from stableft.cli.common import Exit
from stableft.core.experiments import all_experiments
from stableft.reporting.claims import thresholds
from stableft.storage.parquet import write_parquet
from stableft.storage.store import Store
from tests.helpers.worlds import World, results

Verify = Callable[..., tuple[int, str]]


@pytest.fixture
def verify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Verify:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def called(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["verify", *arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout

    return called


def keep(folder: Path, world: World, **facts: str) -> None:
    """Results of adam at laptop, as if collected, with further facts of their runs."""
    collected = results(adam.grid(LAPTOP), world)
    runs = collected.runs.assign(provenance="{}", peak_memory_mb=0.0, **facts)
    for name, frame in (("runs", runs), ("metrics", collected.metrics), ("predictions", collected.predictions)):
        table = pa.Table.from_pandas(frame, preserve_index=False)
        write_parquet(table, Store(folder).folder("laptop", "adam") / f"{name}.parquet")


def test_a_page_of_every_claim(verify: Verify, tmp_path: Path) -> None:
    keep(tmp_path / "results", World(failing=1, trend=-0.1))
    code, out = verify()
    assert code == Exit.OK
    assert "adam/uncorrected_fails" in out
    assert "confirmed here" in out
    assert "written: CLAIMS.md" in out
    page = (tmp_path / "CLAIMS.md").read_bytes()
    assert b"| laptop: small encoder, small tasks |" in page
    assert b"--protocol paper`): no results" in page
    assert b"--protocol small`" not in page
    assert verify() == (code, out)
    assert (tmp_path / "CLAIMS.md").read_bytes() == page


def test_other_results_have_their_own_page(verify: Verify, tmp_path: Path) -> None:
    keep(tmp_path / "pipe", World(failing=1))
    (tmp_path / "CLAIMS.md").write_text("committed")
    code, out = verify("--results", "pipe")
    assert code == Exit.OK
    assert "written: pipe/CLAIMS.md" in out
    assert (tmp_path / "CLAIMS.md").read_text() == "committed"
    assert b"laptop" in (tmp_path / "pipe" / "CLAIMS.md").read_bytes()
    assert verify("--results", "nowhere")[0] == Exit.MISSING_INPUT
    assert not (tmp_path / "nowhere").exists()


def test_json_has_the_same(verify: Verify, tmp_path: Path) -> None:
    keep(tmp_path / "elsewhere", World(failing=1))
    code, out = verify("adam", "--protocol", "laptop", "--results", "elsewhere", "--json")
    assert code == Exit.OK
    claims = {claim["claim"]: claim for claim in json.loads(out)["claims"]}
    assert list(claims) == [claim.name for claim in adam.CLAIMS]
    fails = claims["uncorrected_fails"]
    assert (fails["verdict"], fails["own_evidence"], fails["n"], fails["seconds"]) == ("confirmed", True, 8, 64.0)
    assert not (tmp_path / "CLAIMS.md").exists(), "a part is no page of all"
    verify("adam", "--results", "elsewhere", "--output", "page.md")
    assert "uncorrected_fails" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_strict_ends_with_3_if_one_is_contradicted(verify: Verify, tmp_path: Path) -> None:
    arguments = ("adam", "--protocol", "laptop")
    keep(tmp_path / "results", World(seeds=2))
    assert verify(*arguments, "--strict")[0] == Exit.OK
    keep(tmp_path / "results", World(failing=0))
    assert verify(*arguments)[0] == Exit.OK
    code, out = verify(*arguments, "--strict")
    assert code == Exit.CONTRADICTED == 3
    assert "contradicted here" in out


def test_without_results_all_is_not_run(verify: Verify) -> None:
    code, out = verify("adam", "--strict")
    assert code == Exit.OK
    assert f"{len(adam.CLAIMS)} not run" in out


def test_unknown_names_are_refused(verify: Verify) -> None:
    assert verify("adams")[0] == Exit.USAGE
    assert verify("--protocol", "huge")[0] == Exit.USAGE


def test_it_says_which_runs_a_verdict_rests_on_and_when_its_threshold_was_set(verify: Verify, tmp_path: Path) -> None:
    keep(tmp_path / "results", World(failing=1))
    _, out = verify("adam", "--protocol", "laptop")
    assert "      32 runs of adam" in out
    data = json.loads(verify("adam", "--protocol", "laptop", "--json")[1])
    assert data["stale"] == []
    claims = {claim["claim"]: claim for claim in data["claims"]}
    fails = claims["uncorrected_fails"]
    assert (fails["wording"], fails["kind"], fails["runs"], fails["rests_on"]) == (
        "confirmed here",
        "empirical",
        32,
        ["32 runs of adam"],
    )
    assert fails["effect"].startswith("docs15 8 of 8 against 0")
    assert fails["threshold"]["data_seen"] == "yes"
    assert {"question", "setting", "outside", "seeds_range"} <= fails.keys()


def test_stale_runs_are_named_and_decide_nothing(verify: Verify, tmp_path: Path) -> None:
    keep(tmp_path / "results", World(failing=1), data_fingerprint="d", weights_fingerprint="w")
    code, out = verify("adam", "--protocol", "laptop")
    assert code == Exit.OK
    assert "stale: adam at laptop: 32 of 32 runs are stale" in out
    assert f"{len(adam.CLAIMS)} not run" in out
    assert json.loads(verify("adam", "--json")[1])["stale"] == [
        {"protocol": "laptop", "experiment": "adam", "stale": 32, "runs": 32}
    ]
    verify()
    assert "Stale: adam at laptop: 32 of 32" in (tmp_path / "CLAIMS.md").read_text(encoding="utf-8")


def test_freezing_needs_a_change_and_writes_the_reason(verify: Verify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "thresholds.csv"
    monkeypatch.setattr(thresholds, "default_path", lambda: path)
    assert verify("adam", "--protocol", "laptop", "--freeze", "as it was first written")[0] == Exit.OK
    lines = thresholds.read_thresholds(path)
    assert {line.reason for line in lines} == {"as it was first written"}
    assert len(lines) == sum(len(module.CLAIMS) for module in all_experiments().values())
    before = path.read_bytes()
    verify("adam", "--protocol", "laptop", "--freeze", "again")
    assert path.read_bytes() == before
