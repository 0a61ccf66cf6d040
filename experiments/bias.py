"""How much too large are uncorrected updates, and does the closed form say it?

Question: leaving out the correction multiplies an update by b(t) = (1 - beta1^t) / sqrt(1 - beta2^t), whatever the data. Is that
what real steps show, and at which step does it stop to matter?

Source: Zhang et al. (2021), section 4, Figure 1; protocol section 1.1. The text there calls b(t) the ratio of the two moment
estimates and has nothing measured.

Prediction: the norm of an applied update over that of the corrected one is b(t): at most 6.57, at step 12, and 2 at step 288, so
that runs of a few hundred steps never leave it behind. It is a little less where gradients are so small that epsilon counts.

Found (laptop): as predicted. The greatest ratio of all runs is 6.56 on docs15 and 6.54 on docpair, at step 12; at the last steps,
189 and 96, it still is 2.37 and 3.21. It is never above the closed form, in the median 0.6 and 1.0 % below it, and at most 5 and
11 %, late in runs that have collapsed, where gradients are small. With correction it is 1 within 2e-5.

Cost: 12 runs, 3 minutes on 2 cores (sum of the runs' own times / 2), all of them adam's.

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
    return Grid("bias", protocol, ARMS, protocol.tasks, tuple(protocol.seeds)[:NUM_SEEDS])


REPORT = {
    "bias_magnitude": report.bias_magnitude(),
    "bias_table": report.bias_table(),
}
