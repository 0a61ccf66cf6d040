"""Is it the size of the first updates, and nothing else?

Question: what leaving out the correction changes can be written as a learning rate: b(t) times the scheduled one. If that is all,
uncorrected Adam with the learning rate divided by b(t) must behave as the corrected one, and corrected Adam with the learning rate
multiplied by b(t) must fail as the uncorrected one does.

Source: protocol section 1.2; implied by Zhang et al. (2021), section 4, and Mosbach et al. (2021), Equation 1, done by neither.

Prediction: both, up to epsilon: it is added to the corrected root here (1e-8 in both), and to the raw one without correction.

Found (laptop): as predicted, 10 seeds. Uncorrected with the rate divided trains as the corrected arm does: means of 0.625 and
0.663 on docpair and docs15 in both, scores of a pair within 0.002 and 0.003, losses equal within 1e-5 at step 5, before rounding
has grown. Corrected with the rate multiplied fails in all 20 runs, as the uncorrected arm does in 19.

Cost: 80 runs, of which 40 are adam's, 34 minutes on 2 cores beside much other work (sum of the runs' own times / 2).

`corrected` and `uncorrected` are adam's runs.
"""

from stableft import report, tables
from stableft.grid import Grid, Override, Protocol

NUM_SEEDS = 20

ARMS: dict[str, Override] = {
    "corrected": {"adam.bias_correction": True},
    "uncorrected divided": {"adam.bias_correction": False, "adam.lr_bias": "divided"},
    "uncorrected": {"adam.bias_correction": False},
    "corrected multiplied": {"adam.bias_correction": True, "adam.lr_bias": "multiplied"},
}


def grid(protocol: Protocol) -> Grid:
    """Both optimizers, as they are and with the other one's step sizes."""
    return Grid("control", protocol, ARMS, protocol.tasks, tuple(protocol.seeds)[:NUM_SEEDS])


REPORT = {
    "train_loss": report.curves(split="train", metric="loss"),
    "score_distribution": report.distributions(),
    "scores": report.score_table(),
    "stability": report.table(tables.stability),
}
