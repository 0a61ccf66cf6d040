"""The CRF against enumeration of all tag sequences, the BiLSTM against torch's own on one sentence at a time."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from stableft.models.heads import BiLSTMCRF, LinearChainCRF

Lengths = st.lists(st.integers(1, 5), min_size=1, max_size=4)


def random_crf(num_tags: int, seed: int) -> tuple[LinearChainCRF, torch.Generator]:
    rng = torch.Generator().manual_seed(seed)
    crf = LinearChainCRF(num_tags)
    with torch.no_grad():
        for parameter in crf.parameters():
            parameter.normal_(0, 2, generator=rng)
    return crf, rng


def padded(lengths: list[int], num_tags: int, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Emissions with noise beyond the ends too, which nothing may read, and the mask."""
    emissions = 2 * torch.randn(len(lengths), max(lengths), num_tags, generator=rng)
    return emissions, torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]


def score_of(crf: LinearChainCRF, emissions: Tensor, path: tuple[int, ...]) -> float:
    """By the definition, in Python's floats, from one sentence's emissions (n, K)."""
    start, end, transitions = crf.start.tolist(), crf.end.tolist(), crf.transitions.tolist()
    total = start[path[0]] + end[path[-1]] + sum(emissions[t, tag].item() for t, tag in enumerate(path))
    return total + sum(transitions[one][two] for one, two in itertools.pairwise(path))


def all_scores(crf: LinearChainCRF, emissions: Tensor) -> dict[tuple[int, ...], float]:
    n, num_tags = emissions.shape
    return {path: score_of(crf, emissions, path) for path in itertools.product(range(num_tags), repeat=n)}


@settings(max_examples=40, deadline=None)
@given(Lengths, st.integers(2, 4), st.integers(0, 10_000))
def test_partition_score_and_best_path_are_those_of_all_paths(lengths: list[int], num_tags: int, seed: int) -> None:
    crf, rng = random_crf(num_tags, seed)
    emissions, mask = padded(lengths, num_tags, rng)
    tags = torch.randint(0, num_tags, mask.shape, generator=rng)
    partition, scores, decoded = crf.log_partition(emissions, mask), crf.score(emissions, tags, mask), crf.decode(emissions, mask)
    for i, n in enumerate(lengths):
        every = all_scores(crf, emissions[i, :n])
        top = max(every.values())
        assert partition[i].item() == pytest.approx(top + math.log(sum(math.exp(s - top) for s in every.values())), abs=1e-4)
        assert scores[i].item() == pytest.approx(every[tuple(tags[i, :n].tolist())], abs=1e-4)
        assert every[tuple(decoded[i, :n].tolist())] == pytest.approx(top, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(Lengths, st.integers(2, 3), st.integers(0, 10_000))
def test_gradients_of_the_partition_are_the_marginals(lengths: list[int], num_tags: int, seed: int) -> None:
    crf, rng = random_crf(num_tags, seed)
    emissions, mask = padded(lengths, num_tags, rng)
    emissions.requires_grad_()
    inputs = (emissions, crf.start, crf.end, crf.transitions)
    gradients = torch.autograd.grad(crf.log_partition(emissions, mask).sum(), inputs, materialize_grads=True)
    emitted = torch.zeros_like(emissions)
    start, end, followed = (torch.zeros_like(p) for p in (crf.start, crf.end, crf.transitions))
    for i, n in enumerate(lengths):
        every = all_scores(crf, emissions[i, :n].detach())
        top = max(every.values())
        whole = sum(math.exp(s - top) for s in every.values())
        for path, score in every.items():
            p = math.exp(score - top) / whole
            start[path[0]] += p
            end[path[-1]] += p
            for t, tag in enumerate(path):
                emitted[i, t, tag] += p
            for one, two in itertools.pairwise(path):
                followed[one, two] += p
    for gradient, expected in zip(gradients, (emitted, start, end, followed), strict=True):
        torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-4)


def test_large_scores_overflow_nowhere() -> None:
    crf, rng = random_crf(3, 0)
    emissions, mask = padded([40], 3, rng)
    emissions = (1000 * emissions).requires_grad_()
    partition = crf.log_partition(emissions, mask)
    best = crf.score(emissions, crf.decode(emissions, mask), mask)
    partition.sum().backward()
    assert emissions.grad is not None
    assert torch.isfinite(emissions.grad).all()
    torch.testing.assert_close(partition, best)


