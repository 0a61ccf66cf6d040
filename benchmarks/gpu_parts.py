"""Parts of the GPU check. Each runs in a process of its own and writes its rows as JSON lines.

A row has ``name``, ``status`` (``ok``, ``failed`` or ``skipped``), ``reason``, and its numbers.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.process import ROOT, team
from benchmarks.subject import Trained
from benchmarks.work import LARGE, RTE, TINY, Shape, Size, small, splits, write_random_encoder

if TYPE_CHECKING:
    from benchmarks.variants import Context, Variant

# torch is imported by the parts that need it.
PRECISIONS = ("fp32", "tf32", "bf16")
# Largest difference of packed and padded in fp32, of any logit, and of the gradient relative to its
# norm. tf32 and bf16 round more; their differences are reported without a bound.
LOGITS_BOUND, GRADIENT_BOUND = 1e-4, 1e-3
TF32 = "tf32 is an arithmetic of GPUs"
BF16 = "bf16 is not supported by this processor: it has no bf16 instructions"
SEVERAL = (2, 4)  # runs at a time on one GPU
WAYS = ("repeated", "killed and resumed", "local, two processes")

Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Device, size and scratch folder of a check; ``folder`` has the inputs after the part `inputs`."""

    device: str
    tiny: bool
    folder: Path

    @property
    def shape(self) -> Shape:
        return small(RTE) if self.tiny else RTE

    @property
    def size(self) -> Size:
        return TINY if self.tiny else LARGE

    @property
    def encoder(self) -> Path:
        return self.folder / "encoder"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def steps(self) -> tuple[int, int]:
        """Untimed and timed steps; the engine measures every one of the first ten updates."""
        return (1, 3) if self.tiny else (10, 30)


def attempt(name: str, work: Callable[[], Mapping[str, Any]]) -> Row:
    """Returns the row of a piece of work; an exception is recorded in it."""
    began = time.perf_counter()
    try:
        numbers: Mapping[str, Any] = work()
    except Exception as error:  # whatever it is, the other rows follow
        numbers = {"status": "failed", "reason": f"{type(error).__name__}: {str(error).strip()[-1500:]}"}
    return {"name": name, "status": "ok", "reason": "", "seconds": round(time.perf_counter() - began, 3), **numbers}


def skipped(name: str, reason: str) -> Row:
    """Returns the row of work that was not done."""
    return {"name": name, "status": "skipped", "reason": reason}


def tests(case: Case) -> Iterator[Row]:
    """Runs the tests that are marked ``gpu``, and yields a row for each."""
    files = [path for path in sorted((ROOT / "tests").rglob("test_*.py")) if "mark.gpu" in path.read_text(encoding="utf-8")]
    report = case.folder / "tests.xml"
    options = ["-m", "gpu", "-p", "no:cacheprovider", f"--junitxml={report}"]
    subprocess.run([sys.executable, "-m", "pytest", *options, *map(str, files)], cwd=ROOT, check=False)
    for test in ElementTree.parse(report).iter("testcase"):
        row = attempt(test.attrib["name"], dict)
        for kind, status in (("skipped", "skipped"), ("failure", "failed"), ("error", "failed")):
            if (outcome := test.find(kind)) is not None:
                row |= {"status": status, "reason": outcome.attrib.get("message", "")[:1500]}
        yield {**row, "seconds": float(test.attrib["time"])}


def inputs(case: Case) -> Iterator[Row]:
    """Describes the device, and makes the encoder and the texts of all other parts."""
    yield attempt("device", lambda: _device(case.device))
    yield attempt("encoder", lambda: _make_encoder(case))
    yield attempt("texts", lambda: _make_texts(case))


def _device(device: str) -> dict[str, Any]:
    import torch

    from stableft.training.runtime import Runtime, flags

    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    return {"device": name, "torch": torch.__version__, **flags(Runtime(device=device))}


