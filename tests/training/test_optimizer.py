"""The optimizer against torch's own, against naive float64 implementations, and against numbers of the protocol."""

import copy
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from stableft.core.adam_bias import bias_ratio
from stableft.core.schedule import lr_factor
from stableft.training.meters import UpdateMeter
from stableft.training.optimizer import AdamW

Floats = NDArray[np.float64]
Kind = Literal["bert", "transformers 2"]

SETTINGS: list[dict[str, Any]] = [
    {"bias_correction": True, "eps_placement": "v_hat"},
    {"bias_correction": True, "eps_placement": "v"},
    {"bias_correction": False, "eps_placement": "v_hat"},
    {"bias_correction": False, "eps_placement": "v"},
]
SHAPES = [(20, 7), (33,), (4, 5, 6)]
DECAYS = [0.01, 0.0, 0.1]
SCALES = [1.0, 1e-3, 1e-6]  # of the gradients, one per tensor


def parameters(seed: int = 0, device: str = "cpu") -> list[nn.Parameter]:
    g = torch.Generator().manual_seed(seed)
    return [nn.Parameter((torch.randn(shape, generator=g) * 0.05).to(device)) for shape in SHAPES]


def gradients(steps: int, scales: Sequence[float] = SCALES, seed: int = 1) -> Iterator[list[torch.Tensor]]:
    """Noisy with a drift, so that first and second moment both matter."""
    g = torch.Generator().manual_seed(seed)
    drift = [torch.randn(shape, generator=g) for shape in SHAPES]
    for _ in range(steps):
        noise = [torch.randn(shape, generator=g) for shape in SHAPES]
        yield [(n + 0.2 * d) * scale for n, d, scale in zip(noise, drift, scales, strict=True)]


def grouped(params: list[nn.Parameter], lr_scales: Sequence[float] = (1.0, 1.0, 1.0)) -> list[dict[str, Any]]:
    return [
        {"params": [p], "weight_decay": decay, "lr_scale": lr_scale}
        for p, decay, lr_scale in zip(params, DECAYS, lr_scales, strict=True)
    ]


def run(
    optimizer: torch.optim.Optimizer,
    params: list[nn.Parameter],
    grads: Iterator[list[torch.Tensor]],
    rates: Sequence[float],
) -> Iterator[list[torch.Tensor]]:
    """Steps; after each one a copy of the parameters."""
    for rate, step_grads in zip(rates, grads, strict=True):
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        for p, grad in zip(params, step_grads, strict=True):
            p.grad = grad.to(p.device)
        optimizer.step()
        yield [p.detach().cpu().clone() for p in params]


def naive(kind: Kind, steps: int, rates: Sequence[float], eps: float) -> Iterator[list[Floats]]:
    """Adam in float64, written down from the sources. No correction: BertAdam. With: transformers 2.x ``correct_bias=True``."""
    params = [p.detach().numpy().astype(np.float64) for p in parameters()]
    first, second = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
    for t, (rate, grads) in enumerate(zip(rates, gradients(steps), strict=True), start=1):
        for i, grad in enumerate(grads):
            g = grad.numpy().astype(np.float64)
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            if kind == "bert":
                update = first[i] / (np.sqrt(second[i]) + eps) + DECAYS[i] * params[i]
                params[i] = params[i] - rate * update
            else:
                size = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
                params[i] = params[i] - size * first[i] / (np.sqrt(second[i]) + eps)
                params[i] = params[i] - rate * DECAYS[i] * params[i]
        yield [p.copy() for p in params]


