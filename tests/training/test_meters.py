"""Norms of parts of a model against norms written out."""

import numpy as np
import pytest
import torch
from torch import nn

from stableft.models.encoders import Encoder
from stableft.models.model import ParamPlace
from stableft.models.tokens import Data
from stableft.techniques.reinit import Reinit
from stableft.training.evaluation import MetricRow
from stableft.training.loop import train
from stableft.training.meters import BlockMeter, scope_of
from stableft.training.runtime import Runtime
from stableft.training.setup import build
from tests.conftest import ConfigFactory

PARTS = ["embeddings", "layer.01", "layer.02", "pooler", "head"]


def parts() -> list[tuple[ParamPlace, list[nn.Parameter]]]:
    """Two groups of one block, which are one part, and a head, given in another order than they stand in the model."""
    shapes = {("head", 3): (2, 3), ("encoder", 1): (4,), ("embeddings", 0): (5, 2)}
    torch.manual_seed(0)
    groups = [(ParamPlace(role, depth, True), [nn.Parameter(torch.randn(shape))]) for (role, depth), shape in shapes.items()]  # type: ignore[arg-type]
    return [*groups, (ParamPlace("encoder", 1, False), [nn.Parameter(torch.randn(3, 3))])]


def test_a_part_is_one_vector_whatever_groups_it_is_in() -> None:
    groups = parts()
    meter = BlockMeter(groups)
    before = {place: params[0].detach().clone() for place, params in groups}
    with torch.no_grad():
        for place, (p,) in groups:
            p.add_(place.depth + 1.0)
            p.grad = torch.full_like(p, 2.0)
    block = torch.cat([(params[0] - before[place]).flatten() for place, params in groups if place.role == "encoder"]).detach()
    assert meter.distances() == pytest.approx({"embeddings": 10**0.5, "layer.01": float(block.norm()), "head": 4 * 6**0.5})
    assert meter.gradient_norms() == pytest.approx({"embeddings": 2 * 10**0.5, "layer.01": 2 * 13**0.5, "head": 2 * 6**0.5})
    assert list(meter.distances()) == ["embeddings", "layer.01", "head"]  # from the bottom up


def test_a_part_without_gradient_has_norm_zero() -> None:
    groups = parts()
    assert set(BlockMeter(groups).gradient_norms().values()) == {0.0}


def test_scopes_sort_from_the_bottom_up_with_ten_blocks_and_more() -> None:
    places = [ParamPlace("encoder", depth, True) for depth in (24, 9, 10)]
    meter = BlockMeter((place, [nn.Parameter(torch.ones(1))]) for place in places)
    assert list(meter.distances()) == ["layer.09", "layer.10", "layer.24"] == sorted(map(scope_of, places))


def test_a_run_logs_every_ten_steps_and_the_last(tiny_encoder: Encoder, toy_data: Data, toy_config: ConfigFactory) -> None:
    config = toy_config(techniques=(Reinit(pooler=True, num_layers=1),), max_grad_norm=None)
    setup = build(config, toy_data, tiny_encoder, Runtime())
    start = [p.detach().clone() for p in setup.model.parameters()]  # with the blocks that were drawn anew
    rows = [item for item in train(setup, toy_data, Runtime()) if isinstance(item, MetricRow)]
    for metric in ("distance", "block_grad_norm"):
        assert {row.step for row in rows if row.metric == metric} == {10, 20, 24}
        assert [row.scope for row in rows if row.metric == metric and row.step == 24] == PARTS
    moved = [float((p.detach() - s).norm()) for p, s in zip(setup.model.parameters(), start, strict=True)]
    assert np.linalg.norm([row.value for row in rows if row.metric == "distance" and row.step == 24]) == pytest.approx(
        np.linalg.norm(moved), rel=1e-5
    )
    total = next(row.value for row in rows if row.metric == "grad_norm" and row.step == 24)
    assert np.linalg.norm([row.value for row in rows if row.metric == "block_grad_norm" and row.step == 24]) == pytest.approx(
        total, rel=1e-5
    )
