"""How much too large are uncorrected updates, and does the closed form say it?

Question: leaving out the correction multiplies an update by b(t) = (1 - beta1^t) / sqrt(1 - beta2^t), whatever the data. Is that
what real steps show, and at which step does it stop to matter?

Source: Zhang et al. (2021), section 4, Figure 1; protocol section 1.1. The text there calls b(t) the ratio of the two moment
estimates and has nothing measured.

Prediction: the norm of an applied update over that of the corrected one is b(t): at most 6.57, at step 12, and 2 at step 288, so
that runs of a few hundred steps never leave it behind. It is a little less where gradients are so small that epsilon counts.

Found (laptop): PENDING

Cost: PENDING

The runs are adam's, three seeds of each.
"""

from stableft import report
from stableft.grid import Grid, Override, Protocol

NUM_SEEDS = 3

ARMS: dict[str, Override] = {
    "corrected": {"adam.bias_correction": True},
    "uncorrected": {"adam.bias_correction": False},
}


def grid(protocol: Protocol) -> Grid:
    """Both arms on every task of the protocol; the corrected one, whose ratio is 1, shows how exact the measurement is."""
    return Grid("bias", protocol, ARMS, tuple(protocol.configs), tuple(protocol.seeds)[:NUM_SEEDS])


REPORT = {
    "bias_magnitude": report.bias_magnitude(),
    "bias_table": report.bias_table(),
}
