"""GPUs: which ones a grid may use, and how many runs at a time on each."""

import os
from collections.abc import Sequence

from stableft.core.errors import NoDevice, UsageError


def parse_gpus(text: str) -> list[int]:
    """Parses ``0,1`` into [0, 1].

    Raises:
        UsageError: anything else, or the same number twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len({int(part) for part in parts}) < len(parts):
        raise UsageError(f"--gpus {text}: write the numbers of GPUs, each once, such as 0,1; --per-gpu puts several runs on each")
    return [int(part) for part in parts]


def slots(gpus: Sequence[int], per_gpu: int, count: int) -> list[str]:
    """Returns the ``CUDA_VISIBLE_DEVICES`` of each training process, GPU by GPU in turn, so that few runs are spread out.

    Args:
        gpus: Numbers of GPUs, from 0, among those that this process may use: a scheduler may have given it some.
        per_gpu: Processes on each.
        count: How many GPUs torch finds.

    Raises:
        NoDevice: there is no such GPU.
    """
    absent = ", ".join(str(gpu) for gpu in gpus if gpu >= count)
    if absent:
        raise NoDevice(f"no GPU {absent}: torch finds {count} here" + f", numbered from 0 to {count - 1}" * (count > 0))
    given = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return [given[gpu] if given else str(gpu) for gpu in gpus] * per_gpu
