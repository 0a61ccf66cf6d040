"""BitFit: biases and head are trained, and nothing else has a gradient, a state or a decay."""

import pytest
import torch

from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.techniques.bitfit import BitFit
from tests.conftest import ConfigFactory
from tests.helpers import trials

EXAMPLE = BitFit()
DECAYING = {"adam.weight_decay": 1.0, "schedule.num_epochs": None, "schedule.num_steps": 12}


@pytest.mark.parametrize("packed", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["packed", "padded"])
def test_which_parameters_move(packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    setup = trials.prepare(toy_config(DECAYING, techniques=(EXAMPLE,)), lively_encoder, toy_data, packed=packed)
    start = trials.state(setup)
    biases = {name for name in start if name.endswith("bias")}
    assert len(biases) == 1 + 2 * 8 + 1 + 1  # of the embeddings' norm, of six layers and two norms a block, of pooler and head
    trials.run(setup, toy_data, packed=packed)
    moved = trials.moved(setup, start)
    assert moved == biases | {"head.weight"}


def test_its_step_is_that_of_an_optimizer_of_biases_alone(
    toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    """Against torch's AdamW, which is given nothing but biases and head; clipping sees them alone too."""
    config = toy_config({"schedule.warmup_ratio": 0.0}, dropout=0.0, max_grad_norm=0.01, techniques=(EXAMPLE,))
    setup, other = (trials.prepare(config, lively_encoder, toy_data, packed=False) for _ in range(2))
    trained = [p for name, p in other.model.named_parameters() if name.endswith("bias") or name == "head.weight"]
    step = trials.first_step(other, toy_data, packed=False)
    step.compute()
    torch.nn.utils.clip_grad_norm_(trained, 0.01)
    torch.optim.AdamW(trained, lr=3e-3, weight_decay=0.0).step()

    batch, original = step.batch, type(toy_data.splits["train"]).batch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(toy_data.splits["train"]), "batch", lambda self, *a: batch if len(self) == 64 else original(self, *a))
        short = setup.__class__(**{**vars(setup), "num_steps": 1, "evaluation_steps": (1,)})
        trials.run(short, toy_data, packed=False)
    for name, parameter in setup.model.named_parameters():
        torch.testing.assert_close(parameter, other.model.get_parameter(name), rtol=0, atol=1e-5, msg=name)
