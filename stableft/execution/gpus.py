"""GPUs: assigns training processes to the GPUs of a grid."""

import os
from collections.abc import Sequence

from stableft.core.errors import NoDevice, UsageError


def parse_gpus(text: str) -> list[int]:
    """Parses ``0,1`` into [0, 1].

    Raises:
        UsageError: The text is anything else, or has the same number twice.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len({int(part) for part in parts}) < len(parts):
        raise UsageError(f"--gpus {text}: write the numbers of GPUs, each once, such as 0,1; --per-gpu puts several runs on each")
    return [int(part) for part in parts]


def slots(gpus: Sequence[int], per_gpu: int, count: int) -> list[str]:
    """Returns the ``CUDA_VISIBLE_DEVICES`` of each training process.

    It goes through the GPUs in turn, so that a few runs use different GPUs.

    Args:
        gpus: Numbers of GPUs, from 0, among those visible to this process: a scheduler may have
            assigned it some.
        per_gpu: Processes on each GPU.
        count: Number of GPUs found by torch.

    Raises:
        NoDevice: There is no GPU of such a number.
    """
    absent = ", ".join(str(gpu) for gpu in gpus if gpu >= count)
    if absent:
        raise NoDevice(f"no GPU {absent}: torch finds {count} here" + f", numbered from 0 to {count - 1}" * (count > 0))
    given = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return [given[gpu] if given else str(gpu) for gpu in gpus] * per_gpu
