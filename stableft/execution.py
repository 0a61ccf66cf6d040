"""How a run is computed, none of which is part of its identity, and in which arithmetic, which is."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from stableft.config import RunConfig


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


def arithmetic(config: RunConfig, execution: Execution) -> AbstractContextManager[object]:
    """The context in which the forward pass runs: bf16 autocast if the run asks for it."""
    if config.precision == "fp32":
        return nullcontext()
    return torch.autocast(torch.device(execution.device).type, dtype=torch.bfloat16)
