"""Which results are shown, and that the number of processes changes nothing."""

from pathlib import Path

import pytest

from experiments import adam
from stableft.core.errors import MissingInput, UsageError
from stableft.reporting import render
from stableft.reporting.report import FigureReport, TableReport
from stableft.storage.store import Store
from tests.helpers import synthetic
from tests.helpers.pages import keep


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "results")
    keep(found, "laptop", "adam", synthetic.grid(2, diverged=False))
    keep(found, "small", "adam", synthetic.grid(3))
    keep(found, "laptop", "forgotten", synthetic.grid(2))
    return found


def test_what_is_collected_and_known_is_shown(store: Store) -> None:
    assert render.collected(store) == [("laptop", "adam"), ("small", "adam")]
    assert render.collected(store, "small", ["adam"]) == [("small", "adam")]
    with pytest.raises(MissingInput, match="no collected results"):
        render.collected(store, "paper")
    with pytest.raises(UsageError, match="unknown experiment"):
        render.collected(store, None, ["adma"])


@pytest.mark.slow
def test_the_number_of_processes_changes_no_byte(store: Store, tmp_path: Path) -> None:
    places = render.collected(store)
    alone, *_ = render.render(store, places, tmp_path / "alone", [TableReport], workers=1)
    both, *_ = render.render(store, places, tmp_path / "both", [TableReport], workers=2)
    assert [path.relative_to(tmp_path / "both") for path in both] == [path.relative_to(tmp_path / "alone") for path in alone]
    assert [path.read_bytes() for path in both] == [path.read_bytes() for path in alone]
    assert {path.suffix for path in both} == {".md", ".tex", ".csv"}


def test_figures_and_tables_together_are_everything(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adam, "REPORT", {name: adam.REPORT[name] for name in ("score", "stability", "arms")})
    places = [("laptop", "adam")]
    parts = [render.render(store, places, tmp_path / "parts", [kind])[0] for kind in (FigureReport, TableReport)]
    whole, *_ = render.render(store, places, tmp_path / "whole")
    assert {path.name for part in parts for path in part} == {path.name for path in whole}
    assert [{path.stem for path in part} for part in parts] == [{"score"}, {"stability", "arms"}]
    assert all((tmp_path / "parts/laptop/adam" / path.name).read_bytes() == path.read_bytes() for path in whole)


@pytest.mark.slow
def test_a_large_place_is_shared_among_processes_and_its_files_stay_in_order(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [("laptop", "adam")]
    alone, *why = render.render(store, places, tmp_path / "alone", [TableReport])
    monkeypatch.setattr(render, "LARGE", 0)
    shared, *also = render.render(store, places, tmp_path / "shared", [TableReport], workers=2)
    assert [path.relative_to(tmp_path / "shared") for path in shared] == [path.relative_to(tmp_path / "alone") for path in alone]
    assert [path.read_bytes() for path in shared] == [path.read_bytes() for path in alone]
    assert also == [[line.replace("alone", "shared") for line in lines] for lines in why]
    assert sum(map(len, why)) > 0
