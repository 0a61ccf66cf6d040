"""Can bf16 replace fp32 in a study of instability?

Question: bf16 autocast keeps weights and Adam's moments in float32 but rounds the inputs of matrix
products to 8 bits. Does that change scores, or turn a successful run into a failed one or the
reverse?

Source: none of the papers; Zhang et al. (2021) trained in fp16 mixed precision throughout (section
3). This study decides whether ``--precision bf16`` is allowed here.

Prediction: where training is stable, the means differ by less than the spread over seeds. Where the
uncorrected arm is at its stability edge (1e-4 on docpair: lr_grid has failed and successful runs
there), single runs may change sides, but about as many fail.

Found (laptop): as predicted, on docpair with 20 seeds. Corrected: mean 0.6111 in bf16 against
0.6114, difference -0.0003 (95 % interval -0.0015 to 0.0009); paired scores differ by 0.005 at most,
where seeds spread by 0.040; one run of 20 fails, the same in both. Uncorrected at its edge: 11
failed runs against 12, means 0.534 and 0.535; one run of 20 ends on the other side, and paired
scores differ by up to 0.041. So bf16 gives the same answer about arms, but not about a single run
near an edge. Training losses differ by 2e-5 at step 1 and by 3e-3 at step 96 (corrected, median
over seeds).

Cost: 80 runs, of which 13 are adam's and lr_grid's, 22 minutes on 2 cores while other jobs were
running (sum of the runs' own times / 2).
"""

from stableft.core.grid import Grid, Override, Protocol
from stableft.reporting import report
from stableft.reporting.claims import CONTROLS, Claim
from stableft.reporting.claims.hypotheses import FEWEST, equal
from stableft.reporting.figures import curves, distributions
from stableft.reporting.tables import beside_published, score_summary, stability

from .protocol import GLUE_SMALL, RTE
from .published import PUBLISHED

NUM_SEEDS = 20
TASKS = {"laptop": ("docpair",)}  # the only one with an edge at which some runs fail; at other scales every task

EDGE: Override = {"adam.bias_correction": False, "adam.lr": 1e-4}

ARMS: dict[str, Override] = {
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "fp32 edge": {"precision": "fp32", **EDGE},
    "bf16 edge": {"precision": "bf16", **EDGE},
}


def grid(protocol: Protocol) -> Grid:
    """Builds both precisions, corrected as in ``adam`` and uncorrected at the edge of docpair.

    The corrected runs in fp32 are adam's.
    """
    seeds = protocol.seeds if protocol.name == "smoke" else range(NUM_SEEDS)
    return Grid("precision", protocol, ARMS, TASKS.get(protocol.name, protocol.tasks), tuple(seeds))


CLAIMS = (
    Claim(
        name="mixed_precision_scores_alike",
        statement="Mixed precision scores as full precision does.",
        source="Zhang et al. (2021), Appendix C, Table 4 (fp16: RTE 0.718 and 0.714, MRPC 0.892 and 0.887, STS-B 0.901 in both, "
        "CoLA 0.603 and 0.599; no difference significant); here bf16",
        expected="on every task the paired difference lies within 0.01: 95 % BCa interval",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=equal("bf16", "fp32", 0.01),
        tasks=(*GLUE_SMALL, "docpair"),
        question=CONTROLS,
    ),
)


REPORT = {
    "train_loss": report.figure(curves, split="train", metric="loss"),
    "score_distribution": report.figure(distributions),
    "validation_distribution": report.figure(distributions, split="validation", published=PUBLISHED),
    "scores": report.table(score_summary),
    "published": report.table(beside_published, numbers=PUBLISHED),
    "stability": report.table(stability),
}
