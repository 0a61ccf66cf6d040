"""How a run is computed, none of which is part of its identity, and in which arithmetic, which is."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Execution:
    """How a run is computed; none of it is part of the run's identity.

    Attributes:
        device: A torch device, such as ``cpu`` or ``cuda:0``.
        packed: Without padding, or padded as the reference.
        evaluation_tokens: Tokens per evaluation batch. About 2,048 is fastest on a CPU.
    """

    device: str = "cpu"
    packed: bool = True
    evaluation_tokens: int = 2048


def arithmetic(precision: str, execution: Execution) -> AbstractContextManager[object]:
    """The context in which a forward pass runs: bf16 autocast (weights stay float32), or none for fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(torch.device(execution.device).type, dtype=torch.bfloat16)
