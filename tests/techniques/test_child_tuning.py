"""Child-Tuning: masks of both variants, Fisher information against squared gradients by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from stableft.core.errors import UsageError
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.techniques.child_tuning import ChildTuning, fisher, fisher_masks
from stableft.training.setup import Setup
from tests.conftest import ConfigFactory
from tests.helpers import trials
from tests.techniques.test_resuming import SHORT, trajectory, undisturbed_and_resumed

EXAMPLE = ChildTuning(p=0.3)
TASK = ChildTuning(p=0.3, variant="task")
FEW = {"schedule.num_epochs": None, "schedule.num_steps": 5, "schedule.warmup_ratio": 0.0}


@pytest.fixture
def prepared(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> Setup:
    return trials.prepare(toy_config(techniques=(EXAMPLE,)), lively_encoder, toy_data)


def test_free_masks_keep_the_expectation(prepared: Setup) -> None:
    """Each step keeps 0.3 of the gradients, times 1 / 0.3, others every time, and none of what has no gradient."""
    model, (mask,) = prepared.model, prepared.after_clipping
    table = model.encoder.embeddings.word_embeddings.weight
    kept = []
    for _ in range(3):
        for parameter in model.parameters():
            parameter.grad = None if parameter is table else torch.full_like(parameter, 2.0)
        mask()
        assert table.grad is None
        kept.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
        assert kept[-1].unique().tolist() == pytest.approx([0.0, 2 / 0.3], rel=1e-4)
        assert kept[-1].mean() == pytest.approx(2.0, rel=0.05)
    assert not torch.equal(kept[0], kept[1])


def test_fisher_information_by_hand(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """Mean over batches of the squared gradient, by ``backward`` on the padded engine without dropout."""
    config = toy_config(num_train=20)
    packed = trials.prepare(config, lively_encoder, toy_data)
    information = fisher(packed)
    found = {name: information[p] for name, p in packed.model.named_parameters() if p in information}
    setup = trials.prepare(config, lively_encoder, toy_data, packed=False)
    model, expected = setup.model.eval(), {}
    for start in (0, 8, 16):
        batch = toy_data.splits["train"].batch(setup.train_indices[start : start + 8])
        model.zero_grad()
        nn.functional.cross_entropy(model(batch), batch.labels.long()).backward()
        for name, parameter in model.named_parameters():
            if name.startswith("encoder.encoder.layer."):
                assert parameter.grad is not None
                expected[name] = expected.get(name, 0) + parameter.grad**2 / 3
    assert found.keys() == expected.keys()
    assert len(found) == len(information) == 2 * 16
    for name, mine in found.items():
        torch.testing.assert_close(mine, expected[name], rtol=1e-3, atol=1e-8)


def test_task_masks_are_of_the_greatest_and_hold_for_the_run(
    toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    plain = trials.prepare(toy_config(), lively_encoder, toy_data)
    information, masks = fisher(plain), fisher_masks(plain, 0.3)
    kept, left = (torch.cat([information[p][mask == which] for p, mask in masks.items()]) for which in (True, False))
    assert kept.min() >= left.max()
    assert len(kept) / (len(kept) + len(left)) == pytest.approx(0.3, abs=1e-3)

    setup = trials.prepare(toy_config(FEW, techniques=(TASK,)), lively_encoder, toy_data)
    start = trials.state(setup)
    trials.run(setup, toy_data)
    by_name = {name: masks[p] for name, p in plain.model.named_parameters() if p in masks}
    assert len(by_name) == 2 * 16
    for name, parameter in setup.model.named_parameters():
        changed = parameter.detach() != start[name]
        if name in by_name:
            assert not changed[~by_name[name]].any(), name
        else:
            assert changed.any(), name
    chosen = torch.cat([(setup.model.get_parameter(name).detach() != start[name])[mask] for name, mask in by_name.items()])
    assert chosen.float().mean() > 0.95


def test_fisher_information_draws_nothing(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """Order, dropout and the head are the baseline's, so the first loss is too."""
    losses = [
        trials.run(trials.prepare(toy_config(FEW, techniques=techniques), lively_encoder, toy_data), toy_data).losses
        for techniques in ((), (TASK,), (EXAMPLE,))
    ]
    assert losses[0][0] == losses[1][0] == losses[2][0]
    assert len({each[-1] for each in losses}) == 3


def test_a_fixed_mask_is_the_same_after_resuming(
    toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data, tmp_path: Path
) -> None:
    config = toy_config(SHORT, techniques=(TASK,))
    whole, resumed = undisturbed_and_resumed(config, lively_encoder, toy_data, tmp_path / "x", [5])
    assert trajectory(resumed) == trajectory(whole)


@pytest.mark.parametrize("p", [0, 1e-6, 1.1])
def test_settings_that_can_not_be(p: float, toy_config: ConfigFactory) -> None:
    with pytest.raises(UsageError, match="child_tuning: p: "):
        toy_config(techniques=[{"name": "child_tuning", "p": p}])


def test_the_share_of_a_free_mask_is_rounded_to_16_bits(prepared: Setup) -> None:
    stream = prepared.streams["child_tuning"]
    mask = stream.mask((200_000,), 1 - EXAMPLE.p)  # pyright: ignore[reportAttributeAccessIssue]
    assert float((mask > 0).float().mean()) == pytest.approx(0.3, abs=0.005)
    assert np.unique(mask.numpy()).tolist() == [0.0, np.float32(2**16 / (2**16 - round(0.7 * 2**16)))]
