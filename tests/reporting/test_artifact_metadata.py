"""What every file of a report says about where it comes from, and that it is read back."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from stableft.core.errors import MissingInput, UsageError
from stableft.reporting import artifact_metadata, report
from stableft.reporting.figures import curves
from stableft.reporting.tables import score_summary
from stableft.storage.records import Results
from tests.helpers import synthetic

REPORT: report.Report = {
    "train_loss": report.figure(curves, split="train", metric="loss"),
    "all_scores": report.table(score_summary),
}


def results() -> Results:
    """With commits, one of them of changed code, and a protocol whose name holds what LaTeX escapes."""
    whole = synthetic.grid(2)
    commits = [{"commit": "b" * 40, "dirty": False}, {"commit": "a" * 40, "dirty": True}, {"commit": None, "dirty": False}]
    said = [json.dumps({"git": commits[number % 3]}) for number in range(len(whole.runs))]
    return replace(whole, runs=whole.runs.assign(provenance=said, protocol="smoke+my_own-file.csv"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return report.render_all(REPORT, results(), tmp_path_factory.mktemp("figures"))


def test_every_file_says_its_runs(written: list[Path]) -> None:
    found = artifact_metadata.origin_of(results(), "train_loss")
    assert found.commits == ("a" * 12 + "+", "b" * 12)
    assert len(written) == 8
    for path in written:
        said = artifact_metadata.read_origin(path)
        assert said.entry == path.stem
        inside = path.suffix in (".pdf", ".png", ".svg")
        assert replace(said, entry="train_loss") == (found if inside else replace(found, commits=())), path.suffix


def test_whatever_a_name_holds_comes_back(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    from stableft.reporting.figures import style

    said = artifact_metadata.Origin("adam", "a (b) \\ <c> & \"d\" '中'", "x", "0" * 12, ("c+",))
    for path in style.save(Figure((1, 1)), tmp_path / "figure", said.to_json()):
        assert artifact_metadata.read_origin(path) == said, path.suffix


def test_other_files_get_one_clear_error(tmp_path: Path, written: list[Path]) -> None:
    for name, content in {
        "a.pdf": b"%PDF-1.4\n<< /Creator (x) >>", "a.png": b"\x89PNG\r\n\x1a\n\0\0", "b.png": b"",
        "a.svg": b"<svg", "b.svg": b"<svg/>", "a.csv": b"a,b\n", "a.md": b"no note",
        "c.pdf": b'/Subject ({"experiment": 3})', "d.pdf": b"/Subject (3)",
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match="does not record its origin"):
            artifact_metadata.read_origin(tmp_path / name)
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(UsageError, match="not a figure or table"):
        artifact_metadata.read_origin(tmp_path / "a.jpg")
    with pytest.raises(MissingInput, match="no such file"):
        artifact_metadata.read_origin(tmp_path / "none.pdf")


def test_the_run_set_is_of_the_ids_alone() -> None:
    whole = results()
    turned = replace(whole, runs=whole.runs.iloc[::-1])
    assert artifact_metadata.run_set(turned) == artifact_metadata.run_set(whole)
    assert artifact_metadata.run_set(synthetic.without(whole, "corrected", {0})) != artifact_metadata.run_set(whole)
