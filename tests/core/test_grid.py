"""Grids: the order of cells, pairs that differ in exactly what they should, and seeds as users write them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from experiments import adam, lr_grid
from experiments.protocol import PROTOCOLS
from experiments.seeds import grid as seed_grid
from stableft.core.config import field_names, run_id
from stableft.core.errors import UsageError
from stableft.core.grid import (
    LONGEST_FOLDER,
    Cell,
    Grid,
    join_spans,
    on_tasks,
    own_protocol,
    parse_seeds,
    run_command,
    select,
)  # fmt: skip
from stableft.core.own_data import OwnData
from stableft.core.schedule import evaluation_steps

SMALL, SMOKE = PROTOCOLS["small"], PROTOCOLS["smoke"]


def value(cell: Cell, field: str) -> Any:
    node: Any = cell.config
    for part in field.split("."):
        node = getattr(node, part)
    return node


def differing(cells: Sequence[Cell]) -> set[str]:
    """Fields that are not the same in all of these."""
    return {field for field in field_names() if len({value(cell, field) for cell in cells}) > 1}


# --- the experiments -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_the_arms_of_adam_differ_in_the_switch_alone(name: str) -> None:
    blocks: dict[tuple[str, int], list[Cell]] = defaultdict(list)
    grid = adam.grid(PROTOCOLS[name])
    for cell in grid.cells():
        blocks[cell.task, cell.seed].append(cell)
    assert set(blocks) == {(task, seed) for task in PROTOCOLS[name].tasks for seed in PROTOCOLS[name].seeds}
    for pair in blocks.values():
        assert [cell.arm for cell in pair] == ["corrected", "uncorrected"]
        assert [cell.config.adam.bias_correction for cell in pair] == [True, False]
        assert differing(pair) == {"adam.bias_correction"}


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_the_arms_of_lr_grid_differ_in_rate_and_switch(name: str) -> None:
    grid = lr_grid.grid(PROTOCOLS[name])
    first = [cell for cell in grid.cells() if cell.seed == grid.seeds[0] and cell.task == grid.tasks[0]]
    more = lr_grid.EPOCHS.get(name, {})
    assert differing(first) == {"adam.lr", "adam.bias_correction", *(["schedule.num_epochs"] if more else [])}
    own = PROTOCOLS[name].configs[grid.tasks[0]].schedule.num_epochs
    rates = [(lr, own) for lr in PROTOCOLS[name].learning_rates] + [(lr, epochs) for epochs in more for lr in more[epochs]]
    settings = [(cell.config.adam.lr, cell.config.schedule.num_epochs, cell.config.adam.bias_correction) for cell in first]
    assert settings == [(lr, epochs, correction) for lr, epochs in rates for correction in (True, False)]
    assert all(f"{cell.config.adam.lr:.0e}" in cell.arm for cell in first)


@pytest.mark.parametrize("name", list(PROTOCOLS))
def test_the_protocols_rate_is_one_that_lr_grid_tried(name: str) -> None:
    """Then the two experiments share cells, and each run of them is done once."""
    chosen = {PROTOCOLS[name].configs[task].adam.lr for task in lr_grid.grid(PROTOCOLS[name]).tasks}
    assert chosen <= set(PROTOCOLS[name].learning_rates)


def test_shared_cells_are_the_same_runs() -> None:
    def identities(grid: Grid) -> set[str]:
        return {run_id(cell.config, data=cell.task, weights="w") for cell in grid.cells()}

    both = identities(adam.grid(SMALL)) & identities(lr_grid.grid(SMALL))
    assert len(both) == 2 * len(SMALL.tasks) * lr_grid.FEW_SEEDS


# --- cells and parts -----------------------------------------------------------------------------------------------------------


def test_cells_come_seed_by_seed_then_task_by_task_in_pairs() -> None:
    cells = adam.grid(SMALL).cells()
    assert [(cell.seed, cell.task, cell.arm) for cell in cells] == [
        (seed, task, arm) for seed in (0, 1, 2) for task in ("rte", "tnews") for arm in ("corrected", "uncorrected")
    ]
    assert all(cell.config.seed == cell.seed and cell.config.task == cell.task for cell in cells)


def test_a_part_of_a_grid_is_a_part_of_its_cells() -> None:
    whole = adam.grid(SMALL)
    part = select(whole, arms=["uncorrected"], tasks=["rte"], seeds=[2, 0])
    assert [(cell.arm, cell.task, cell.seed) for cell in part.cells()] == [("uncorrected", "rte", 2), ("uncorrected", "rte", 0)]
    assert all(cell in whole.cells() for cell in part.cells())


def test_select_nothing_is_everything() -> None:
    whole = adam.grid(SMALL)
    assert select(whole).cells() == select(whole, arms=[], tasks=[], overrides={}).cells() == whole.cells()


def test_select_keeps_the_grids_order_and_its_reference_first() -> None:
    part = select(adam.grid(SMALL), arms=["uncorrected", "corrected"], tasks=["tnews", "rte"])
    assert list(part.arms) == ["corrected", "uncorrected"]
    assert list(part.tasks) == ["rte", "tnews"]


def test_other_seeds_without_repeats() -> None:
    assert list(select(adam.grid(SMALL), seeds=[7, 3, 7]).seeds) == [7, 3]


def test_overrides_lie_beneath_the_arms() -> None:
    part = select(adam.grid(SMALL), overrides={"adam.lr": 1e-5, "adam.bias_correction": False})
    assert {cell.config.adam.lr for cell in part.cells()} == {1e-5}
    assert {(cell.arm, cell.config.adam.bias_correction) for cell in part.cells()} == {("corrected", True), ("uncorrected", False)}
    rates = {cell.config.adam.lr for cell in select(lr_grid.grid(SMALL), overrides={"adam.lr": 1.0}).cells()}
    assert rates == set(SMALL.learning_rates)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"arms": ["none"]}, "adam at protocol small has no arm 'none'; it has: corrected, uncorrected"),
        ({"tasks": ["toy"]}, "adam at protocol small has no task 'toy'; it has: rte, tnews"),
        ({"overrides": {"adam.rate": 1}}, "unknown configuration field 'adam.rate'"),
        ({"overrides": {"batch_size": 0}}, "impossible configuration: batch_size"),
        ({"overrides": {"task": "toy"}}, "task is no setting but a part of the grid: choose it with --tasks"),
        ({"overrides": {"seed": 3}}, "choose it with --seeds"),
    ],
)
def test_select_says_what_there_is(part: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select(adam.grid(SMALL), **part)


# --- a user's own tasks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("experiment", [adam, lr_grid])
def test_other_tasks_have_the_arms_and_settings_of_the_first(experiment: Any) -> None:
    whole = experiment.grid(SMALL)
    other = on_tasks(whole, ["b.csv", "a.csv"])
    assert (other.name, list(other.tasks), other.arms, list(other.seeds)) == (
        whole.name,
        ["a.csv", "b.csv"],
        whole.arms,
        list(whole.seeds),
    )
    cells = [cell.config for cell in other.cells() if cell.task == "b.csv"]
    assert {config.task for config in cells} == {"b.csv"}
    first = [cell.config for cell in whole.cells() if cell.task == "rte"]
    assert [config.model_copy(update={"task": "rte"}) for config in cells] == first


def test_other_tasks_are_collected_apart_under_one_name_in_any_order() -> None:
    protocols = [on_tasks(adam.grid(SMALL), names).protocol for names in (["b.csv", "a.csv"], ["a.csv", "b.csv"])]
    assert [protocol.name for protocol in protocols] == ["small+a.csv+b.csv"] * 2
    assert protocols[0].summary == "a.csv, b.csv with the settings of rte at small"


def test_two_other_tasks_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="would be called the same"):
        on_tasks(adam.grid(SMALL), ["a.csv", "a.csv"])


# --- seeds ---------------------------------------------------------------------------------------------------------------------

RANGES = st.tuples(st.integers(0, 300), st.integers(0, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(RANGES, min_size=1, max_size=6), st.booleans())
@example([(0, 4), (7, 7)], True)
def test_seeds_are_the_union_of_ranges(ranges: list[tuple[int, int]], spaced: bool) -> None:
    parts = [str(first) if first == last else f"{first}-{last}" for first, last in ranges]
    parsed = parse_seeds((", " if spaced else ",").join(parts))
    assert set(parsed) == {seed for first, last in ranges for seed in range(first, last + 1)}
    assert len(set(parsed)) == len(parsed)
    assert parsed[0] == ranges[0][0]


def test_seeds_are_spelled_as_they_are_read() -> None:
    for seeds in ([0], [0, 1, 2], [0, 2, 3, 9]):
        assert parse_seeds(join_spans(seeds).replace(" ", "")) == seeds


def test_seeds_by_hand() -> None:
    assert parse_seeds("0-4,7") == [0, 1, 2, 3, 4, 7]
    assert parse_seeds(" 3 - 4 , 3") == [3, 4]


@pytest.mark.parametrize("text", ["", "a", "1,", ",", "-1", "1-", "4-2", "1.5", "0..4", "1--3", "0-2-4", "1 2", "0-1 0"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write single seeds and ranges") as caught:
        parse_seeds(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["0-99999999999", "0-99999,100000-100001", "9" * 5000, f"0-{'9' * 5000}", "\u0663"])
def test_more_seeds_than_can_be_are_refused(text: str) -> None:
    """The first would fill the memory; Python itself refuses to read the third."""
    with pytest.raises(UsageError, match=r"more than 100,000|write single seeds") as caught:
        parse_seeds(text)
    assert len(str(caught.value)) < 250


# --- settings of an arm on one task, and squares of seeds ------------------------------------------------------------------------


def test_an_arm_can_have_settings_of_its_own_on_a_task() -> None:
    grid = Grid("x", SMALL, {"a": {"adam.lr": 1e-3}, "b": {}}, ["rte", "tnews"], [0], {"rte": {"a": {"dropout": 0.5}}})
    found = {(cell.task, cell.arm): (cell.config.dropout, cell.config.adam.lr == 1e-3) for cell in grid.cells()}
    expected = {("rte", "a"): (0.5, True), ("rte", "b"): (0.1, False), ("tnews", "a"): (0.1, True), ("tnews", "b"): (0.1, False)}
    assert found == expected
    assert select(grid, tasks=["rte"]).cells() == [cell for cell in grid.cells() if cell.task == "rte"]
    assert {cell.config.dropout for cell in on_tasks(grid, ["own"]).cells()} == {0.1}


def test_seeds_asked_for_are_the_sides_of_a_square() -> None:
    whole = seed_grid(PROTOCOLS["laptop"])
    assert len(whole.cells()) == 2 * 4 * 4
    larger = select(whole, seeds=[0, 1, 2, 3, 4, 5])
    assert len({cell.config.model_dump_json() for cell in larger.cells()}) == len(larger.cells()) == 2 * 6 * 6
    pairs = {(cell.config.init_seed, cell.config.order_seed) for cell in larger.cells()}
    assert pairs == {(i, j) for i in range(6) for j in range(6)}
    assert {cell.config.dropout_seed == cell.config.order_seed for cell in larger.cells()} == {True}
    assert {cell.seed for cell in larger.cells()} == {0}
    same = {cell.arm: cell.config for cell in larger.cells()}
    assert all(same[cell.arm] == cell.config for cell in whole.cells())
    assert whole.square is not None
    assert whole.square.seeds(["reinit init=3 order=12", "standard init=0 order=3"]) == [0, 3, 12]
    assert len(select(on_tasks(whole, ["own"]), seeds=[7, 9], arms=["standard init=7 order=9"]).cells()) == 1


def test_a_grid_takes_up_the_seeds_of_earlier_runs() -> None:
    assert list(adam.grid(SMALL).at([1, 0, 1]).with_earlier(["corrected"], [7]).seeds) == [0, 1, 7]
    whole = seed_grid(PROTOCOLS["laptop"])
    assert whole.with_earlier(["standard init=5 order=0"], [0]).arms.keys() == select(whole, seeds=[0, 1, 2, 3, 5]).arms.keys()


def test_own_tasks_get_the_settings_that_are_chosen_for_them() -> None:
    readings = {name: OwnData(like=like) for name, like in (("a.csv", "tnews"), ("b.csv", "resume_ner"))}
    grid = on_tasks(adam.grid(SMALL), ["b.csv", "a.csv"], readings, {"a.csv": "why"})
    assert grid.protocol.configs["a.csv"].adam == SMALL.configs["tnews"].adam
    tags = grid.protocol.configs["b.csv"]
    assert (tags.head, tags.num_train, tags.sample_seed, tags.own_data) == ("bilstm_crf", None, None, readings["b.csv"])
    assert (
        grid.protocol.summary == "a.csv with the settings of tnews at small (why); b.csv with the settings of resume_ner at small"
    )
    with pytest.raises(UsageError, match="own_data is no setting but a part of the grid: choose it with --text"):
        select(grid, overrides={"own_data": None})


def test_own_tasks_of_any_size_are_evaluated_ten_times_at_smoke() -> None:
    readings = {"a.bio": OwnData(like="toytag")}
    config = on_tasks(adam.grid(SMOKE), ["a.bio"], readings).protocol.configs["a.bio"]
    assert len(evaluation_steps(config, num_steps=405, num_train=1080)) == 11  # a remainder gives one point more
    assert SMOKE.configs["toytag"].evaluation.every == 4  # the toy keeps its own
    # Points on a fixed part of validation are cheap on any file.
    config = on_tasks(adam.grid(SMALL), ["a.csv"], {"a.csv": OwnData(like="tnews")}).protocol.configs["a.csv"]
    assert config.evaluation == SMALL.configs["tnews"].evaluation


def test_the_name_of_many_tasks_is_bounded_and_their_own() -> None:
    names = [f"{'x' * 39}{i}.csv" for i in range(9)]
    assert own_protocol("small", names[:2]) == f"small+{names[0]}+{names[1]}"
    whole = own_protocol("small", names)
    assert len(whole) <= LONGEST_FOLDER
    assert whole.startswith(f"small+{names[0]}+8-more-")
    assert own_protocol("small", names[:8]) != whole


def test_the_command_of_own_tasks() -> None:
    assert run_command("adam", "small") == "python -m stableft run adam --protocol small"
    assert run_command("adam", "small+my.csv+b.bio").endswith("--protocol small --tasks csv:my.csv,bio:b.bio")
    assert run_command("adam", "small+my.csv", ["csv:a b.csv"]).endswith("--tasks 'csv:a b.csv'")
