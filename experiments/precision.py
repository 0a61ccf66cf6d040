"""May bf16 stand in for fp32 in a study of instability?

Question: bf16 autocast keeps weights and Adam's moments in float32 but rounds what products read to 8 bits. Does that move scores,
or turn a run that succeeds into one that fails or the other way round?

Source: none of the papers; Zhang et al. (2021) trained in fp16 mixed precision throughout (section 3). The study is what allows or
forbids ``--precision bf16`` here.

Prediction: where training is stable the means differ by less than seeds do. Where the uncorrected arm is at its edge (1e-4 on
docpair: lr_grid has failed and successful runs there), single runs may end on the other side, but about as many fail.

Found (laptop): not run yet.

Cost: not measured yet.
"""

from stableft import report
from stableft.grid import Grid, Override, Protocol

NUM_SEEDS = 20

EDGE: Override = {"adam.bias_correction": False, "adam.lr": 1e-4}

ARMS: dict[str, Override] = {
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "fp32 uncorrected": {"precision": "fp32", **EDGE},
    "bf16 uncorrected": {"precision": "bf16", **EDGE},
}


def grid(protocol: Protocol) -> Grid:
    """Both precisions, corrected as in ``adam`` (whose runs those in fp32 are) and uncorrected at the edge of docpair."""
    seeds = protocol.seeds if protocol.name == "smoke" else range(NUM_SEEDS)
    return Grid("precision", protocol, ARMS, tuple(protocol.configs), tuple(seeds))


REPORT = {
    "train_loss": report.curves(split="train", metric="loss"),
    "score_distribution": report.distributions(),
    "scores": report.score_table(),
}
