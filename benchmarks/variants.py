"""Variants to compare, and the context that all parts share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import engine
from benchmarks.process import Nursery
from benchmarks.subject import Spec
from benchmarks.work import BASE, MINILM, NARROW, TINY, Shape, Size, write_random_encoder


@dataclass(frozen=True)
class Variant:
    """One way to do the work.

    Attributes:
        name: Name in tables; its first letter names it in headings.
        kind: Class of its subject, ``module:class``.
        options: Options of the subject.
        ours: Whether it is the engine: one single-thread process per core. A baseline is one
            process with all cores as threads.
        first_token_only: Whether the last block is computed for the first token only.
        precision: Precision of the GEMM rate to compare with.
    """

    name: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    ours: bool = False
    first_token_only: bool = False
    precision: str = "fp32"

    @property
    def supported(self) -> bool:
        """True if this processor has the instructions of the variant's precision."""
        return self.precision != "bf16" or engine.has_bf16()

    def spec(self, encoder: Path, shape: Shape, **more: Any) -> Spec:
        """Builds the spec of this variant's work on an encoder and a shape."""
        return Spec(self.kind, encoder, shape, **{**more, "options": {**self.options, **more.get("options", {})}})


def _trainer(name: str, *, pad: bool) -> Variant:
    return Variant(name, "benchmarks.huggingface:TrainerSubject", {"pad": pad})


def _engine(name: str, *, packed: bool, precision: str) -> Variant:
    options = {"packed": packed, "precision": precision}
    return Variant(name, "benchmarks.engine:Engine", options, ours=True, first_token_only=packed, precision=precision)


DEFAULTS = _trainer("A Trainer, run_glue's defaults", pad=True)
DYNAMIC = _trainer("B Trainer, dynamic padding", pad=False)
LOOP = Variant("C tuned Hugging Face loop", "benchmarks.huggingface:LoopSubject")
PADDED = _engine("D stableft, padded", packed=False, precision="fp32")
PACKED = _engine("E stableft, packed", packed=True, precision="fp32")
PACKED_BF16 = _engine("F stableft, packed, bf16", packed=True, precision="bf16")
VARIANTS = (DEFAULTS, DYNAMIC, LOOP, PADDED, PACKED, PACKED_BF16)
NOT_SUPPORTED = "not supported by this processor"
REFERENCES = tuple(variant.name for variant in (DEFAULTS, DYNAMIC, LOOP))


@dataclass
class Context:
    """One invocation of the benchmarks.

    Attributes:
        folder: Temporary folder, removed at the end.
        quick: Whether to use tiny sizes.
        rounds: Requested number of rounds; None: each part's own.
        device: ``cpu``, or ``cuda``: the first visible GPU.
        minutes: Budget of an answer of `stableft recommend`.
    """

    folder: Path
    quick: bool = False
    rounds: int | None = None
    device: str = "cpu"
    minutes: float = 20.0
    _nurseries: dict[str, Nursery] = field(default_factory=dict)

    def nursery(self, *, ours: bool) -> Nursery:
        """Returns the nursery of subjects: ours in the runner's environment, baselines in a plain one."""
        name = "ours" if ours else "library"
        if name not in self._nurseries:
            module = "benchmarks.engine" if ours else "benchmarks.huggingface"
            modules = [module, "stableft.training.loop"] if ours else [module]
            self._nurseries[name] = Nursery(modules, self.environment(ours=ours), self.folder / name)
        return self._nurseries[name]

    def environment(self, *, ours: bool) -> dict[str, str]:
        """Returns the environment variables of a process: those of the runner's processes for ours.

        A baseline has none, so it uses all cores; with ``quick`` it uses one thread.
        """
        threads = {"OMP_NUM_THREADS": "1"} if self.quick else {}
        return {**(engine.worker_environment() if ours else threads), **self._gpu()}

    def _gpu(self) -> dict[str, str]:
        if self.device == "cpu":
            return {}
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") or "0"
        # Subjects are forked, and a fork has no GPU if its parent initialised CUDA to count them.
        return {"CUDA_VISIBLE_DEVICES": visible.split(",")[0], "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}

    def members(self, variant: Variant) -> int:
        """Returns the number of processes at a time."""
        return engine.workers() if variant.ours else 1

    def encoder(self, size: Size) -> Path:
        """Returns the folder of an encoder; only MiniLM has pre-trained weights."""
        if size == MINILM:
            return engine.encoder_folder("minilm-l6")
        if size == TINY:
            return engine.encoder_folder("tiny-random")
        folder = self.folder / f"encoder-{size.layers}x{size.hidden}"
        if not folder.is_dir():
            write_random_encoder(size, engine.encoder_folder("minilm-l6"), folder)
        return folder

    def sizes(self) -> tuple[Size, ...]:
        return (TINY,) if self.quick else (MINILM, NARROW, BASE)

    def close(self) -> None:
        for nursery in self._nurseries.values():
            nursery.close()


@contextmanager
def context(
    folder: Path, *, quick: bool, rounds: int | None = None, device: str = "cpu", minutes: float = 20.0
) -> Iterator[Context]:
    """Yields a `Context`, and ends its processes afterwards."""
    made = Context(folder, quick, rounds, device, minutes)
    try:
        yield made
    finally:
        made.close()