def _make_encoder(case: Case) -> dict[str, Any]:
    """Links the folder of the encoder: BERT-large as it is in the hub's cache, else with random weights."""
    from benchmarks import engine
    from stableft.core.errors import MissingInput
    from stableft.models.encoders import resolve

    if case.tiny:
        source, folder = "tiny-random", engine.encoder_folder("tiny-random")
    else:
        try:
            source, folder = "bert-large-uncased", resolve("bert-large-uncased").folder
        except MissingInput:
            source, folder = "random weights", write_random_encoder(case.size, _tokenizer(), case.folder / "random")
    case.encoder.symlink_to(folder.resolve(), target_is_directory=True)
    return {"source": source, "layers": case.size.layers, "hidden": case.size.hidden}


def _tokenizer() -> Path:
    """Returns the folder of a tokenizer; the tiny vocabulary serves where MiniLM is not installed."""
    from benchmarks import engine
    from stableft.core.errors import MissingInput

    try:
        return engine.encoder_folder("minilm-l6")
    except MissingInput:
        return engine.encoder_folder("tiny-random")


def _make_texts(case: Case) -> dict[str, Any]:
    from benchmarks import engine

    engine.write_task_files(case.shape, case.encoder, case.data)
    train, validation = splits(case.shape, case.encoder)
    pieces = sum(example.length for example in train) / len(train)
    return {"train": len(train), "validation": len(validation), "mean_pieces": round(pieces, 2)}


def equality(case: Case) -> Iterator[Row]:
    """Compares packed with padded logits and gradients of one batch, at dropout 0."""
    for precision in PRECISIONS:
        if reason := _unsupported(case, precision):
            yield skipped(precision, reason)
        else:
            yield attempt(precision, partial(_packed_against_padded, case, precision))


def _unsupported(case: Case, precision: str) -> str:
    """Returns the reason why a precision is left out on the device; empty if it is not."""
    from benchmarks import engine

    if case.device != "cpu" or precision == "fp32":
        return ""
    if precision == "tf32":
        return TF32
    return "" if engine.has_bf16() else BF16


def _packed_against_padded(case: Case, precision: str) -> dict[str, Any]:
    packed, padded = (_gradients(case, precision, packed=packed) for packed in (True, False))
    logits = float((packed[0] - padded[0]).abs().max())
    gradient = float((packed[1] - padded[1]).norm() / padded[1].norm())
    bounded = precision == "fp32"
    within = logits <= LOGITS_BOUND and gradient <= GRADIENT_BOUND
    verdict = {"status": "failed", "reason": "packed and padded differ by more than the bounds"} if bounded and not within else {}
    return {
        "sequences": len(packed[0]),
        "largest_logit_difference": logits,
        "relative_gradient_difference": gradient,
        "bounds": [LOGITS_BOUND, GRADIENT_BOUND] if bounded else None,
        **verdict,
    }


def _gradients(case: Case, precision: str, *, packed: bool) -> tuple[Any, Any]:
    """Returns logits (B, K) and the whole gradient, as one vector, of the first batch."""
    import torch

    from benchmarks import engine
    from stableft.models.encoders import resolve
    from stableft.models.tokens import encode
    from stableft.tasks.catalog import get_task
    from stableft.training.evaluation import batch_losses
    from stableft.training.runtime import Runtime, arithmetic
    from stableft.training.setup import build

    shape, encoder, task = case.shape, resolve(str(case.encoder)), get_task(case.shape.task)
    data = encode(task, task.load(), encoder, shape.max_length)
    config = engine.configuration(shape, case.encoder, seed=0, dropout=0.0, precision=precision, num_steps=1, every=1)
    runtime = Runtime(device=case.device, packed=packed)
    model = build(config, data, encoder, runtime).model.train()
    batch = data.splits["train"].batch(range(shape.batch_size), case.device)
    with arithmetic(precision, runtime):
        logits = model(batch)
    batch_losses(model, logits, batch, task.kind).mean().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    return logits.detach().float(), torch.cat([gradients[name].flatten().float() for name in sorted(gradients)])


