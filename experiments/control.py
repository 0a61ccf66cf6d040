"""Is it the size of the first updates, and nothing else?

Question: what leaving out the correction changes can be written as a learning rate: b(t) times the scheduled one. If that is all,
uncorrected Adam with the learning rate divided by b(t) must behave as the corrected one, and corrected Adam with the learning rate
multiplied by b(t) must fail as the uncorrected one does.

Source: protocol section 1.2; implied by Zhang et al. (2021), section 4, and Mosbach et al. (2021), Equation 1, done by neither.

Prediction: both, up to epsilon: it is added to the corrected root here (1e-8 in both), and to the raw one without correction.

Found (laptop): as predicted, 3 seeds. Uncorrected with the rate divided trains as the corrected arm does: scores are equal on
docpair and within 0.002 on docs15, losses differ by 3e-6 at most at step 5 and by 0.03 at most anywhere. Corrected with the rate
multiplied collapses in all six runs, as the uncorrected arm does.

Cost: 24 runs, of which 12 are adam's, 14 minutes on 2 cores beside much other work (sum of the runs' own times / 2).

`corrected` and `uncorrected` are adam's runs.
"""

from stableft import report
from stableft.grid import Grid, Override, Protocol

NUM_SEEDS = {"laptop": 3}

ARMS: dict[str, Override] = {
    "corrected": {"adam.bias_correction": True},
    "uncorrected divided": {"adam.bias_correction": False, "adam.lr_bias": "divided"},
    "uncorrected": {"adam.bias_correction": False},
    "corrected multiplied": {"adam.bias_correction": True, "adam.lr_bias": "multiplied"},
}


def grid(protocol: Protocol) -> Grid:
    """Both optimizers, as they are and with the other one's step sizes."""
    seeds = tuple(protocol.seeds)[: NUM_SEEDS.get(protocol.name)]
    return Grid("control", protocol, ARMS, tuple(protocol.configs), seeds)


REPORT = {
    "train_loss": report.curves(split="train", metric="loss"),
    "score_distribution": report.distributions(),
    "scores": report.score_table(),
}
