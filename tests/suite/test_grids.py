"""The grids of the experiments: arms are what their names say, at every scale and on every task."""

import pytest

from experiments import longer, techniques
from experiments.protocol import GLUE_SMALL, PAPER, PROTOCOLS
from stableft.core.grid import Cell, Protocol
from stableft.core.schedule import schedule_steps

# Training examples of the tasks without a `num_train` (protocol section 1.3; the tasks' own summaries).
NUM_TRAIN = {"rte": 2490, "mrpc": 3668, "stsb": 5749, "cola": 8551, "docs15": 1000, "toy": 64, "tnews": 1000}

scales = pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)


def steps(cell: Cell) -> int:
    num_train = 1000 if cell.task.endswith("_1k") else NUM_TRAIN.get(cell.task, 0)
    return schedule_steps(cell.config, cell.config.num_train or num_train)[0]


@scales
def test_longer_is_longer_than_standard_on_every_task(protocol: Protocol) -> None:
    cells = techniques.grid(protocol).cells()
    own = {(cell.task, cell.seed): steps(cell) for cell in cells if cell.arm == "standard"}
    lengths = {(cell.task, cell.seed): steps(cell) for cell in cells if cell.arm == "longer"}
    assert own.keys() == lengths.keys()
    assert all(lengths[cell] > own[cell] > 0 for cell in own)


def test_at_paper_longer_is_of_the_sources_lengths() -> None:
    """The least of 200 to 3,200 above three epochs, and at least the 400 of the sample command (protocol section 2.4)."""
    cells = {cell.task: cell for cell in techniques.grid(PAPER).cells() if cell.arm == "longer"}
    assert {task: steps(cell) for task, cell in cells.items()} == {"rte": 400, "mrpc": 400, "stsb": 800, "cola": 1600}
    assert set(cells) == set(GLUE_SMALL)


@scales
def test_the_shortest_runs_of_longer_are_of_three_epochs_of_a_thousand_examples(protocol: Protocol) -> None:
    """But for docs15, whose batches are smaller: its claims are not judged there."""
    grid = longer.grid(protocol)
    for task in grid.tasks:
        lengths = {steps(cell) for cell in grid.cells() if cell.task == task}
        own = schedule_steps(protocol.configs[task], protocol.configs[task].num_train or NUM_TRAIN.get(task, 1000))[0]
        assert min(lengths) == own or task == "docs15"
