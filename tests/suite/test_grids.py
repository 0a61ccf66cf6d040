"""The grids of the experiments: arms are what their names say, at every scale and on every task."""

import pytest

from experiments import adam, article, head_lr, longer, lr_grid, mosbach, pooler, slower, techniques
from experiments.protocol import GLUE_DEV, GLUE_SMALL, LAPTOP, PAPER, PROTOCOLS, SMALL
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


# --- settings of the sources -----------------------------------------------------------------------------------------------------


def test_the_first_documents_claims_are_at_its_own_rate_and_length() -> None:
    for protocol in (LAPTOP, SMALL, PAPER):
        cells = slower.grid(protocol).cells()
        found = {(cell.config.adam.lr, cell.config.schedule.num_epochs, cell.config.batch_size) for cell in cells}
        assert found == {(2e-5, 10, 16)}
        assert [cell.arm for cell in cells[:2]] == ["corrected", "uncorrected"]
    own = {cell.config.model_dump_json() for cell in adam.grid(PAPER).cells()}
    assert {cell.config.model_dump_json() for cell in slower.grid(PAPER).cells()} <= own, "at paper they are adam's runs"
    documents = {cell.config.adam.lr for cell in pooler.grid(SMALL).cells() if cell.arm.endswith("lr=2e-05")}
    assert documents == {2e-5}


def test_at_paper_mosbachs_configuration_is_theirs() -> None:
    """Protocol section 5.1: batch 16, weight decay 0.01, epsilon 1e-6 at v, 2e-5, 3 or 20 epochs, the whole development set."""
    cells = mosbach.grid(PAPER).cells()
    assert {cell.task for cell in cells} == set(GLUE_DEV)
    assert {cell.config.batch_size for cell in cells} == {16}
    assert {(cell.config.adam.eps, cell.config.adam.eps_placement, cell.config.adam.weight_decay) for cell in cells} == {
        (1e-6, "v", 0.01)
    }
    assert {cell.config.adam.lr for cell in cells} == {2e-5}
    correction = {cell.arm: (cell.config.adam.bias_correction, cell.config.schedule.num_epochs) for cell in cells}
    assert correction["devlin"] == (False, 3)
    assert correction["ours"] == (True, 20)
    assert {cell.seed for cell in cells} == set(range(25))
    full = {cell.task: steps(cell) for cell in cells if cell.arm == "devlin 1k full steps"}
    assert full == {"rte_dev": 468, "mrpc_dev": 690, "cola_dev": 1605}
    assert {cell.config.num_train for cell in cells if cell.arm.startswith("devlin 1k")} == {1000}
    shared = {cell.config.model_dump_json() for cell in lr_grid.grid(PAPER).cells()}
    assert sum(cell.config.model_dump_json() in shared for cell in cells) == 3 * 25, "devlin, corrected and ours on RTE"


@pytest.mark.parametrize("protocol", [LAPTOP, SMALL, PAPER], ids=lambda protocol: protocol.name)
def test_the_articles_pair_of_rates_is_in_every_grid(protocol: Protocol) -> None:
    pair = [
        cell
        for cell in head_lr.grid(protocol).cells()
        for technique in cell.config.techniques or ()
        if cell.config.adam.lr == 5e-5 and cell.config.adam.lr * technique.lr_scale("head", 1, 12) == pytest.approx(1e-4)
    ]
    assert {cell.arm.split()[0] for cell in pair} == {"two" if protocol is PAPER else "article"}


def test_at_paper_the_article_has_its_own_optimizer_and_length() -> None:
    cells = article.grid(PAPER).cells()
    assert {cell.config.adam.eps_placement for cell in cells} == {"v"}
    assert {(cell.arm == "basic", cell.config.schedule.num_epochs) for cell in cells} == {(True, 20), (False, 15)}


def test_mixout_has_a_control_without_dropout() -> None:
    for protocol in PROTOCOLS.values():
        arms = {cell.arm: cell.config for cell in techniques.grid(protocol).cells()}
        assert arms["mixout"].dropout == arms["no dropout"].dropout == 0
        assert arms["no dropout"].techniques is None