def warm_up_and_decay(steps: int, peak: float) -> list[float]:
    return [peak * lr_factor(done, steps, steps // 10) for done in range(steps)]


def largest_gaps(ours: Iterator[list[torch.Tensor]], theirs: Iterator[list[Floats]]) -> Floats:
    """For each tensor the largest difference over all steps."""
    gaps = [[np.abs(a.numpy() - b).max() for a, b in zip(one, other, strict=True)] for one, other in zip(ours, theirs, strict=True)]
    return np.max(gaps, axis=0)


# --- against torch -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [1e-8, 1e-6])
def test_corrected_is_torch_bit_for_bit(eps: float) -> None:
    steps = 250
    rates = warm_up_and_decay(steps, 2e-3)
    assert rates[0] == 0
    lr_scales = (1.0, 0.3, 2.5)
    trajectories = []
    for ours in (False, True):
        params = parameters()
        groups = grouped(params, lr_scales)
        optimizer = AdamW(groups, lr=1.0, eps=eps) if ours else torch.optim.AdamW(groups, lr=1.0, eps=eps, fused=True)
        trajectories.append(run(optimizer, params, gradients(steps), rates))
    for step, both in enumerate(zip(*trajectories, strict=True)):
        assert all(torch.equal(a, b) for a, b in zip(*both, strict=True)), f"step {step + 1}"


# --- against float64 -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [1e-8, 1e-6])
@pytest.mark.parametrize("warm_up", [True, False])
def test_uncorrected_is_berts_optimizer(warm_up: bool, eps: float) -> None:
    # At a constant rate float32 rounds 1 - lr wd the same way at each step, which adds up: fewer steps there.
    steps = 1000 if warm_up else 300
    rates = warm_up_and_decay(steps, 5e-4) if warm_up else [2e-4] * steps
    gaps = {}
    for correction in (False, True):
        params = parameters()
        optimizer = AdamW(grouped(params), eps=eps, bias_correction=correction)
        gaps[correction] = largest_gaps(run(optimizer, params, gradients(steps), rates), naive("bert", steps, rates, eps))
    assert np.all(gaps[False] < 3e-6), gaps[False]
    assert np.all(gaps[True] > 3e-3), "the comparison could not tell the two arms apart"


@pytest.mark.parametrize("eps", [1e-8, 1e-6])
def test_eps_placement_v_is_transformers_2_with_correction(eps: float) -> None:
    steps = 600
    rates = warm_up_and_decay(steps, 5e-4)
    gaps = {}
    for placement in ("v", "v_hat"):
        params = parameters()
        optimizer = AdamW(grouped(params), eps=eps, eps_placement=placement)
        theirs = naive("transformers 2", steps, rates, eps)
        gaps[placement] = largest_gaps(run(optimizer, params, gradients(steps), rates), theirs)
    assert np.all(gaps["v"] < 3e-6), gaps["v"]
    # It matters where gradients are about as small as epsilon.
    assert gaps["v_hat"][2] > 1e-4


def test_the_first_uncorrected_step_is_too_large_by_b_of_1() -> None:
    p = nn.Parameter(torch.zeros(3, dtype=torch.float64))
    p.grad = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    AdamW([p], lr=1e-3, eps=1e-30, bias_correction=False).step()
    torch.testing.assert_close(p.detach(), -1e-3 * 0.1 / 0.001**0.5 * p.grad.sign(), rtol=1e-12, atol=0)


def test_without_correction_the_placement_of_eps_changes_nothing() -> None:
    rates = warm_up_and_decay(50, 1e-3)
    ends = []
    for placement in ("v_hat", "v"):
        params = parameters()
        optimizer = AdamW(grouped(params), eps=1e-6, bias_correction=False, eps_placement=placement)
        ends.append(list(run(optimizer, params, gradients(50), rates))[-1])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_a_corrected_run_with_the_bias_on_its_rate_is_an_uncorrected_run() -> None:
    """Protocol section 1.2: the missing correction is nothing but a learning rate b(t) times larger, epsilon aside."""
    rates = warm_up_and_decay(300, 1e-3)
    raised = [rate * float(bias_ratio(step)) for step, rate in enumerate(rates, start=1)]
    ends = []
    for correction, used in ((False, rates), (True, raised)):
        params = parameters()
        optimizer = AdamW(params, eps=1e-20, bias_correction=correction)
        ends.append(list(run(optimizer, params, gradients(300), used))[-1])
    for a, b in zip(*ends, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=3e-6)


# --- decay toward given weights ------------------------------------------------------------------------------------------------

ANCHOR_DECAY = 3.0


def anchored(params: list[nn.Parameter]) -> list[dict[str, Any]]:
    """The second tensor decays toward a value of its own, the others toward zero."""
    groups = grouped(params)
    groups[1] |= {"weight_decay": ANCHOR_DECAY, "decay_to": [torch.full_like(params[1], 0.5)]}
    return groups


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_decay_toward_given_weights_comes_before_the_step(setting: dict[str, Any]) -> None:
    """Against the same optimizer without that decay, whose parameter is pulled by hand (protocol section 2.4)."""
    steps = 120
    rates = warm_up_and_decay(steps, 2e-3)
    params, others = parameters(), parameters()
    ours = run(AdamW(anchored(params), eps=1e-6, **setting), params, gradients(steps), rates)
    plain = grouped(others)
    theirs = AdamW(plain, eps=1e-6, **setting)
    for step, (rate, grads, mine) in enumerate(zip(rates, gradients(steps), ours, strict=True)):
        with torch.no_grad():
            others[1].sub_(rate * ANCHOR_DECAY * (others[1] - 0.5))
        expected = next(run(theirs, others, iter([grads]), [rate]))
        for i in (0, 2):
            assert torch.equal(mine[i], expected[i]), step
        torch.testing.assert_close(mine[1], expected[1], rtol=0, atol=1e-6)
    assert params[1].mean() > parameters()[1].mean() + 0.05, "it was pulled"


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_meter_takes_decay_toward_given_weights_out(setting: dict[str, Any]) -> None:
    params, others = parameters(), parameters()
    measured = []
    for tensors, groups in ((params, anchored(params)), (others, grouped(others))):
        optimizer = AdamW(groups, lr=1e-3, eps=1e-12, **setting)
        meter, values = UpdateMeter(optimizer), []
        for t, grads in enumerate(gradients(150), start=1):
            for p, grad in zip(tensors, grads, strict=True):
                p.grad = grad
            meter.before()
            optimizer.step()
            values.append(meter.after())
            assert values[-1][1] == pytest.approx(1.0 if setting["bias_correction"] else float(bias_ratio(t)), rel=1e-4)
        measured.append(values)
    assert np.asarray(measured[0]) == pytest.approx(np.asarray(measured[1]), rel=1e-4), "gradients are the same, so are updates"


def test_weights_that_are_where_they_decay_to_stay_there_exactly() -> None:
    p = parameters()[0]
    start = p.detach().clone()
    optimizer = AdamW([{"params": [p], "weight_decay": 0.3, "decay_to": [start.clone()]}], lr=1e-2)
    for _ in range(20):
        p.grad = torch.zeros_like(p)
        optimizer.step()
    assert torch.equal(p.detach(), start)
    assert optimizer.param_groups[0]["weight_decay"] == 0.3


# --- state ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_a_saved_and_restored_run_continues_bit_for_bit(setting: dict[str, Any]) -> None:
    steps, half = 60, 25
    rates = warm_up_and_decay(steps, 1e-3)
    grads = list(gradients(steps))
    params = parameters()
    optimizer = AdamW(grouped(params), eps=1e-6, **setting)
    list(run(optimizer, params, iter(grads[:half]), rates[:half]))
    saved = io.BytesIO()
    torch.save({"optimizer": optimizer.state_dict(), "params": params}, saved)
    straight = list(run(optimizer, params, iter(grads[half:]), rates[half:]))[-1]

    saved.seek(0)
    loaded = torch.load(saved, weights_only=False)
    restored = AdamW(grouped(loaded["params"]), eps=1e-6, **setting)
    restored.load_state_dict(loaded["optimizer"])
    resumed = list(run(restored, loaded["params"], iter(grads[half:]), rates[half:]))[-1]
    assert all(torch.equal(a, b) for a, b in zip(straight, resumed, strict=True))


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_the_state_holds_the_true_step_count(setting: dict[str, Any]) -> None:
    params = parameters()
    optimizer = AdamW(grouped(params), **setting)
    for _ in run(optimizer, params, gradients(7), [1e-3] * 7):
        pass
    counts = [float(state["step"]) for state in optimizer.state_dict()["state"].values()]
    assert counts == [7.0] * len(params)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_parameters_without_gradient_are_untouched(setting: dict[str, Any]) -> None:
    frozen, used = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(5))
    optimizer = AdamW([{"params": [frozen, used]}], lr=1e-2, weight_decay=0.1, **setting)
    for _ in range(3):
        used.grad = torch.ones(5)
        optimizer.step()
    assert torch.equal(frozen.detach(), torch.ones(5))
    assert optimizer.state[frozen] == {}
    alone = nn.Parameter(torch.ones(5))
    other = AdamW([alone], lr=1e-2, weight_decay=0.1, **setting)
    for _ in range(3):
        alone.grad = torch.ones(5)
        other.step()
    assert torch.equal(used, alone)


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_lr_0_moves_nothing_but_the_moments(setting: dict[str, Any]) -> None:
    params = parameters()
    optimizer = AdamW(grouped(params), **setting)
    (after,) = run(optimizer, params, gradients(1), [0.0])
    assert all(torch.equal(a, b) for a, b in zip(after, parameters(), strict=True))
    assert all(float(optimizer.state[p]["exp_avg_sq"].sum()) > 0 for p in params)


def test_eps_is_restored_even_if_a_step_fails() -> None:
    params = parameters()
    optimizer = AdamW(grouped(params), eps=1e-6, eps_placement="v")
    list(run(optimizer, params, gradients(3), [1e-3] * 3))
    assert [group["eps"] for group in optimizer.param_groups] == [1e-6] * 3
    assert [group["weight_decay"] for group in optimizer.param_groups] == DECAYS

    def fail() -> float:
        raise FloatingPointError

    with pytest.raises(FloatingPointError):
        optimizer.step(fail)
    assert [group["eps"] for group in optimizer.param_groups] == [1e-6] * 3


def test_an_unknown_placement_is_refused() -> None:
    with pytest.raises(ValueError, match="'v_hat' or 'v', got 'hat'"):
        AdamW(parameters(), eps_placement="hat")


# --- schedule ------------------------------------------------------------------------------------------------------------------

# Protocol section 1.2: T, W, peak of factor x b(t), its step, mean of b weighted by the factor; computed independently.
INTERACTION = [
    ("1k subset", 96, 9, 6.53, 10, 5.29),
    ("RTE", 234, 23, 5.97, 24, 3.95),
    ("MRPC", 345, 34, 5.26, 35, 3.38),
    ("STS-B", 540, 54, 4.31, 55, 2.79),
    ("CoLA", 804, 80, 3.58, 81, 2.36),
    ("QNLI", 9822, 982, 1.26, 983, 1.10),
    ("MNLI", 36816, 3681, 1.01, 3682, 1.01),
]


@pytest.mark.parametrize(
    ("num_steps", "warmup", "peak", "at", "mean"), [row[1:] for row in INTERACTION], ids=[r[0] for r in INTERACTION]
)
def test_warm_up_meets_missing_correction(num_steps: int, warmup: int, peak: float, at: int, mean: float) -> None:
    factor = np.array([lr_factor(done, num_steps, warmup) for done in range(num_steps)])
    ratio = bias_ratio(np.arange(1, num_steps + 1))
    effective = factor * ratio
    assert factor[0] == 0
    assert factor.argmax() == warmup
    assert factor[warmup] == 1
    assert effective.max() == pytest.approx(peak, abs=0.00501)
    assert effective.argmax() + 1 == at
    assert effective.sum() / factor.sum() == pytest.approx(mean, abs=0.006)  # QNLI: 1.0947, there rounded up


@pytest.mark.parametrize(("num_steps", "warmup"), [(234, 23), (24, 2), (10, 0), (5, 5), (1, 0), (7, 10)])
def test_the_schedule_is_that_of_transformers(num_steps: int, warmup: int) -> None:
    from transformers import get_linear_schedule_with_warmup

    optimizer = torch.optim.SGD(parameters(), lr=1.0)
    schedule = get_linear_schedule_with_warmup(optimizer, warmup, num_steps)
    theirs = []
    for _ in range(num_steps):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert [lr_factor(done, num_steps, warmup) for done in range(num_steps)] == pytest.approx(theirs, abs=1e-12)


def test_the_schedule_ends_at_0() -> None:
    assert lr_factor(234, 234, 23) == 0
    assert lr_factor(500, 234, 23) == 0
    assert lr_factor(233, 234, 23) > 0


# --- meter ---------------------------------------------------------------------------------------------------------------------


def norm(tensors: Sequence[Floats]) -> float:
    return float(np.sqrt(sum((x**2).sum() for x in tensors)))


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
@pytest.mark.parametrize("eps", [1e-8, 1e-4])
def test_the_meter_against_copies_and_moments_of_its_own(setting: dict[str, Any], eps: float) -> None:
    steps, rate = 120, 2e-3
    params = parameters()
    optimizer = AdamW(grouped(params, (1.0, 0.5, 2.0)), eps=eps, **setting)
    meter = UpdateMeter(optimizer)
    first, second = [np.zeros(shape) for shape in SHAPES], [np.zeros(shape) for shape in SHAPES]
    for t, grads in enumerate(gradients(steps, (1.0, 0.1, 0.01)), start=1):
        before = [p.detach().numpy().astype(np.float64) for p in params]
        for group, p, grad in zip(optimizer.param_groups, params, grads, strict=True):
            group["lr"] = rate * group["lr_scale"]
            p.grad = grad
        meter.before()
        optimizer.step()
        update_norm, ratio = meter.after()
        applied, corrected = [], []
        for i, group in enumerate(optimizer.param_groups):
            g = grads[i].numpy().astype(np.float64)
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g * g
            after = params[i].detach().numpy().astype(np.float64)
            applied.append(before[i] * (1 - group["lr"] * DECAYS[i]) - after)
            m_hat, v_hat = first[i] / (1 - 0.9**t), second[i] / (1 - 0.999**t)
            at_v = eps / np.sqrt(1 - 0.999**t)
            corrected.append(group["lr"] * m_hat / (np.sqrt(v_hat) + (at_v if setting["eps_placement"] == "v" else eps)))
        assert update_norm == pytest.approx(norm(applied), rel=1e-4)
        assert ratio == pytest.approx(norm(applied) / norm(corrected), rel=1e-4)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_ratio_is_1_with_correction_and_b_without(weight_decay: float) -> None:
    for correction in (True, False):
        params = parameters()
        optimizer = AdamW(params, lr=1e-3, eps=1e-12, weight_decay=weight_decay, bias_correction=correction)
        meter = UpdateMeter(optimizer)
        for t, grads in enumerate(gradients(150), start=1):
            for p, grad in zip(params, grads, strict=True):
                p.grad = grad
            meter.before()
            optimizer.step()
            _, ratio = meter.after()
            assert ratio == pytest.approx(1.0 if correction else float(bias_ratio(t)), rel=1e-4)


def test_the_meter_changes_nothing() -> None:
    trajectories = []
    for metered in (True, False):
        params = parameters()
        optimizer = AdamW(grouped(params), bias_correction=False)
        meter = UpdateMeter(optimizer)
        for grads in gradients(20):
            for p, grad in zip(params, grads, strict=True):
                p.grad = grad
            if metered:
                meter.before()
            optimizer.step()
            if metered:
                meter.after()
        trajectories.append(copy.deepcopy(params))
    assert all(torch.equal(a, b) for a, b in zip(*trajectories, strict=True))


def test_at_lr_0_there_is_no_ratio() -> None:
    params = parameters()
    optimizer = AdamW(params, lr=0.0)
    meter = UpdateMeter(optimizer)
    for p, grad in zip(params, next(gradients(1)), strict=True):
        p.grad = grad
    meter.before()
    optimizer.step()
    update_norm, ratio = meter.after()
    assert update_norm == 0
    assert np.isnan(ratio)


def test_the_meter_leaves_out_what_has_no_gradient() -> None:
    frozen, used = nn.Parameter(torch.ones(5)), nn.Parameter(torch.ones(5))
    optimizer = AdamW([frozen, used], lr=1e-2, eps=1e-12)
    meter = UpdateMeter(optimizer)
    used.grad = torch.full((5,), -3.0)
    meter.before()
    optimizer.step()
    assert meter.after() == (pytest.approx(1e-2 * 5**0.5, rel=1e-5), pytest.approx(1.0, rel=1e-5))


# --- accelerator ---------------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_the_same_on_an_accelerator() -> None:
    steps = 300
    rates = warm_up_and_decay(steps, 1e-3)

    def gpu_run(make: Callable[[list[nn.Parameter]], torch.optim.Optimizer]) -> Iterator[list[torch.Tensor]]:
        params = parameters(device="cuda")
        return run(make(params), params, gradients(steps), rates)

    ours = gpu_run(lambda params: AdamW(grouped(params), eps=1e-6))
    torchs = gpu_run(lambda params: torch.optim.AdamW(grouped(params), eps=1e-6, fused=True))
    for one, other in zip(ours, torchs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    uncorrected = gpu_run(lambda params: AdamW(grouped(params), eps=1e-6, bias_correction=False))
    assert np.all(largest_gaps(uncorrected, naive("bert", steps, rates, 1e-6)) < 3e-6)
    at_v = gpu_run(lambda params: AdamW(grouped(params), eps=1e-6, eps_placement="v"))
    assert np.all(largest_gaps(at_v, naive("transformers 2", steps, rates, 1e-6)) < 3e-6)
