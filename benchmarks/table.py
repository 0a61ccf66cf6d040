"""Markdown page of results.json, by pure functions."""

from collections.abc import Mapping, Sequence
from typing import Any

TITLES = {
    "gemm": "Matrix products",
    "steps": "Training steps",
    "evaluation": "Evaluation",
    "grid": "Runs per hour of a small grid, from process start",
    "equality": "Equality of the work",
    "scheduler": "Runner, planning, collecting, reporting",
    "backends": "Overhead of each backend per run",
    "recommend": "Answers of `stableft recommend` beside other ways to a model",
}
NOTES = {
    "gemm": "Products of a linear layer, by torch's own kernels. Rates of several processes are added.",
    "steps": """
In every round, every variant starts in a process of its own. All take the same batches in the same
order, with dropout 0.1. `ms per step` is time over the number of steps of all processes of a
variant together: the cost of a step if the whole machine is used. Baselines use all cores as
threads, stableft uses one process per core.

GFLOP/s counts 6 x (body parameters x real tokens - S x (tokens - sequences)) operations a step.
Body parameters are the weights of the linear layers of all blocks. S is the number of weights of
the last block that E and F use for the first token only (query, attention output, feed-forward); it
is 0 for the others. Padding is not counted. The GEMM rate is that of one thread per core over the
products of the encoder's feed-forward layer, forward and backward, in the same rounds; F is
compared with the rate of bf16.""",
    "evaluation": """
As for training steps, with 2 instead of 6, over the same validation examples for every variant. A
baseline's own overhead per evaluation is included. Evaluation batches: A and B 8 examples, C 32
sorted by length, stableft its own.""",
    "grid": """
Baselines: a fresh process per run, all cores as threads, one run after another; each run reads
files, tokenises (cached after the first round), trains and evaluates. stableft: one program that
runs its whole grid through its runner and writes every run's record. `without start-up` is seconds
per run of training and evaluation alone, the cost that matters in long runs. For stableft it
includes loading the model and, once per process, tokenising.""",
    "equality": """
Dropout 0, the same initial weights and order of batches; differences to A. A loss is the mean over
the batch of one training step. bf16 is shown for comparison; it is not expected to be equal.""",
    "backends": """
Training processes that answer at once, so that only the overhead of the backend remains. The first
runs start processes and are left out. Dask: a local cluster with its scheduler in the command's
process; with `--gather` the command claims each run. CPU time is that of the command, and in the
next column that of all processes.""",
    "recommend": """
Test scores on the same parts of each data set. `stableft recommend` has a fixed budget of minutes;
its two lines are the setting it recommends, as the mean over its seeds, and its better linear model.
SetFit: the same encoder, its defaults, stopped after
the same minutes. Trainer: the same encoder, its defaults (learning
rate 5e-5, 3 epochs, batch 8, padding as needed), mean of three seeds. Intervals of 95 % are over the
examples (and seeds, for recommend).""",
    "scheduler": "Records are synthetic and written through the store; each has per-step metrics and predictions.",
}
INTRODUCTION = """# Benchmarks

Written by `make bench`; do not edit. Every value is the median of interleaved rounds, with the
smallest and the largest in parentheses. A ratio is the number of times a variant is better than a
reference; it is computed within each round, and then the median is taken. Settings: fp32, fused
AdamW, learning rate 5e-5, clipping at 1; synthetic texts with the lengths of the real tasks.
Everything runs on the CPU; GPUs: not measured. Processors differ in what their libraries gain, so
each kind has its own tables: vendor, family and model as in /proc/cpuinfo, and instruction set."""


def number(value: float) -> str:
    """Formats a number with three significant digits; from 100 on as a whole number."""
    if value == 0:
        return "0"
    if 0 < abs(value) < 1e-3:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(summary: Mapping[str, float]) -> str:
    """Formats a summary as ``median (min-max)``, or as its only value."""
    middle = number(summary["median"])
    return middle if summary["rounds"] == 1 else f"{middle} ({number(summary['min'])}-{number(summary['max'])})"


def group(rows: Sequence[Mapping[str, Any]]) -> str:
    """Formats the rows of one group as a Markdown table, without columns that no row fills."""
    references = list(dict.fromkeys(name for row in rows for name in row["ratios"]))
    labels = list(dict.fromkeys(label for row in rows for label in row["extra"]))
    header = ["variant", "value", "unit", "rounds", *(f"times {name.split()[0]}" for name in references), *labels]
    lines = [header, ["---", "---:", "---", *["---:"] * (len(header) - 3)]]
    for row in rows:
        extra = [row["extra"].get(label, "") for label in labels]
        lines.append(
            [
                row["name"], row.get("missing") or spread(row), row["unit"], str(row["rounds"]),
                *(spread(row["ratios"][name]) if name in row["ratios"] else "" for name in references),
                *(value if isinstance(value, str) else spread(value) for value in extra),
            ]
        )  # fmt: skip
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def part(name: str, results: Mapping[str, Mapping[str, Any]]) -> str:
    """Formats a part, with the tables of each kind of processor.

    Args:
        name: The part.
        results: Kind of processor -> its measurement.
    """
    shown = [f"### {kind}\n\n{_measured(result)}" for kind, result in results.items()]
    return "\n\n".join([f"## {TITLES[name]} (`{name}`)", NOTES[name].strip(), *shown])


def _measured(result: Mapping[str, Any]) -> str:
    rows: Sequence[Mapping[str, Any]] = result["rows"]
    groups = dict.fromkeys(row["group"] for row in rows)
    tables = [f"#### {title}\n\n{group([row for row in rows if row['group'] == title])}" for title in groups]
    when = f"{result['date']}, {result['minutes']:.1f} minutes; load of the machine before: {result['load_before']}."
    quick = "**Tiny sizes (`--quick`): these numbers mean nothing.**"
    about = [when, where(result), *([quick] if result["quick"] else [])]
    return "\n\n".join([" ".join(about), *tables])


def page(results: Mapping[str, Any]) -> str:
    """Formats the whole page: every part, and within it every kind of processor."""
    processors: Mapping[str, Mapping[str, Any]] = results["processors"]
    measured = {name: {kind: parts[name] for kind, parts in processors.items() if name in parts} for name in TITLES}
    return "\n\n".join([INTRODUCTION, *(part(name, by_kind) for name, by_kind in measured.items() if by_kind)]) + "\n"


def where(result: Mapping[str, Any]) -> str:
    """Describes hardware, threads, versions and commit of a part."""
    hardware = result["hardware"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return (
        f"{hardware['cpu']}, {result['threads']} of {hardware['cores']} cores used, {hardware['memory_mb'] / 1024:.0f} GiB, "
        f"{hardware['system']}; commit {result['commit']}; {versions}."
    )
