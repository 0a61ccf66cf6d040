"""Attention by groups is attention within each sequence: against torch's own function on one sequence at a time."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from stableft.models.layers import DropoutStream
from stableft.models.packed_attention import (
    GROUP_COST,
    MAX_GROUP_SLOTS,
    MIN_SLOTS,
    first_token_attention,
    layout,
    length_groups,
    packed_attention,
)

LENGTHS = st.lists(st.integers(1, 24), min_size=1, max_size=8)
# At a small cost per group sequences split up, at a large one they share padded slots.
GROUP_COSTS = [0, 30, 10**6]


@pytest.fixture(params=GROUP_COSTS)
def group_cost(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(length_groups, "__defaults__", (request.param,))
    return request.param


def rows(total: int, heads: int = 2, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of head size 4."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, heads, total, 4, generator=generator).to(dtype).requires_grad_() for _ in range(3))
    return query, key, value


def attend(query: Tensor, key: Tensor, value: Tensor, lengths: list[int], **settings: Any) -> Tensor:
    plan = layout(lengths, stream=settings.pop("stream", None))
    return packed_attention(nn.Identity(), query, key, value, None, packed=plan, **settings)[0]


def alone(query: Tensor, key: Tensor, value: Tensor, lengths: list[int], scale: float | None = None) -> Tensor:
    parts = zip(*(x.split(lengths, dim=2) for x in (query, key, value)), strict=True)
    return torch.cat([nn.functional.scaled_dot_product_attention(*part, scale=scale) for part in parts], dim=2).transpose(1, 2)


# --- the same numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [[5, 17, 9, 30], [8, 8, 8], [23], [1, 40, 2, 3, 12]], ids=str)
def test_values_and_gradients_are_those_of_each_sequence_alone(lengths: list[int], group_cost: int) -> None:
    total = sum(lengths)
    weight = torch.randn(1, total, 2, 4, generator=torch.Generator().manual_seed(1))
    outcomes = []
    for function in (attend, alone):
        inputs = rows(total)
        mixed = function(*inputs, lengths)
        (mixed * weight).sum().backward()
        outcomes.append([mixed, *(x.grad for x in inputs)])
    for ours, theirs in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize("first_only", [False, True])
def test_so_they_are_where_groups_are_cut(first_only: bool) -> None:
    lengths = [20] * 30 + [25] * 10
    plan = layout(lengths)
    assert len(plan.groups) >= 3  # 600 + 250 slots, at most 512 at a time
    heads, size = 2, 4
    weight = torch.randn(1, len(lengths) if first_only else sum(lengths), heads, size, generator=torch.Generator().manual_seed(1))

    def ours(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if not first_only:
            return attend(query, key, value, lengths)
        first = first_token_attention(query[:, :, plan.starts], key, value, dropout=0.0, packed=plan)
        return first.unflatten(-1, (heads, size))

    def theirs(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        mixed = alone(query, key, value, lengths)
        return mixed[:, plan.starts] if first_only else mixed

    outcomes = []
    for function in (ours, theirs):
        inputs = rows(sum(lengths))
        mixed = function(*inputs)
        (mixed * weight).sum().backward()
        outcomes.append([mixed, *(x.grad for x in inputs)])
    for one, other in zip(*outcomes, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=2e-6)


@pytest.mark.parametrize("first_only", [False, True])
def test_gradients_with_dropout_are_the_slopes(first_only: bool, group_cost: int) -> None:
    """In float64, with the same masks at every evaluation."""
    lengths = [3, 5, 2]
    plan = layout(lengths)

    def function(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        drawn = layout(lengths, stream=DropoutStream(3))
        if first_only:
            return first_token_attention(query[:, :, plan.starts], key, value, dropout=0.4, packed=drawn)
        return packed_attention(nn.Identity(), query, key, value, None, dropout=0.4, packed=drawn)[0]

    # Weights are kept in float32, so slopes agree to its precision only.
    inputs = rows(10, dtype=torch.float64)
    mixed = function(*inputs)
    weight = torch.randn(mixed.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (mixed * weight).sum().backward()
    for x in inputs:
        assert x.grad is not None
        for place in [(0, 0, 0, 0), (0, 1, 4, 2), (0, 0, 9, 3)]:
            step, moved = 1e-2, []
            for sign in (1, -1):
                with torch.no_grad():
                    x[place] += sign * step
                    moved.append(float((function(*inputs) * weight).sum()))
                    x[place] -= sign * step
            assert float(x.grad[place]) == pytest.approx((moved[0] - moved[1]) / (2 * step), abs=2e-3)


def test_one_head_by_hand() -> None:
    """softmax(q k / 2) v within each sequence, written out."""
    query, key, value = (x.detach() for x in rows(5, heads=1))
    mixed = attend(query, key, value, [2, 3], scaling=0.5)
    assert mixed.shape == (1, 5, 1, 4)
    for t, sequence in enumerate([(0, 1), (0, 1), (2, 3, 4), (2, 3, 4), (2, 3, 4)]):
        exponentials = [float(torch.exp(query[0, 0, t] @ key[0, 0, s] * 0.5)) for s in sequence]
        mean = sum(e * value[0, 0, s] for e, s in zip(exponentials, sequence, strict=True)) / sum(exponentials)  # type: ignore[operator]
        torch.testing.assert_close(mixed[0, t, 0], mean)


@given(LENGTHS)
def test_the_first_tokens_attention_is_a_part_of_the_whole(lengths: list[int]) -> None:
    query, key, value = (x.detach() for x in rows(sum(lengths)))
    plan = layout(lengths)
    whole, _ = packed_attention(nn.Identity(), query, key, value, None, packed=plan)
    first = first_token_attention(query[:, :, plan.starts], key, value, dropout=0.0, packed=plan)
    torch.testing.assert_close(first, whole[:, plan.starts].flatten(2), rtol=0, atol=1e-6)


def test_in_bf16_the_weights_stay_float32() -> None:
    lengths = [4, 9]
    exact = alone(*rows(13), lengths)
    half = attend(*rows(13, dtype=torch.bfloat16), lengths, stream=DropoutStream(0))
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), exact, rtol=0, atol=0.03)


# --- dropout -------------------------------------------------------------------------------------------------------------------


def test_dropout_on_the_weights_leaves_the_mean_as_it_is() -> None:
    query, key, value = (x.detach() for x in rows(9))
    expected = attend(query, key, value, [3, 6], scaling=0.5)
    stream = DropoutStream(0)
    draws = torch.stack([attend(query, key, value, [3, 6], scaling=0.5, dropout=0.3, stream=stream) for _ in range(2000)])
    error = draws.std(0) / 2000**0.5
    assert draws.std(0).max() > 0.1
    assert ((draws.mean(0) - expected).abs() <= 5 * error).all()


def test_without_a_stream_torchs_generator_decides() -> None:
    query, key, value = (x.detach() for x in rows(9))
    draws = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        draws.append(attend(query, key, value, [3, 6], dropout=0.5))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_evaluation_draws_nothing() -> None:
    query, key, value = (x.detach() for x in rows(9))
    stream = DropoutStream(0)
    attend(query, key, value, [3, 6], stream=stream)
    assert torch.equal(stream.mask((8,), 0.5), DropoutStream(0).mask((8,), 0.5))


# --- layout --------------------------------------------------------------------------------------------------------------------


@given(LENGTHS, st.sampled_from(GROUP_COSTS))
def test_every_token_is_in_one_slot(lengths: list[int], cost: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(length_groups, "__defaults__", (cost,))
        plan = layout(lengths)
    assert plan.positions.tolist() == [i for n in lengths for i in range(n)]
    assert plan.starts.tolist() == [0, *itertools.accumulate(lengths)][:-1]
    assert sorted(torch.cat([group.own_tokens for group in plan.groups]).tolist()) == list(range(sum(lengths)))
    assert sorted(torch.cat([group.members for group in plan.groups]).tolist()) == list(range(len(lengths)))
    for group in plan.groups:
        own = np.array(lengths)[group.members.numpy()]
        slots = max(MIN_SLOTS, own.max())
        assert group.tokens.shape == (group.count * slots,)
        if set(own.tolist()) == {slots}:
            assert group.mask is None
            assert group.real is None
            assert group.unreal is None
        else:
            assert group.mask is not None
            assert group.real is not None
            assert group.unreal is not None
            assert (group.mask[:, 0, 0] == 0).sum(dim=1).tolist() == own.tolist()
            assert sorted([*group.real.tolist(), *group.unreal.tolist()]) == list(range(len(group.tokens)))


@given(st.lists(st.integers(12, 22), min_size=1, max_size=7), st.integers(0, 900))
def test_groups_cost_the_least(lengths: list[int], cost: int) -> None:
    """Against every way to cut the sorted lengths."""

    def total(groups: list[Any]) -> float:
        return sum(len(group) * max(MIN_SLOTS, *group) ** 2 + cost for group in groups)

    ordered = sorted(lengths)
    every = [
        [ordered[a:b] for a, b in itertools.pairwise([0, *cuts, len(ordered)])]
        for k in range(len(ordered))
        for cuts in itertools.combinations(range(1, len(ordered)), k)
    ]
    groups = length_groups(np.array(lengths), cost)
    assert sorted(np.concatenate(groups).tolist()) == list(range(len(lengths)))
    assert total([np.array(lengths)[group].tolist() for group in groups]) == min(map(total, every))


def test_groups_at_the_extremes() -> None:
    lengths = np.array([23, 23, 50, 24, 50, 70])
    assert len(length_groups(lengths, 0)) == len(set(lengths.tolist()))
    assert len(length_groups(np.array([1, 9, 16, 3]), 0)) == 1, "all take the least number of slots"
    assert len(length_groups(lengths, 10**9)) == 1
    assert 1 < len(length_groups(lengths, GROUP_COST)) < 4


def test_large_groups_are_cut_into_equal_parts() -> None:
    lengths = np.full(70, 20)
    groups = length_groups(lengths)
    assert [len(group) for group in groups] == [24, 23, 23]
    assert max(map(len, groups)) * 20 <= MAX_GROUP_SLOTS
    assert sorted(np.concatenate(groups).tolist()) == list(range(70))
    assert [len(group) for group in length_groups(np.full(2, MAX_GROUP_SLOTS + 1))] == [1, 1]
