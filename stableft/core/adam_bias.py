"""Adam's bias correction: its effect on the size of an update, in closed form.

Kingma & Ba (2015), Algorithm 1; plotted by Zhang et al. (2021), Figure 1. The ratio depends on the
step alone, on no data.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

POINTS_PER_DECADE = 12


def metered_steps(num_steps: int) -> NDArray[np.int64]:
    """Returns the steps at which updates are measured: 12 per decade from step 1 on, and the last.

    Measuring at every step would cost a sixth of a step of MiniLM on 200 tokens, and the ratio changes
    slowly.

    Args:
        num_steps: Steps of the run, >= 1.
    """
    exponents = np.arange(np.ceil(np.log10(num_steps) * POINTS_PER_DECADE) + 1)
    steps = np.rint(10 ** (exponents / POINTS_PER_DECADE)).astype(np.int64)
    return np.union1d(steps[steps < num_steps], [num_steps])


def bias_ratio(step: ArrayLike, beta1: float = 0.9, beta2: float = 0.999) -> NDArray[np.float64]:
    """Returns the factor by which an uncorrected Adam update is too large, b(t).

    b(t) = (1 - beta1^t) / sqrt(1 - beta2^t). Epsilon is ignored. With the default betas b(1) = 3.16,
    the maximum 6.57 is at t = 12, and b(t) -> 1. The text of Zhang et al. calls it the ratio of the two
    moment estimates; the plotted curve is this one.

    Args:
        step: Optimizer steps t, 1-based, any shape.
        beta1: Decay of the first moment, in [0, 1).
        beta2: Decay of the second moment, in [0, 1).

    Returns:
        float64, the shape of ``step``.

    Raises:
        ValueError: a step below 1, or a beta out of range.
    """
    t = np.asarray(step, dtype=np.float64)
    if np.any(t < 1):
        raise ValueError("bias_ratio: steps are counted from 1")
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1):
        raise ValueError(f"bias_ratio: betas must lie in [0, 1), got {beta1}, {beta2}")
    # expm1 keeps the digits that 1 - beta**t loses while beta**t is near 1.
    first, second = (-np.expm1(t * np.log(beta)) if beta > 0 else np.ones_like(t) for beta in (beta1, beta2))
    return first / np.sqrt(second)
