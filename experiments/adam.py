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

Found (small, 3 seeds): RTE, MiniLM-L6 at 1e-4: corrected 0.552, no failed run; uncorrected 0.480, all 3 failed (Zhang et al. and a
replication, BERT-large at 2e-5: 69.0 and 54.8 %, 36 of 50 degenerate). TNEWS, a Chinese BERT of 4 x 512 at 5e-5, where nothing
fails: as the first source document says, correction is slower and ends better. Training loss over the second epoch 2.35 against
1.49 without, accuracy 0.514 against 0.509 at the end (pairs: -0.005, 95 % interval -0.007 to -0.003, p = 0.25: three seeds).

Cost: 40 runs, 9 minutes 7 s on 2 cores with nothing else running (measured). At small 12 runs, 24 minutes on 2 cores beside other
work (sum of the runs' own times / 2).
"""

from stableft import report
from stableft.figures import loss_and_score
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
    "loss_and_score": report.figure(loss_and_score),
    "scores": report.score_table(),
}
