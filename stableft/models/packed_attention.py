"""Packed attention: within each sequence of a packed row, with sequences grouped by length.

transformers lets a model use a registered attention function, so a packed batch runs through the
library's own modules, and every linear layer sees real tokens only. This module splits the row of
tokens into groups of sequences. The groups keep both the padding and the number of kernel calls
small.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stableft.models.layers import DropoutStream

PACKED_ATTENTION = "stableft_packed"
# A further group costs about as much as this many attention scores per head (kernel calls against
# passes over the scores).
GROUP_COST = 4096
# torch's softmax over less than a vector register of values is scalar: nine times the cost per value.
MIN_SLOTS = 16
# Larger groups are cut, so that their tensors stay in the processor's cache between passes.
MAX_GROUP_SLOTS = 512


@dataclass(frozen=True)
class Group:
    """n sequences, unfolded into (n, L) slots; L is their greatest length, at least `MIN_SLOTS`.

    Attributes:
        count: n.
        tokens: (n x L,) token of each slot; slots beyond a sequence's end repeat its first token.
        members: (n,) indices of the sequences in the batch.
        real, unreal: Slots with a token of their own, and the others; None if all are real.
        mask: (n, 1, 1, L) added to the scores: 0, or -inf for slots beyond the end; None if there are
            none.
    """

    count: int
    tokens: Tensor
    members: Tensor
    real: Tensor | None
    unreal: Tensor | None
    mask: Tensor | None

    @cached_property
    def own_tokens(self) -> Tensor:
        """(t,) tokens of the real slots: each token of the group once."""
        return self.tokens if self.real is None else self.tokens[self.real]


@dataclass(frozen=True)
class Layout:
    """The places of the sequences in a packed row, as a function of their lengths alone.

    Attributes:
        positions: (T,) place of each token within its sequence.
        starts: (B,) first token of each sequence.
        groups: Every sequence is in exactly one.
        stream: The source of dropout on the attention weights; None: torch's generator.
    """

    positions: Tensor
    starts: Tensor
    groups: tuple[Group, ...]
    stream: DropoutStream | None

    def mask(self, shape: torch.Size, dropout: float) -> Tensor | None:
        """Returns a dropout mask on attention weights, or None if nothing is dropped."""
        if dropout == 0:
            return None
        if self.stream is None:
            return torch.empty(shape, device=self.starts.device).bernoulli_(1 - dropout).div_(1 - dropout)
        return self.stream.mask(shape, dropout)


def layout(lengths: Sequence[int], device: str | torch.device = "cpu", stream: DropoutStream | None = None) -> Layout:
    """Returns the layout of a packed row with these lengths, each >= 1."""
    length = np.asarray(lengths)
    starts = np.cumsum(length) - length
    positions = np.arange(length.sum()) - np.repeat(starts, length)
    groups = tuple(_group(length, starts, members, device) for members in length_groups(length))
    return Layout(torch.from_numpy(positions).to(device), torch.from_numpy(starts).to(device), groups, stream)


def _group(length: np.ndarray, starts: np.ndarray, members: np.ndarray, device: str | torch.device) -> Group:
    own, first = length[members], starts[members]
    slots = np.arange(max(MIN_SLOTS, own.max()))
    real = slots < own[:, None]
    tokens = np.where(real, first[:, None] + slots, first[:, None]).ravel()
    padded = not real.all()
    mask = np.where(real, np.float32(0), np.float32("-inf"))[:, None, None, :]

    def there(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(device)

    return Group(
        count=len(members),
        tokens=there(tokens),
        members=there(members),
        real=there(np.flatnonzero(real)) if padded else None,
        unreal=there(np.flatnonzero(~real)) if padded else None,
        mask=there(mask) if padded else None,
    )


def length_groups(lengths: np.ndarray, group_cost: int = GROUP_COST) -> list[np.ndarray]:
    """Splits sequences into groups of neighbouring length with the least total cost.

    The cost of a group is the number of its attention scores per head, n L^2, plus ``group_cost``. The
    minimum is exact, by dynamic programming over the distinct lengths. Afterwards groups of more than
    `MAX_GROUP_SLOTS` slots are cut into parts as equal as possible.

    Args:
        lengths: (B,), each >= 1.
        group_cost: Cost of one more group.

    Returns:
        Indices of each group, ascending in length.
    """
    # best[i]: least cost of the i smallest distinct lengths; cut[i]: start of the last group there.
    order = np.argsort(lengths, kind="stable")
    distinct, counts = np.unique(lengths, return_counts=True)
    slots = np.maximum(distinct, MIN_SLOTS)
    ends = np.cumsum(counts)
    best = np.zeros(len(distinct) + 1)
    cut = np.zeros(len(distinct) + 1, int)
    before = np.concatenate([[0], ends])
    for last in range(1, len(distinct) + 1):
        costs = best[:last] + (ends[last - 1] - before[:last]) * slots[last - 1] ** 2 + group_cost
        cut[last] = int(np.argmin(costs))
        best[last] = costs[cut[last]]

    # Follow the cuts from the longest sequences down, and cut groups that are too large.
    groups: list[np.ndarray] = []
    last = len(distinct)
    while last:
        members = order[before[cut[last]] : before[last]]
        parts = -(-len(members) // max(1, MAX_GROUP_SLOTS // int(slots[last - 1])))
        groups += np.array_split(members, parts)[::-1]
        last = cut[last]
    return groups[::-1]


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    dropout: float = 0.0,
    scaling: float | None = None,
    packed: Layout,
    **_: Any,
) -> tuple[Tensor, None]:
    """Computes scaled dot-product attention within each sequence of a packed row.

    Implements transformers' attention interface.

    Args:
        module: The attention module; unused.
        query, key, value: (1, heads, T, head size).
        attention_mask: Unused: the layout knows the sequences.
        dropout: Probability on the attention weights; 0 outside training.
        scaling: Factor on the scores; None: 1 / sqrt(head size).
        packed: The batch's layout.

    Returns:
        (1, T, heads, head size), and None for the weights.
    """
    return _attend(query, key, value, packed, dropout, scaling, first_only=False)[None], None


def first_token_attention(
    query: Tensor, key: Tensor, value: Tensor, *, dropout: float, packed: Layout, scaling: float | None = None
) -> Tensor:
    """Computes the same attention for the first token of each sequence alone.

    Args:
        query: (1, heads, B, head size), of the first tokens.
        key, value: (1, heads, T, head size).
        dropout: Probability on the attention weights.
        packed: The batch's layout.
        scaling: Factor on the scores; None: 1 / sqrt(head size).

    Returns:
        (1, B, heads x head size).
    """
    return _attend(query, key, value, packed, dropout, scaling, first_only=True).flatten(1)[None]


def _attend(
    query: Tensor, key: Tensor, value: Tensor, packed: Layout, dropout: float, scaling: float | None, *, first_only: bool
) -> Tensor:
    """Maps (1, heads, T or B, size), and keys and values (1, heads, T, size), to (T or B, heads, size)."""
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    rows = [x[0].transpose(0, 1) for x in (query, key, value)]
    return _GroupedAttention.apply(*rows, packed, dropout, scale, first_only)  # pyright: ignore[reportReturnType]


class _GroupedAttention(torch.autograd.Function):
    """Attention, group by group, with a backward pass of its own.

    Each row is written once here; autograd's backward pass of a gather adds up rows instead. Weights
    are float32 for inputs of any type; products are of the inputs' type.
    """

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, packed: Layout, dropout: float, scale: float, first_only: bool
    ) -> Tensor:
        mixed = torch.empty_like(query)
        saved: list[Tensor | None] = []
        with torch.autocast(query.device.type, enabled=False):
            for group in packed.groups:
                q = _unfold(query, group.members if first_only else group.tokens, group.count)
                k, v = (_unfold(x, group.tokens, group.count) for x in (key, value))
                scores = torch.bmm(q, k.transpose(1, 2)).float().mul_(scale)
                if group.mask is not None:
                    scores.unflatten(0, (group.count, -1)).add_(group.mask)
                weights = scores.softmax(-1)
                mask = packed.mask(weights.shape, dropout)
                _fold(mixed, torch.bmm(_times(weights, mask).to(v.dtype), v), group, first_only)
                saved += [q, k, v, weights, mask]
        ctx.save_for_backward(*saved)
        ctx.settings = packed, scale, first_only
        return mixed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        packed, scale, first_only = ctx.settings
        tokens = len(packed.positions)
        d_query, d_key, d_value = (grad.new_empty(n, *grad.shape[1:]) for n in (len(grad), tokens, tokens))
        for i, group in enumerate(packed.groups):
            q, k, v, weights, mask = ctx.saved_tensors[5 * i : 5 * i + 5]
            g = _unfold(grad, group.members if first_only else group.tokens, group.count, None if first_only else group.unreal)
            d_weights = _times(torch.bmm(g, v.transpose(1, 2)).float(), mask)
            d_scores = torch.ops.aten._softmax_backward_data(d_weights, weights, -1, weights.dtype).mul_(scale).to(q.dtype)
            _fold(d_query, torch.bmm(d_scores, k), group, first_only)
            _fold(d_key, torch.bmm(d_scores.transpose(1, 2), q), group)
            _fold(d_value, torch.bmm(_times(weights, mask).to(g.dtype).transpose(1, 2), g), group)
        return d_query, d_key, d_value, None, None, None, None


def _times(values: Tensor, mask: Tensor | None) -> Tensor:
    return values if mask is None else values * mask


def _unfold(rows: Tensor, index: Tensor, count: int, zero: Tensor | None = None) -> Tensor:
    """Unfolds rows (N, heads, size) to (count x heads, slots, size), with zeros in the slots ``zero``."""
    chosen = rows.index_select(0, index)
    if zero is not None:
        chosen.index_fill_(0, zero, 0)
    return chosen.unflatten(0, (count, -1)).transpose(1, 2).flatten(0, 1)


def _fold(rows: Tensor, values: Tensor, group: Group, first_only: bool = False) -> None:
    """Writes (count x heads, slots, size) back into the rows of the group's own slots."""
    flat = values.unflatten(0, (group.count, -1)).transpose(1, 2).flatten(0, 1)
    if first_only:
        rows.index_copy_(0, group.members, flat)
    else:
        rows.index_copy_(0, group.own_tokens, flat if group.real is None else flat.index_select(0, group.real))
