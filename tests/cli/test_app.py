"""The whole command line: version, help, errors."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from stableft.cli.app import app
from stableft.cli.examples import EXAMPLES
from stableft.models import kernels
from tests.conftest import Quick
from tests.helpers.commands import SMOKE, call


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "adma", "--protocol", "smoke"), 2, "unknown experiment 'adma'; known: adam"),
        (("run", "adam", "--protocol", "huge"), 2, "unknown protocol 'huge'; known: smoke"),
        (("run", *SMOKE, "--tasks", "rte"), 2, "has no task 'rte'; it has: toy"),
        (("run", *SMOKE, "--arms", "fixed"), 2, "has no arm 'fixed'; it has: corrected, uncorrected"),
        (("run", *SMOKE, "--seeds", "5-1"), 2, "seeds '5-1'"),
        (("run", *SMOKE, "--set", "adam.lrr=1"), 2, "unknown configuration field 'adam.lrr'"),
        (("run", *SMOKE, "--set", "adam.lr=-1"), 2, "impossible configuration: adam.lr"),
        (("run", *SMOKE, "--set", "adam.lr"), 2, "write field=value"),
        (("run", *SMOKE, "--set", 'techniques=[{"name": "mixuot"}]'), 2, "unknown technique 'mixuot'; known: "),
        (
            ("run", *SMOKE, "--set", 'techniques=[{"name": "reinit", "num_layers": 3}]'),
            2,
            "toy / uncorrected: reinit: num_layers 3 is",
        ),
        (
            ("plan", *SMOKE, "--set", 'techniques=[{"name": "swa", "start_epoch": 3}]'),
            2,
            "toy / corrected: swa: the start, after 24",
        ),
        (("plan", *SMOKE, "--set", "max_length=65"), 2, "toy / corrected: max_length 65 is more than the 64 positions"),
        (("run", *SMOKE, "--set", "evaluation.start_epoch=3"), 2, "toy / corrected: evaluation.start_epoch: frequent points start"),
        (("run", *SMOKE, "--precision", "tf32"), 2, "precision tf32 is an arithmetic of GPUs"),
        (("run", *SMOKE, "--precision", "fp8"), 2, "impossible configuration: precision"),
        (("run", *SMOKE, "--jobs", "0"), 2, "greater than or equal to 1"),
        (("run", *SMOKE, "--backend", "slurm"), 2, "unknown backend"),
        (("run", *SMOKE, "--max-retries", "refused=1"), 2, "write a number, or numbers by kind such as oom=0,killed=3"),
        (("run", *SMOKE, "--gpus", "0,0"), 2, "write the numbers of GPUs, each once"),
        (("run", *SMOKE, "--gpus", "0", "--device", "cpu"), 2, "--gpus 0 and --device cpu contradict each other"),
        (("run", *SMOKE, "--gpus", "0,1", "--per-gpu", "2", "--jobs", "3"), 2, "is 4 runs at a time, not 3: leave --jobs out"),
        (("run", *SMOKE, "--gpus", "0", "--backend", "serial"), 2, "--gpus needs --backend local"),
        (("retry", *SMOKE, "--per-gpu", "2"), 2, "name these too"),
        (("retry", *SMOKE, "--only", "diverged"), 2, "no kind of failure is called 'diverged'"),
        (("status", *SMOKE, "--watch", "--json"), 2, "leave out --json"),
        (("failures", "adma"), 2, "unknown experiment 'adma'"),
        (("logs", "0123"), 4, "no experiment is called 0123"),
        (("logs", "adam", "--follow"), 2, "--follow shows one run"),
        (("run", *SMOKE, "--backend", "dask"), 2, "needs either --scheduler ADDRESS or --local-cluster N"),
        (("run", *SMOKE, "--gather"), 2, "are options of --backend dask"),
        (("run", *SMOKE, "--encoder", "/no/such/model"), 4, "ENCODER=/path/to/model"),
        (("run", "adam", "--protocol", "paper"), 4, "STABLEFT_DATA"),
        (("figures",), 4, "no collected results"),
        (("tables", "adam", "--protocol", "smoke"), 4, "no collected results"),
        (("figures", "adma"), 2, "unknown experiment 'adma'"),
        (("report", "--protocol", "smoke"), 4, "no collected results"),
        (("trace", "none.pdf"), 4, "none.pdf: no such file"),
        (("compare", "a", "b"), 4, "no collected results in"),
        (("ls", "everything"), 2, "can't list 'everything'"),
    ],
)
def test_bad_input_gets_one_clear_error(
    tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], code: int, message: str
):
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    found, out, err = quick(tmp_path, *arguments)
    assert (found, out) == (code, "")
    assert message in " ".join(err.split()).replace("│ ", "").replace(" │", "")
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_the_version_names_the_commit(tmp_path: Path, quick: Quick):
    code, out, _ = quick(tmp_path, "--version")
    assert code == 0
    assert re.fullmatch(r"stableft \d+\.\d+\.\d+ \(([0-9a-f]{12}\+?|not a git checkout)\)\n", out)


EVIL = "a\x1b[2J\u202eb"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [(("--debug", "plan", EVIL), 1, ("Traceback", "UsageError")), (("plan", "adam", f"--{EVIL}"), 2, ("No such option",))],
)
def test_neither_tracebacks_nor_wrong_usage_reach_a_terminal_raw(
    tmp_path: Path, arguments: tuple[str, ...], code: int, said: tuple[str, ...]
):
    found, out, err = call(tmp_path, *arguments, PYTHONUTF8="1")
    assert (found, out) == (code, "")
    assert all(part in err for part in ("a\\x1b[2J\\u202eb", *said))
    assert all(c.isprintable() or c == "\n" for c in err), err


def test_every_command_is_summed_up_in_a_whole_sentence(tmp_path: Path, quick: Quick):
    for arguments in ((), ("data",)):
        code, out, _ = quick(tmp_path, *arguments, "--help")
        commands = out.partition("Commands:\n")[2].splitlines()
        assert code == 0
        assert len(commands) >= 2
        assert all(re.fullmatch(r"  [a-z]+ +[A-Z][^.]+\.", line) for line in commands), out


def test_every_command_has_examples_that_it_understands(tmp_path: Path, quick: Quick):
    group: Any = typer.main.get_command(app)
    commands = {**group.commands, **{f"data {name}": each for name, each in group.commands["data"].commands.items()}}
    assert set(EXAMPLES) == set(commands) - {"data"}
    for name, examples in EXAMPLES.items():
        _, out, _ = quick(tmp_path, *name.split(), "--help")
        shown = [line.strip().removeprefix("python -m stableft ") for line in out.partition("Examples:\n")[2].splitlines()]
        assert shown == list(examples)
        for example in examples:
            words = [word for word in shlex.split(example)[len(name.split()) :] if word != "--plugin" and not word.endswith(".py")]
            placed = ["adam", *words] if "my_experiment.py" in example else words
            commands[name].make_context(name, placed)  # fails at an option or argument that there is not


def test_run_and_retry_list_the_same_options_by_group(tmp_path: Path, quick: Quick):
    texts = [quick(tmp_path, verb, "--help")[1] for verb in ("run", "retry")]
    groups = [re.findall(r"^([A-Z][a-z]+):$", text, re.MULTILINE) for text in texts]
    assert [[group for group in of_verb if group != "Seeds"] for of_verb in groups] == [
        ["Arguments", "Selection", "Processes", "Dask", "Failures", "Options"]
    ] * 2
    run, retry = (set(re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE)) for text in texts)
    assert len(run) > 25
    assert retry - run == {"--only"}
    assert run - retry == {"--until-decided", "--max-seeds", "--batch", "--redo"}  # more seeds are no repetition


# Where it is emulated, a whole epoch takes seconds.
TWO_STEPS = ("--set", "schedule.num_epochs=null", "--set", "schedule.num_steps=2")


def test_bf16_needs_instructions_or_force(tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kernels, "this_processor", lambda: kernels.Processor("AuthenticAMD", frozenset({"avx2", "fma"})))
    bf16 = ("run", *SMOKE, "--precision", "bf16", "--seeds", "0", "--arms", "corrected", *TWO_STEPS)
    code, out, err = quick(tmp_path, *bf16)
    assert (code, out) == (2, "")
    assert "this processor has no bf16 instructions" in " ".join(err.split())
    assert not list((tmp_path / "results").rglob("*.parquet"))
    forced, out, err = quick(tmp_path, *bf16, "--force-bf16", "--dry-run")
    assert forced == 0, err
    assert "1 runs, 0 cached, 1 will run" in out


@pytest.mark.slow
def test_bf16_by_force_is_run(tmp_path: Path, quick: Quick, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kernels, "this_processor", lambda: kernels.Processor("AuthenticAMD", frozenset({"avx2", "fma"})))
    bf16 = ("run", *SMOKE, "--precision", "bf16", "--seeds", "0", "--arms", "corrected", *TWO_STEPS)
    forced, _, err = quick(tmp_path, *bf16, "--force-bf16")
    assert forced == 0, err
    assert len(list((tmp_path / "results" / "runs").glob("*.parquet"))) == 1