def determinism(case: Case) -> Iterator[Row]:
    """Repeats a cell of ``adam``: in the same way, killed and resumed, in one of two processes."""
    from stableft.core.experiments import get_experiment, get_protocol
    from stableft.core.grid import select
    from stableft.execution.determinism import LEVELS, RepeatCheck, compare, level, ways
    from stableft.execution.inputs import Inputs

    grid = get_experiment("adam").grid(get_protocol("smoke" if case.tiny else "paper"))
    if not case.tiny:
        grid = select(grid, tasks=["rte"], overrides={"encoder": str(case.encoder)})
    first, *_ = known = ways(grid, Inputs(), case.device)
    checks: list[RepeatCheck] = []

    # The first run is done once; every other way is compared with it.
    reference = known[first](case.folder / "determinism" / first)
    for name in WAYS:

        def compared(name: str = name) -> dict[str, Any]:
            pair = {first: lambda _: reference, name: known[name]}
            checks.extend(compare(pair, case.folder / "determinism"))
            difference = checks[-1].difference
            verdict = {"status": "failed", "reason": f"differs from the first run: {difference}"} if difference else {}
            return {"equal": not difference, "difference": difference, **verdict}

        yield attempt(name, compared)
    if [check.way for check in checks] == list(WAYS):
        found = level(checks)
        yield attempt("level", lambda: {"level": found, "meaning": LEVELS[found]})


def speed(case: Case) -> Iterator[Row]:
    """Measures training steps: the Trainer, the engine padded and packed, and several runs at a time."""
    from benchmarks.variants import DYNAMIC, PACKED, PADDED, context

    with context(case.folder / "speed", quick=case.tiny, device=case.device) as made:
        for precision in PRECISIONS:
            trainer = 0.0
            for variant in (DYNAMIC, PADDED, PACKED):
                row = _speed(case, made, variant, precision)
                rate = row.get("steps_per_second", 0.0)
                if variant is DYNAMIC:
                    trainer = rate
                yield {**row, "times_trainer": rate / trainer if trainer and rate else None}
        for processes in SEVERAL[:1] if case.tiny else SEVERAL:
            yield _speed(case, made, PACKED, "fp32", processes)


def _speed(case: Case, made: "Context", variant: "Variant", precision: str, processes: int = 1) -> Row:
    name = f"{variant.name[2:]}, {precision}" + (f", {processes} runs at a time" if processes > 1 else "")
    if reason := _unsupported(case, precision):
        return skipped(name, reason)
    if not variant.ours and importlib.util.find_spec("accelerate") is None:
        return skipped(name, "accelerate is not installed: benchmarks/requirements.txt")
    return attempt(name, lambda: _rates(case, made, variant, precision, processes))


def _rates(case: Case, made: "Context", variant: "Variant", precision: str, processes: int) -> dict[str, Any]:
    """Returns the rates of all processes together, and the GPU memory of the largest."""
    options = {"device": case.device, "precision": precision}
    warm, steps = case.steps
    with team(made.nursery(ours=variant.ours), variant.spec(case.encoder, case.shape, options=options), processes) as workers:
        trained: list[Trained] = [answer.value for answer in workers.call("train", warm, steps)]
    seconds = max(one.seconds for one in trained)
    rate = processes * steps / seconds
    memory = [one.gpu_mb for one in trained if one.gpu_mb is not None]
    return {
        "precision": precision,
        "processes": processes,
        "steps": steps,
        "steps_per_second": rate,
        "sequences_per_second": sum(one.sequences for one in trained) / seconds,
        "tokens_per_second": sum(one.tokens for one in trained) / seconds,
        "gpu_mb_per_process": max(memory, default=None),
        "runs_per_hour_without_evaluation": None if case.tiny else _runs_per_hour(rate),
    }


def _runs_per_hour(steps_per_second: float) -> float:
    """Returns the training runs of the paper protocol's RTE in an hour, without evaluations."""
    from stableft.core.experiments import get_protocol
    from stableft.core.schedule import schedule_steps

    num_steps, _ = schedule_steps(get_protocol("paper").configs["rte"], RTE.num_train)
    return 3600 * steps_per_second / num_steps


PARTS: Mapping[str, Callable[[Case], Iterator[Row]]] = {
    function.__name__: function for function in (tests, inputs, equality, determinism, speed)
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_parts", description=__doc__)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--device", required=True)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    options = parser.parse_args()
    with open(options.rows, "w", encoding="utf-8") as file:
        for row in PARTS[options.part](Case(options.device, options.tiny, options.folder)):
            file.write(json.dumps(row) + "\n")
            file.flush()  # a part may be stopped


if __name__ == "__main__":
    main()
