"""`stableft import` as users call it, and every command that reads what it stored."""

import json
from pathlib import Path

import pytest

from stableft.cli.common import Exit
from stableft.storage.store import Store
from tests.conftest import Quick
from tests.helpers import long_tables

LABEL = "own runs, BERT-base, bf16"


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, quick: Quick) -> Path:
    """A folder with runs of adam on rte, imported as ``theirs``."""
    folder = tmp_path_factory.mktemp("imported")
    long_tables.write(folder, long_tables.table(experiment="adam"))
    code, out, _ = quick(folder, "import", "runs.csv", "--as", "theirs")
    assert code == Exit.OK
    assert f"16 runs imported to results/theirs ({LABEL})" in out
    return folder


def test_json_has_a_row_per_arm(tmp_path: Path, quick: Quick) -> None:
    long_tables.write(tmp_path, long_tables.table(experiment="adam")).with_suffix(".json").rename(tmp_path / "settings.json")
    arguments = ("import", "runs.csv", "--as", "b", "--settings", "settings.json", "--results", "out", "--json")
    code, out, _ = quick(tmp_path, *arguments)
    assert code == Exit.OK
    data = json.loads(out)
    assert (data["name"], data["label"], data["folder"]) == ("b", LABEL, "out/b")
    cells = [{"experiment": "adam", "task": "rte", "arm": arm, "runs": 8} for arm in ("corrected", "uncorrected")]
    assert data["cells"] == cells


def test_faults_leave_nothing_and_say_where(tmp_path: Path, quick: Quick) -> None:
    path = long_tables.write(tmp_path, long_tables.table(experiment="adam"))
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace(",test,", ",dev,"), encoding="utf-8")
    assert quick(tmp_path, "import", "runs.csv", "--as", "theirs")[0] == Exit.MISSING_INPUT
    path.write_text(good, encoding="utf-8")
    for name in ("laptop", "small", "paper", "runs", "A b"):
        assert quick(tmp_path, "import", "runs.csv", "--as", name)[0] == Exit.USAGE
    assert quick(tmp_path, "import", "absent.csv", "--as", "theirs", "--settings", "runs.json")[0] == Exit.MISSING_INPUT
    code, _, err = quick(tmp_path, "import", "absent.csv", "--as", "theirs")
    assert (code, "docs/import.md" in err) == (Exit.MISSING_INPUT, True)
    settings = {**long_tables.SETTINGS, "tasks": {"rte": {"score": "spearmanr", "majority_score": 0.5}}}
    path.with_suffix(".json").write_text(json.dumps(settings), encoding="utf-8")
    code, _, err = quick(tmp_path, "import", "runs.csv", "--as", "theirs")
    assert code == Exit.MISSING_INPUT
    assert "runs.json: tasks.rte.score is 'spearmanr'; known: accuracy" in err
    assert not (tmp_path / "results").exists()


def test_a_set_is_never_overwritten(imported: Path, quick: Quick) -> None:
    code, _, err = quick(imported, "import", "runs.csv", "--as", "theirs")
    assert code == Exit.USAGE
    assert "results/theirs exists" in err


def test_verdicts_name_the_source_and_are_not_ours(imported: Path, quick: Quick) -> None:
    code, out, _ = quick(imported, "verify", "adam", "--protocol", "theirs", "--json")
    assert code == Exit.OK
    claims = {claim["claim"]: claim for claim in json.loads(out)["claims"]}
    fails = claims["uncorrected_fails"]
    assert (fails["verdict"], fails["own_evidence"], fails["imported"], fails["seconds"]) == ("confirmed", True, LABEL, None)
    assert f"confirmed ({LABEL}, not the encoder of the claim)" in quick(imported, "verify", "adam", "--protocol", "theirs")[1]
    assert quick(imported, "verify")[0] == Exit.OK
    page = (imported / "CLAIMS.md").read_text(encoding="utf-8")
    assert f"confirmed ({LABEL}" in page
    assert "run adam --protocol theirs" not in page


def test_it_cannot_be_run(imported: Path, quick: Quick) -> None:
    for command in ("run", "retry", "plan"):
        code, _, err = quick(imported, command, "adam", "--protocol", "theirs")
        assert code == Exit.USAGE
        assert f"theirs holds imported results ({LABEL}), which can't be run" in err
    code, _, err = quick(imported, "run", "reinit", "--protocol", "theirs")
    assert code == Exit.USAGE
    assert "and none of reinit" in err


def test_status_and_listings_know_it(imported: Path, quick: Quick) -> None:
    code, out, _ = quick(imported, "status", "adam", "--protocol", "theirs", "--results", "results")
    assert code == Exit.OK
    assert f"imported, not run here: {LABEL}" in out
    data = json.loads(quick(imported, "status", "adam", "--protocol", "theirs", "--arms", "corrected", "--json")[1])
    assert (data["runs"], data["done"], data["pending"], data["diverged"]) == (8, 8, 0, 0)
    assert [cell["arm"] for cell in data["cells"]] == ["corrected"]
    assert "somebody, somewhere" in json.loads(quick(imported, "ls", "protocols", "--json")[1])["protocols"]["theirs"]


def test_a_set_of_another_folder_is_a_protocol_there(imported: Path, quick: Quick, tmp_path: Path) -> None:
    where = ("--results", str(imported / "results"))
    for words in (("status", "adam", "--protocol", "theirs"), ("verify", "adam", "--protocol", "theirs")):
        code, _, err = quick(tmp_path, *words, *where)
        assert code == 0, err
    assert "unknown protocol 'theirs'" in quick(tmp_path, "status", "adam", "--protocol", "theirs")[2]


def test_it_compares_and_traces_like_any_other(imported: Path, quick: Quick) -> None:
    code, out, _ = quick(imported, "compare", "results", "results", "--strict")
    assert code == Exit.OK
    assert out.count("equal, bit for bit") == 2
    run = Store(imported / "results").load_runs("theirs", "adam")["run_id"].iloc[0]
    code, out, _ = quick(imported, "show", run[:8])
    assert code == Exit.OK
    assert "imported, so they can't be computed again from here: somebody, somewhere" in out
    assert quick(imported, "tables", "adam", "--protocol", "theirs")[0] == Exit.OK
    code, out, _ = quick(imported, "trace", "figures/theirs/adam/arms.md")
    assert code == Exit.OK
    assert "to judge them: python -m stableft verify adam --protocol theirs" in out
    note = (imported / "figures/theirs/adam/arms.md").read_text(encoding="utf-8")
    assert f"Imported, not run here ({LABEL}): somebody, somewhere; licence: CC0. Settings: another encoder." in note
    assert quick(imported, "gc", "--yes", "--runs", "--only-copies")[0] == Exit.OK
    assert (imported / "results/theirs/adam/runs.parquet").is_file()


@pytest.mark.slow
def test_the_report_names_the_source(imported: Path, quick: Quick) -> None:
    for command in ("figures", "tables", "report"):
        assert quick(imported, command, "--protocol", "theirs")[0] == Exit.OK
    page = (imported / "figures/theirs/report.html").read_text(encoding="utf-8")
    for part in (LABEL, "somebody, somewhere", "another encoder", "confirmed (own runs"):
        assert part in page
