"""Does leaving out Adam's bias correction destabilise fine-tuning?

Question: BERT's original optimizer has no bias correction; its first updates are up to 6.6 times too large. Does that alone
cause the failed runs on small data?

Source: Zhang et al. (2021), section 4, Figures 1-3 and 11; Mosbach et al. (2021), Figure 5; the TNEWS replication (first source
document), which reports that correction is *slower* but ends better.

Prediction: without correction some runs end at or below the majority score, with it none do; where no run fails, the uncorrected
arm learns faster at first.

Found (laptop): as predicted, at the learning rates that are best for the corrected arm. docs15, 10 seeds: corrected 0.663,
uncorrected 0.067, all 10 runs collapsed (9 failed by the rule, one gets 3 of 2,625 examples more right than a constant prediction).
docpair: corrected 0.625, uncorrected 0.500, all 10 failed. That the uncorrected arm is the faster one at small rates shows in
lr_grid. These are results about MiniLM, not about BERT-large.

Cost: 40 runs, 9 minutes 7 s on 2 cores with nothing else running (measured).
"""

from stableft import report
from stableft.grid import Grid, Protocol

ARMS = {
    "corrected": {"adam.bias_correction": True},
    "uncorrected": {"adam.bias_correction": False},
}


def grid(protocol: Protocol) -> Grid:
    """Two arms that differ in the switch alone, on every task of the protocol."""
    return Grid("adam", protocol, ARMS, protocol.tasks, tuple(protocol.seeds))


REPORT = {
    "train_loss": report.curves(split="train", metric="loss"),
    "score": report.curves(split="validation", metric="score"),
    "score_distribution": report.distributions(),
    "bias_magnitude": report.bias_magnitude(),
    "scores": report.score_table(),
}