# --- the head ------------------------------------------------------------------------------------------------------------------


LENGTHS = [5, 1, 9, 3]


@pytest.fixture
def head() -> BiLSTMCRF:
    made = BiLSTMCRF(6, 3, units=4)
    made.draw(torch.Generator().manual_seed(3))
    return made


def words(seed: int = 0) -> Tensor:
    return torch.randn(sum(LENGTHS), 6, generator=torch.Generator().manual_seed(seed))


def one_at_a_time(head: BiLSTMCRF, states: Tensor) -> Tensor:
    """Through one bidirectional LSTM of torch's with the same weights."""
    both = nn.LSTM(6, 4, bidirectional=True)
    named: dict[str, Tensor] = dict(head.forwards.named_parameters())
    named |= {f"{name}_reverse": p for name, p in head.backwards.named_parameters()}
    assert dict(both.named_parameters()).keys() == named.keys()
    return torch.cat(
        [head.output(torch.func.functional_call(both, named, (sentence[:, None],))[0][:, 0]) for sentence in states.split(LENGTHS)]
    )


def test_emissions_and_their_gradients_are_those_of_a_bidirectional_lstm(head: BiLSTMCRF) -> None:
    weights = words(1)[:, :3]
    results: list[tuple[Tensor, list[Tensor | None]]] = []
    for emit in (lambda x: head(x, LENGTHS), lambda x: one_at_a_time(head, x)):
        head.zero_grad()
        states = words().requires_grad_()
        emissions = emit(states)
        (emissions * weights).sum().backward()
        results.append((emissions, [states.grad, *(p.grad for name, p in head.named_parameters() if not name.startswith("crf"))]))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=1e-6)
    for ours, theirs in zip(results[0][1], results[1][1], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_losses_and_tags_are_the_crfs_on_each_sentence(head: BiLSTMCRF) -> None:
    emissions = head(words(), LENGTHS).detach()
    tags = torch.randint(0, 3, (sum(LENGTHS),), generator=torch.Generator().manual_seed(1))
    losses, best = head.losses(emissions, tags, LENGTHS), head.decode(emissions, LENGTHS)
    assert losses.shape == (4,)
    assert (losses > 0).all()
    pieces = zip(emissions.split(LENGTHS), tags.split(LENGTHS), best.split(LENGTHS), losses, strict=True)
    for rows, wanted, decoded, loss in pieces:
        every = torch.ones(1, len(rows), dtype=torch.bool)
        likelihood = head.crf.score(rows[None], wanted[None], every) - head.crf.log_partition(rows[None], every)
        assert loss.item() == pytest.approx(-likelihood.item(), abs=1e-5)
        assert torch.equal(decoded, head.crf.decode(rows[None], every)[0])


def test_it_is_drawn_from_the_given_generator_alone() -> None:
    states: list[dict[str, Tensor]] = []
    for seed, elsewhere in ((1, 5), (1, 6), (2, 5)):
        torch.manual_seed(elsewhere)
        drawn = BiLSTMCRF(6, 3, units=64)
        drawn.draw(torch.Generator().manual_seed(seed))
        states.append(drawn.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not any(torch.equal(states[0][name], states[2][name]) for name in states[0])
    bounds = {"forwards": 64**-0.5, "backwards": 64**-0.5, "output": 128**-0.5, "crf": 0.1}
    for name, value in states[0].items():
        bound = bounds[name.partition(".")[0]]
        assert float(value.abs().max()) <= bound, name
        if value.numel() > 50:
            assert float(value.std()) == pytest.approx(bound / 3**0.5, rel=0.1), name


def test_the_same_bits_twice(head: BiLSTMCRF) -> None:
    def gradients() -> list[Tensor | None]:
        head.zero_grad()
        head.losses(head(words(), LENGTHS), torch.arange(sum(LENGTHS)) % 3, LENGTHS).mean().backward()
        return [p.grad for p in head.parameters()]

    assert all(
        one is not None and two is not None and torch.equal(one, two) for one, two in zip(gradients(), gradients(), strict=True)
    )
