"""Subjects: variants to measure, each in a process forked from one that has imported all modules.

A fork starts in milliseconds and has its own peak memory, so every variant can start from the
beginning in every round.
"""

import importlib
import os
import sys
import traceback
from dataclasses import dataclass, field
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.work import Shape


@dataclass(frozen=True)
class Spec:
    """A variant and its work.

    Attributes:
        kind: ``module:class`` of the subject.
        encoder: A Hugging Face folder.
        shape: Shape of the texts.
        seed: Seed of the order of batches and of the head.
        dropout: As in the model's configuration.
        options: Options of the variant.
    """

    kind: str
    encoder: Path
    shape: Shape
    seed: int = 0
    dropout: float = 0.1
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """Result of training steps.

    Attributes:
        seconds: Duration of the timed steps.
        tokens: Real pieces in their batches.
        sequences: Examples in their batches.
        losses: Losses of all steps, if they were requested.
        gpu_mb: Peak memory of its tensors on the GPU in MiB; None on a CPU.
    """

    seconds: float
    tokens: int
    sequences: int
    losses: list[float]
    gpu_mb: float | None = None


@dataclass(frozen=True)
class Evaluated:
    """Logits (N, K) of the validation examples in their own order, and the duration of the evaluation."""

    seconds: float
    logits: NDArray[np.float32]


class Subject(Protocol):
    """Interface of every variant; subjects are built from a `Spec`."""

    def train(self, warm: int, steps: int, *, log: bool = False) -> Trained:
        """Takes ``warm`` untimed and ``steps`` timed steps; the schedule ends with the last one."""
        ...

    def evaluate(self, count: int) -> Evaluated:
        """Evaluates the first ``count`` validation examples."""
        ...


def synchronize() -> None:
    """Waits until the GPU is idle, if this process uses one."""
    import torch

    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def peak_gpu_mb() -> float | None:
    """Returns the peak memory of this process's tensors on the GPU in MiB; None if it uses none."""
    import torch

    return torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_initialized() else None


def obey(connection: Connection) -> None:
    """Builds the requested subject and calls its methods until the other side closes the connection."""
    import torch

    from stableft.training import memory

    spec: Spec = connection.recv()
    try:
        module, _, name = spec.kind.partition(":")
        memory.reset_peak_memory()
        subject = getattr(importlib.import_module(module), name)(spec)
        connection.send(("ready", None))
        while True:
            method, arguments, options = connection.recv()
            answer = getattr(subject, method)(*arguments, **options)
            connection.send(("done", (answer, memory.peak_memory_mb(), torch.get_num_threads())))
    except EOFError:
        return
    except Exception:
        connection.send(("failed", traceback.format_exc()))


def main() -> None:
    """Imports the named modules, then forks a subject for every address on standard input.

    Ends at the end of standard input.
    """
    for name in sys.argv[1:]:
        importlib.import_module(name)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    os.dup2(2, 1)  # output of libraries goes to the log
    children: set[int] = set()
    for line in iter(sys.stdin.readline, ""):
        children -= {pid for pid in children if os.waitpid(pid, os.WNOHANG)[0]}
        if child := os.fork():
            children.add(child)
            continue
        with Client(line.strip(), family="AF_UNIX") as connection:
            obey(connection)
        os._exit(0)


if __name__ == "__main__":
    main()
