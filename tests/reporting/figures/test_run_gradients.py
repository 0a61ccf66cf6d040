"""One failed and one successful run of a task, chosen by rule."""

import numpy as np
import pytest

from stableft.core.errors import MissingInput, NotLogged
from stableft.reporting.figures import draw, run_gradients
from stableft.storage.records import Results
from tests.helpers import synthetic


def chosen(results: Results, **options: object) -> dict[tuple[str, str], tuple[str, int]]:
    frame = run_gradients.data(results, **options)  # pyright: ignore[reportArgumentType]
    cells = frame[["task", "outcome", "arm", "seed"]].drop_duplicates()
    return {(task, outcome): (arm, seed) for task, outcome, arm, seed in cells.to_numpy().tolist()}


def test_both_are_of_the_first_arm_with_both_outcomes() -> None:
    found = chosen(synthetic.with_blocks(synthetic.grid(), 2))
    assert found["tnews_1k", "failed"] == ("uncorrected", 1)
    assert found["tnews_1k", "successful"] == ("uncorrected", 0)


def test_else_the_other_is_of_the_arm_beside_and_if_possible_of_the_same_seed() -> None:
    results, arms = synthetic.with_blocks(synthetic.lr_grid(), 2), ["* lr=1e-05", "* lr=1e-04"]
    for missing, seed in ((set(), 0), ({0}, 1)):
        found = chosen(synthetic.without(results, "corrected lr=1e-04", missing), arms=arms)
        assert found["rte", "failed"] == ("uncorrected lr=1e-04", 0)
        assert found["rte", "successful"] == ("corrected lr=1e-04", seed)


def test_a_line_is_the_blocks_norm_in_that_run() -> None:
    results = synthetic.with_blocks(synthetic.grid(), 3)
    figure, frame = draw(run_gradients, results)
    assert [panel.get_title() for panel in figure.axes] == [
        "rte, failed: uncorrected, seed 1", "rte, successful: uncorrected, seed 0",
        "tnews_1k, failed: uncorrected, seed 1", "tnews_1k, successful: uncorrected, seed 0",
    ]  # fmt: skip
    rows = results.metrics.query(
        "task == 'rte' and arm == 'uncorrected' and seed == 1 and metric == 'block_grad_norm' and scope == 'layer.02'"
    )
    drawn = np.asarray(figure.axes[0].lines[1].get_ydata())
    np.testing.assert_allclose(drawn, rows["value"], rtol=1e-6)  # figures have six digits
    of_line = frame.query("task == 'rte' and outcome == 'failed' and depth == 2")["value"]
    np.testing.assert_allclose(of_line, rows["value"], rtol=1e-6)
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_odd_grids() -> None:
    results = synthetic.with_blocks(synthetic.grid(1), 2)
    figure = synthetic.figure(run_gradients, results)
    assert [[text.get_text() for text in panel.texts] for panel in figure.axes] == [["no failed run"], []] * 2
    with pytest.raises(NotLogged, match="no run of other"):
        run_gradients.data(results, arms=["other"])
    with pytest.raises(MissingInput, match="block_grad_norm"):
        run_gradients.data(synthetic.grid(1))
