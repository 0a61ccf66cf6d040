"""Is it the size of the first updates, and nothing else?

Question: the effect of leaving out the correction can be written as a learning rate: b(t) times the
scheduled one. If that is the whole effect, uncorrected Adam with the learning rate divided by b(t)
must behave like the corrected one, and corrected Adam with the learning rate multiplied by b(t)
must fail like the uncorrected one.

Source: protocol section 1.2; implied by Zhang et al. (2021), section 4, and Mosbach et al. (2021),
Equation 1, but tested by neither.

Prediction: both, up to epsilon: with correction it is added to the corrected root (1e-8 in both
arms), without correction to the raw one.

Found (laptop): as predicted, 10 seeds. Uncorrected with the learning rate divided trains like the
corrected arm: means of 0.625 and 0.663 on docpair and docs15 in both, scores of a pair within 0.002
and 0.003, losses equal within 1e-5 at step 5, before rounding errors have grown. Corrected with the
learning rate multiplied fails in all 20 runs; the uncorrected arm fails in 19.

Cost: 80 runs, of which 40 are adam's, 34 minutes on 2 cores while many other jobs were running (sum
of the runs' own times / 2).

`corrected` and `uncorrected` are adam's runs. That an update with the other's step size is the
other's update holds by construction, up to epsilon: those two claims test our optimizer, and that
epsilon does not matter.
"""

from stableft.core.grid import Grid, Override, Protocol
from stableft.reporting import report
from stableft.reporting.claims import BIAS_CORRECTION, CONTROLS, Claim
from stableft.reporting.claims.hypotheses import FEWEST, equal, more_failed
from stableft.reporting.figures import curves, distributions
from stableft.reporting.tables import score_summary, stability

from .protocol import GLUE_SMALL, LAPTOP, RTE

NUM_SEEDS = 20

ARMS: dict[str, Override] = {
    "corrected": {"adam.bias_correction": True},
    "uncorrected divided": {"adam.bias_correction": False, "adam.lr_bias": "divided"},
    "uncorrected": {"adam.bias_correction": False},
    "corrected multiplied": {"adam.bias_correction": True, "adam.lr_bias": "multiplied"},
}


def grid(protocol: Protocol) -> Grid:
    """Builds both optimizers, each as it is and with the other's step sizes."""
    return Grid("control", protocol, ARMS, protocol.tasks, tuple(protocol.seeds)[:NUM_SEEDS])


LEAST_RATE = 6 / 50  # as in adam

CLAIMS = (
    Claim(
        name="divided_rate_is_correction",
        statement="Uncorrected Adam whose learning rate is divided by b(t) scores as corrected Adam does.",
        source="implied by Zhang et al. (2021), section 4, and Mosbach et al. (2021), Equation 1; protocol section 1.2",
        expected="on every task the paired difference lies within 0.01: 95 % BCa interval",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=equal("uncorrected divided", "corrected", 0.01),
        tasks=(*GLUE_SMALL, *LAPTOP.tasks),
        question=CONTROLS,
        kind="arithmetic",
    ),
    Claim(
        name="multiplied_rate_is_no_correction",
        statement="Corrected Adam whose learning rate is multiplied by b(t) scores as uncorrected Adam does.",
        source="implied by Zhang et al. (2021), section 4, and Mosbach et al. (2021), Equation 1; protocol section 1.2",
        expected="on every task the paired difference lies within 0.01: 95 % BCa interval",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=equal("corrected multiplied", "uncorrected", 0.01),
        tasks=(*GLUE_SMALL, *LAPTOP.tasks),
        question=CONTROLS,
        kind="arithmetic",
    ),
    Claim(
        name="multiplied_rate_fails",
        statement="Corrected Adam whose learning rate is multiplied by b(t) has failed runs.",
        source="implied by Zhang et al. (2021), section 4, and Mosbach et al. (2021), Equation 1; protocol section 1.2",
        expected="on every task more failed runs than corrected Adam as it is, exact McNemar test, p <= 0.05; contradicted if "
        "the 95 % Wilson interval of the rate ends below 12 %",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=more_failed("corrected multiplied", "corrected", LEAST_RATE),
        tasks=(*GLUE_SMALL, *LAPTOP.tasks),
        question=BIAS_CORRECTION,
    ),
)


REPORT = {
    "train_loss": report.figure(
        curves, split="train", metric="loss", pairs=[("corrected", "uncorrected divided"), ("uncorrected", "corrected multiplied")]
    ),
    "score_distribution": report.figure(distributions),
    "scores": report.table(score_summary),
    "stability": report.table(stability),
}
