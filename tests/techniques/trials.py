"""What the tests of techniques share: runs to compare bit for bit."""

from typing import NamedTuple

import numpy as np
from torch import Tensor

from stableft.config import RunConfig
from stableft.encoders import Encoder
from stableft.evaluation import Predictions, Row
from stableft.execution import Execution
from stableft.finetune import Setup, build, train
from stableft.packing import Data


class Trial(NamedTuple):
    """A whole run."""

    rows: list[Row]
    predictions: list[Predictions]

    @property
    def losses(self) -> list[float]:
        return [row.value for row in self.rows if (row.split, row.metric) == ("train", "loss")]


def prepare(config: RunConfig, encoder: Encoder, data: Data, *, packed: bool = True) -> Setup:
    return build(config, data, encoder, Execution(packed=packed))


def run(setup: Setup, config: RunConfig, data: Data, *, packed: bool = True) -> Trial:
    items = list(train(setup, config, data, Execution(packed=packed)))
    return Trial([item for item in items if isinstance(item, Row)], [item for item in items if isinstance(item, Predictions)])


def same(one: Trial, other: Trial) -> bool:
    """Bit for bit."""
    return repr(one.rows) == repr(other.rows) and all(
        np.array_equal(a.predictions, b.predictions) and np.array_equal(a.probabilities, b.probabilities)
        for a, b in zip(one.predictions, other.predictions, strict=True)
    )


def state(setup: Setup) -> dict[str, Tensor]:
    """A copy of all parameters by name."""
    return {name: parameter.detach().clone() for name, parameter in setup.model.named_parameters()}
