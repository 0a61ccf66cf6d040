"""Damaged results: an experiment whose tables can't be read costs itself alone, in every command."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments import adam, bias
from stableft.cli.common import Exit
from stableft.core.errors import MissingInput
from stableft.reporting import render, report
from stableft.reporting.pooling import load_pooled
from stableft.reporting.tables import arm_summary
from stableft.storage.evidence import SOURCE_FILE
from stableft.storage.store import Store
from tests.conftest import Quick
from tests.helpers import synthetic
from tests.helpers.pages import keep

BAD = Path("results/laptop/bias")


def forbid(path: Path, patch: pytest.MonkeyPatch) -> None:
    """Takes away the right to read a file; the owner of these tests may be root, who has it always."""
    read = Path.read_bytes

    def refused(self: Path) -> bytes:
        if self.name == path.name and self.parent.name == path.parent.name:
            raise PermissionError(13, "Permission denied", str(self))
        return read(self)

    patch.setattr(Path, "read_bytes", refused)


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path, pytest.MonkeyPatch], None]:
    def damage(path: Path, patch: pytest.MonkeyPatch) -> None:
        path.write_bytes(change(path.read_bytes()))

    return damage


DAMAGES = {
    "truncated": changed(lambda whole: whole[: len(whole) // 2]),
    "empty": changed(lambda whole: b""),
    "random": changed(lambda whole: bytes(range(256)) * 20),
    "footer": changed(lambda whole: whole[:-60] + b"x" * 52 + whole[-8:]),
    "another file": changed(lambda whole: (BAD / "runs.parquet").read_bytes()),
    "forbidden": forbid,
    "absent": lambda path, patch: path.unlink(),
}
ARGUMENTS = {
    "compare": ("results", "results"),
    "verify": ("adam", "bias", "--protocol", "laptop", "--output", "CLAIMS.md"),  # of all experiments it takes longer
}
# The other kinds of damage are read in every_kind_of_damage.
OTHERS = [("runs", "forbidden"), ("predictions", "another file")]
CASES = [("runs", "truncated"), ("metrics", "empty"), *(pytest.param(*case, marks=pytest.mark.slow) for case in OTHERS)]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two experiments."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(render, "cpu_count", lambda: 1)  # another process would not see the reports below
    found = Store(Path("results"))
    for module, name in ((adam, "adam"), (bias, "bias")):
        monkeypatch.setattr(module, "REPORT", {"arms": report.table(arm_summary)})
        keep(found, "laptop", name, synthetic.grid(2, diverged=False))
    return found


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_it_costs_its_own_experiment_alone(
    store: Store, quick: Quick, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    assert quick(Path(), "tables")[0] == Exit.OK
    table = Path("figures/laptop/adam/arms.csv")
    drawn = table.read_bytes()
    DAMAGES[kind](BAD / f"{name}.parquet", monkeypatch)
    ways = ("Get it again, or move results/laptop/bias away and run its experiment again.", "ask its owner for the right to")
    for verb in ("tables", "report", "verify", "compare"):
        code, out, err = quick(Path(), verb, *ARGUMENTS.get(verb, ()))
        assert code == Exit.MISSING_INPUT, verb
        what = {"verify": "not judged", "compare": "not compared"}.get(verb, "not drawn")
        where = "figures/laptop/bias" if verb == "tables" else "bias at laptop"
        (line,) = [line for line in err.splitlines() if line.startswith(f"{what}: {where}")]
        assert f"results/laptop/bias/{name}.parquet" in line
        assert line.endswith(ways), line
        assert not out.startswith("error")
    assert table.read_bytes() == drawn
    page = Path("figures/laptop/report.html").read_text()
    assert f"results/laptop/bias/{name}.parquet" in page
    assert 'id="e-adam"' in page
    claims = Path("CLAIMS.md").read_text()
    assert f"Not read: bias at laptop: results/laptop/bias/{name}.parquet" in claims
    code, out, err = quick(Path(), "trace", str(table))
    assert f"run set {json.loads(quick(Path(), 'trace', str(table), '--json')[1])['run_set']}" in out
    assert code == (Exit.MISSING_INPUT if name == "runs" else Exit.OK)
    assert ("further seeds of bias at laptop" in err) == (name == "runs")
    code, _, err = quick(Path(), "trace", "figures/laptop/bias/arms.csv")
    assert code == Exit.MISSING_INPUT
    assert err.rstrip().endswith(ways)
    for command in (["show", "rte-corrected-0"], ["ls"], ["failures"], ["gc"]):
        assert quick(Path(), *command)[0] == Exit.OK, command


@pytest.mark.parametrize("kind", DAMAGES)
def test_every_kind_of_damage_is_named_with_the_way_out(store: Store, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    names = ("metrics", "predictions") if kind in ("another file", "absent") else ("runs", "metrics", "predictions")
    whole = {name: (BAD / f"{name}.parquet").read_bytes() for name in names}
    for name in names:
        with monkeypatch.context() as patch:
            DAMAGES[kind](BAD / f"{name}.parquet", patch)
            with pytest.raises(MissingInput, match=rf"bias/{name}\.parquet.* (experiment again|ask its owner)"):
                load_pooled(store, "laptop", "bias")
            said: list[str] = []
            assert len(load_pooled(store, "laptop", "adam", unread=said.append).runs) == 8
            assert len(said) == (name == "runs")
        (BAD / f"{name}.parquet").write_bytes(whole[name])


def test_what_was_looked_for_in_damaged_tables_is_not_called_absent(store: Store, quick: Quick) -> None:
    (BAD / "runs.parquet").write_bytes(b"")
    code, _, err = quick(Path(), "show", "nowhere")
    assert code == Exit.MISSING_INPUT
    assert "not looked at: results/laptop/bias/runs.parquet is damaged" in err
    (Path("results/laptop/adam") / "runs.parquet").write_bytes(b"")
    for command in (["tables"], ["compare", "results", "results"]):
        code, _, err = quick(Path(), *command)
        assert code == Exit.MISSING_INPUT
        assert "results/laptop/adam/runs.parquet is damaged" in err


def test_nothing_starts_if_its_rows_could_not_be_kept(store: Store, quick: Quick) -> None:
    keep(store, "smoke", "adam", synthetic.grid(2, diverged=False))
    Path("results/smoke/adam/metrics.parquet").write_bytes(b"")
    for command in (["plan", "adam"], ["run", "adam", "--dry-run"], ["run", "adam"]):
        code, _, err = quick(Path(), *command, "--protocol", "smoke", "--seeds", "0")
        assert code == Exit.MISSING_INPUT
        assert "results/smoke/adam/metrics.parquet is damaged" in err
    assert not Path("results/runs").exists()


def test_further_seeds_that_cannot_be_read_are_left_out_and_named(store: Store) -> None:
    (BAD / "runs.parquet").write_bytes(b"")
    with pytest.raises(MissingInput, match="bias/runs"):
        load_pooled(store, "laptop", "adam")
    said: list[str] = []
    assert len(load_pooled(store, "laptop", "adam", unread=said.append).runs) == 8
    assert [line[:40] for line in said] == ["further seeds of bias at laptop: results"]


def test_the_source_of_an_evidence_set_costs_itself_alone(store: Store, quick: Quick) -> None:
    path = Path("results/theirs") / SOURCE_FILE
    path.parent.mkdir()
    path.write_bytes(b"{")
    assert quick(Path(), "tables")[0] == Exit.OK
    for command, listed in ((["ls", "protocols"], "laptop"), (["verify"], "adam/"), (["report"], "1 files")):
        code, out, err = quick(Path(), *command)
        assert (code, listed in out) == (Exit.MISSING_INPUT, True), command
        assert "results/theirs/source.json" in err
        assert "move results/theirs away" in err
    assert quick(Path(), "status", "adam", "--protocol", "smoke")[0] == Exit.OK
