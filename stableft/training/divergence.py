"""Divergence of two passes over one batch, for losses that compare them."""

from torch import Tensor, nn


def mean_kl(of: Tensor, to: Tensor) -> Tensor:
    """Returns the mean of KL(p || q) over examples or words, in float32.

    Args:
        of: Logits of p, (N, K).
        to: Logits of q, (N, K).
    """
    log_p, log_q = (nn.functional.log_softmax(logits.float(), dim=-1) for logits in (of, to))
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def mean_square(one: Tensor, other: Tensor) -> Tensor:
    """Returns the mean squared difference of outputs (N, 1), in float32."""
    return nn.functional.mse_loss(one.float(), other.float())
