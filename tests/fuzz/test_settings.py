"""What users set, from overrides to names of tasks: understood, or refused before anything starts."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from typer.testing import CliRunner

from experiments.protocol import PROTOCOLS
from stableft.cli.app import app
from stableft.cli.selection import parse_overrides
from stableft.core.config import RunConfig, canonical_json, field_names, run_id, with_overrides
from stableft.core.errors import StableftError, UsageError
from stableft.core.experiments import get_experiment
from stableft.core.feasibility import outline
from stableft.core.grid import on_tasks, parse_seeds, select
from stableft.core.schedule import evaluation_steps
from stableft.core.technique import all_techniques
from stableft.execution.inputs import Inputs
from stableft.tasks.catalog import own_tasks
from tests.fuzz.inputs import NASTY, answer, fuzz

BASE = PROTOCOLS["smoke"].configs["toy"]
TOKENS = [token.decode("utf-8", "replace") for token in NASTY]
TECHNIQUES = [technique.null().model_dump(mode="json") for technique in all_techniques().values()]
FIELDS = [*field_names(), "adam", "schedule", "evaluation", "surface.lr", "adam.lr.x", "adam.", ".", "", "techniques.0", "nonsense"]
VALUES = [
    0, 1, -1, 2, 0.5, 1e-5, 10**18, 10**400, 2**63, -(2**63), 1e308, 5e-324, True, False, None, "", "x", [], {},
    [0.9, 0.999], [1, 1, 1],
    "toy", "toytag", "toyscore", "tiny-random", "bilstm_crf", "bf16", "tf32", "v", "divided", "all", {"lr": 1e-3},
    {"num_epochs": 3},
    {"resolution": 2, "margin": 0, "lr": 1e-4}, {"resolution": 10**9, "lr": 1e-4},
    [{"name": "reinit"}], [{"name": []}], [None], "nan",
    *([technique] for technique in TECHNIQUES),
]  # fmt: skip
JSON = st.recursive(
    st.one_of(st.sampled_from(VALUES), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=4,
)
TEXT = st.one_of(st.sampled_from(TOKENS), st.text(max_size=20))


def check_config(config: RunConfig) -> None:
    """A configuration has an identity, comes back from its JSON, and its length is known."""
    written = json.loads(canonical_json(config.model_dump(mode="json")))
    assert RunConfig.model_validate(written) == config
    assert len(run_id(config, data="d", weights="w")) == 16
    for source in config.sources().values():
        assert source.sources() == {}
    steps = outline(config, 64, {"model_type": "bert", "num_hidden_layers": 2}).num_steps
    assert steps >= 1
    if steps < 10_000:
        assert evaluation_steps(config, steps, 64)[-1] == steps


def setting() -> st.SearchStrategy[str]:
    """``field=value``, more or less."""
    value = st.one_of(JSON.map(lambda value: json.dumps(value)), TEXT)
    return st.one_of(st.builds(lambda field, text: f"{field}={text}", st.one_of(st.sampled_from(FIELDS), TEXT), value), TEXT)


def test_overrides(tmp_path: Path) -> None:
    def override(settings: list[str]) -> None:
        config = answer(tmp_path, lambda: with_overrides(BASE, parse_overrides(settings)))
        if not isinstance(config, StableftError):
            check_config(config)

    fuzz("overrides", override, st.lists(setting(), min_size=1, max_size=3))


def test_configurations_that_pass_can_be_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either refused, or a run with an identity: by field, with values that its type allows or nearly so."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    inputs = Inputs()
    inputs.encoder("tiny-random")

    def plan(changes: dict[str, Any]) -> None:
        config = answer(tmp_path, lambda: with_overrides(BASE, changes))
        if not isinstance(config, StableftError):
            identity = answer(tmp_path, lambda: (inputs.check(config), inputs.run_id(config)))
            assert isinstance(identity, StableftError) or len(identity[1]) == 16

    fuzz(
        "configurations",
        plan,
        st.dictionaries(st.sampled_from(field_names()), st.one_of(st.sampled_from(VALUES), JSON), max_size=4),
    )


def test_seeds(tmp_path: Path) -> None:
    def parse(text: str) -> None:
        seeds = answer(tmp_path, lambda: parse_seeds(text))
        if not isinstance(seeds, StableftError):
            assert seeds
            assert len(set(seeds)) == len(seeds)
            assert all(isinstance(seed, int) and 0 <= seed < 2**63 for seed in seeds)
            with_overrides(BASE, {"seed": max(seeds)})

    piece = st.one_of(
        st.integers(0, 60).map(str), st.sampled_from(["", "-", "0-99999999999", "9" * 5000, "\u0663", "\u00b2", *TOKENS]), TEXT
    )
    part = st.one_of(piece, st.builds(lambda a, b: f"{a}-{b}", piece, piece))
    fuzz("seeds", parse, st.lists(part, max_size=4).map(",".join))


def test_selections_of_arms_and_tasks(tmp_path: Path) -> None:
    """Names go in as typed: those that a grid has, files that are not there, and anything else."""
    grid = get_experiment("adam").grid(PROTOCOLS["smoke"])

    def choose(names: list[str], arms: list[str]) -> None:
        def selected() -> Any:
            own = own_tasks(names)
            whole = on_tasks(grid, [task.name for task in own]) if own else grid
            return select(whole, arms=arms, tasks=None if own else names)

        chosen = answer(tmp_path, selected)
        if not isinstance(chosen, StableftError):
            assert set(chosen.arms) == set(arms or grid.arms)
            assert set(chosen.tasks) == set(names or grid.tasks)
            assert chosen.cells()

    form = st.sampled_from(["csv:", "tsv:", "jsonl:", "bio:", "xml:", ":"])
    path = st.one_of(
        TEXT, st.sampled_from(["~", ".", "/", "/dev/null", "/proc/self/mem", "x" * 5000, "/" + "y/" * 3000, "~nobody/x"])
    )
    task = st.one_of(st.sampled_from(["toy", "toytag", "rte"]), st.builds(lambda a, b: a + b, form, path), TEXT)
    arm = st.one_of(st.sampled_from(list(grid.arms)), TEXT)
    fuzz("selections", choose, st.lists(task, max_size=2), st.lists(arm, max_size=2))


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way from words on the command line to an exit code and one message."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()

    def call(command: str, options: list[tuple[str, str]]) -> None:
        words = [command, "toy" if command == "data check" else "adam", *(f"{name}={value}" for name, value in options)]
        words = [*command.split(), *words[1:]]
        result = answer(tmp_path, lambda: CliRunner().invoke(app, words))
        assert isinstance(result.exception, SystemExit | None), (words, result.exception)
        assert result.exit_code in (0, 2, 4, 5, 74), (words, result.output)
        if result.exit_code:
            assert result.stderr.strip()
            assert "Traceback" not in result.stderr
            assert not set(result.stderr) & set(map(chr, [*range(9), *range(11, 32), 127])), "control characters reach the terminal"

    value = st.one_of(
        TEXT, st.sampled_from(["0-1", "toy", "corrected", "tiny-random", "empty", "fp32", "smoke", "csv:empty", "/dev/null"])
    )
    option = st.sampled_from(
        ["--seeds", "--tasks", "--arms", "--encoder", "--precision", "--set", "--protocol", "--results", "--jobs"]
    )
    options = st.lists(st.one_of(st.tuples(option, value), setting().map(lambda text: ("--set", text))), max_size=3)
    smoke = options.map(lambda options: [("--protocol", "smoke"), *options])
    fuzz("options", call, st.sampled_from(["plan", "status"]), smoke)


def test_an_unknown_field_names_what_may_be_meant() -> None:
    with pytest.raises(UsageError, match=r"unknown configuration field 'adam\.learning_rate'; known: .*adam\.lr"):
        with_overrides(BASE, {"adam.learning_rate": 1})
    with pytest.raises(UsageError, match=r"'schedule\.num_epoch'; did you mean schedule\.num_epochs\? known: "):
        with_overrides(BASE, {"schedule.num_epoch": 1})
    with pytest.raises(UsageError, match=r"'lr'; did you mean adam\.lr\? known: "):
        with_overrides(BASE, {"lr": 1})
