"""The notebooks of the documentation: they run as they are, from a checkout, and hold the outputs of a run."""

import json
from pathlib import Path

import pytest

NAMES = ["python"]


def _cells(project: Path, name: str) -> list[dict]:
    return json.loads((project / "docs" / "notebooks" / f"{name}.ipynb").read_text())["cells"]


def test_every_notebook_is_tested(project: Path) -> None:
    assert [path.stem for path in sorted((project / "docs" / "notebooks").glob("*.ipynb"))] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_was_executed_from_top_to_bottom_without_an_error(project: Path, name: str) -> None:
    code = [cell for cell in _cells(project, name) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert len(outputs) == len(code)  # each shows something
    assert {output["output_type"] for output in outputs} == {"execute_result"}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_it_runs(project: Path, name: str, tmp_path: Path) -> None:
    client = pytest.importorskip("nbclient", reason="`make docs` installs nbclient")
    nbformat = pytest.importorskip("nbformat")
    notebook = nbformat.read(project / "docs" / "notebooks" / f"{name}.ipynb", 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace('"build/notebook"', repr(str(tmp_path / "results")))

    def kinds() -> list[list[str]]:
        return [[output.output_type for output in cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]

    before = kinds()
    client.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(project)}}).execute()
    assert kinds() == before
    assert (tmp_path / "results" / "smoke" / "notebook" / "runs.parquet").is_file()
