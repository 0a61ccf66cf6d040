"""What holds for every kind of figure, whatever its options: same results, same bytes; a caption; data beside it."""

import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from experiments.published import PUBLISHED
from stableft.reporting import figures, majority_scores, page_notes, report
from stableft.reporting.figures import best_of, curves, distributions, loss_and_score, schedules, training_length, training_size
from stableft.storage.records import Results
from tests.helpers import synthetic
from tests.reporting.figures.test_distributions import with_test_split
from tests.reporting.figures.test_loss_surface import surfaces
from tests.reporting.figures.test_schedules import results_of
from tests.reporting.figures.test_seed_map import side_by_side
from tests.reporting.figures.test_training_size import results as sizes
from tests.reporting.test_majority_scores import labelled

Entry = tuple[report.Item, Callable[[], Results], str]
KINDS: dict[str, Entry] = {
    "best_of": (report.figure(best_of, published=PUBLISHED), lambda: with_test_split(synthetic.grid(3)), "with replacement"),
    "range": (
        report.figure(curves, split="train", metric="loss", band="range"), lambda: synthetic.grid(3), "least to the greatest run",
    ),
    "validation": (
        report.figure(distributions, split="validation", published=PUBLISHED), lambda: with_test_split(synthetic.grid(3)),
        "on the split that the axis names",
    ),
    "loss_and_score": (report.figure(loss_and_score), lambda: synthetic.grid(3), "last tenth of the steps"),
    "schedules": (report.figure(schedules), lambda: results_of({"plain": {}}), "closed form"),
    "lengths": (report.figure(training_length, published=PUBLISHED), lambda: synthetic.lengths(2), "schedule is that long"),
    "sizes": (report.figure(training_size), sizes, "evenly spaced"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_caption_and_numbers_beside_it(kind: str) -> None:
    item, results, says = KINDS[kind]
    shown = item(results())
    assert isinstance(shown, report.FigureReport)
    for part in (says, "protocol laptop", "failed", "Run set "):
        assert part.lower() in shown.caption.lower()
    assert len(shown.data) > 1


FAST = ("schedules",)  # of the others each takes seconds to write twice


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=() if kind in FAST else pytest.mark.slow) for kind in KINDS])
def test_same_results_same_bytes(kind: str, tmp_path: Path) -> None:
    item, results, _ = KINDS[kind]
    once, again = (report.render_all({kind: item}, results(), tmp_path / time) for time in ("once", "again"))
    assert [path.suffix for path in once] == [".pdf", ".png", ".svg", ".csv", ".txt"]
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
    shown = item(results())
    assert isinstance(shown, report.FigureReport)
    assert once[-1].read_text() == f"{shown.caption}\n"
    assert len(pd.read_csv(once[-2])) == len(shown.data)


def grid() -> Results:
    """A grid of two arms with the series of every kind."""
    return surfaces(synthetic.with_blocks(synthetic.grid(3), 2))


# What each kind draws, with the options of the reports; a new kind is a new line.
SCORE: dict[str, object] = {"split": "validation", "metric": "score"}
SHOWN: dict[str, tuple[Callable[[], Results], tuple[dict[str, object], ...]]] = {
    "best_of": (grid, ({},)),
    "bias_magnitude": (grid, ({},)),
    "block_gradients": (grid, ({},)),
    "curves": (grid, ({"split": "train", "metric": "loss"}, SCORE, SCORE | {"split": "test"}, SCORE | {"band": "range"})),
    "distances": (grid, ({}, {"every": True})),
    "distributions": (grid, ({}, {"split": "validation"}, {"arms": ["corrected"]})),
    "evaluations_per_run": (grid, ({},)),
    "fine_curves": (grid, ({},)),
    "learning_rates": (lambda: synthetic.lr_grid(2), ({},)),
    "loss_and_score": (grid, ({},)),
    "loss_by_outcome": (grid, ({},)),
    "loss_surface": (grid, ({},)),
    "rate_choice": (lambda: synthetic.with_predictions(synthetic.lr_grid(2)), ({},)),
    "run_gradients": (grid, ({},)),
    "schedules": (lambda: results_of({"plain": {}}), ({},)),
    "seed_map": (side_by_side, ({},)),
    "training_length": (lambda: synthetic.lengths(2), ({},)),
    "training_size": (sizes, ({},)),
}


def kinds() -> dict[str, ModuleType]:
    modules = {
        info.name: importlib.import_module(f"{figures.__name__}.{info.name}") for info in pkgutil.iter_modules(figures.__path__)
    }
    return {name: module for name, module in modules.items() if hasattr(module, "plot")}


@pytest.mark.parametrize("name", sorted(kinds()))
def test_a_caption_is_two_lines_that_begin_with_what_is_shown(name: str) -> None:
    kind = kinds()[name]
    for options in SHOWN[name][1]:
        lead, note = (getattr(kind, part)(**options) if hasattr(kind, part) else "" for part in ("lead", "note"))
        caption = " ".join(filter(None, [lead, kind.CAPTION, note]))
        title = page_notes.SENTENCE_END.split(caption)[0]
        assert len(caption) <= 270, "what all figures share is in captions.READING"
        assert 35 <= len(title) <= 160
        assert title.endswith(".")


@pytest.mark.parametrize("name", sorted(kinds()))
def test_a_majority_line_is_of_the_split_on_its_axis(name: str) -> None:
    """The constant of rte scores 0.527 on test, on which it is judged, and 0.6 on validation."""
    build, cases = SHOWN[name]
    results = labelled(build())
    for options in cases:
        figure = synthetic.figure(kinds()[name], results, **options)
        named = {axes.get_label(): (axes.get_ylabel() or axes.get_xlabel()) for axes in figure.axes if axes.get_ylabel()}
        for axes in figure.axes:
            # A broken axis has two panels, of which one has its label and one its title.
            task = (axes.get_title() or str(axes.get_label())).replace(":", ",").split(",")[0]
            split = (axes.get_ylabel() or named.get(axes.get_label(), "")).split(" ")[0]
            drawn = [np.asarray(line.get_ydata()) for line in axes.lines if line.get_label() == "majority score"]
            for values in drawn:
                assert set(values) == {majority_scores.on_split(results, split)[task]}, (options, task, split)
