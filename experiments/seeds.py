"""Is it the new weights or the order of the data that makes runs differ?

Question: a seed decides two things: the new weights (head; with re-initialisation also pooler and
blocks), and the order of the data with the dropout masks. How much of the spread comes from each,
and does re-initialisation reduce both?

Source: Zhang et al. (2021), Appendix B: RTE, 10 x 10, Standard and Re-init 5 (protocol section
3.3); Dodge et al. (2020), who find that both contribute alike.

Prediction: both contribute alike; re-initialisation makes either spread smaller.

Found (laptop): neither is decided, on docpair, 4 x 4. Without re-initialisation the init seed adds
a std of 0.000 to the validation scores (95 % interval 0.000 to 0.019), the order seed 0.011 (0.000
to 0.046), and the rest is 0.012: interaction, and what rounding makes of a run. With it the three
are 0.008, 0.000 and 0.018. Means are alike (0.670 and 0.670), and no run failed. Appendix B's own
init means and stds also leave most of the variance to the rest.

Cost: 32 runs, 7 minutes on 2 cores (sum of the runs' own times / 2).

Arms hold init and order seeds fixed, so every run has seed 0 and there are no replicates: ``--seeds
0-5`` is the side of a square of 6 x 6 runs for each method, which contains the smaller ones. Order
and dropout share their seed, as in the source; the init seed also determines re-initialised
weights. As in the source, scores are those on validation after the last step.

With one run per pair of seeds, std over one kind of seed contains the rest: interaction, and
whatever rounding makes of a run. Claims on contributions are about the components of the variance
(variance.md), each free of the rest. Claims on re-initialisation are about what Appendix B prints:
the std with the other seed held fixed, rest included.

Not judged: Dodge et al.'s init seeds that are good on every task. That needs a square on several
tasks with heads of one size, and each protocol has one task here.
"""

from stableft.core.grid import Grid, Override, Protocol, SeedSquare
from stableft.reporting import report
from stableft.reporting.claims import REINITIALISATION, SPREAD, Claim
from stableft.reporting.claims.seed_effects import SMALLEST, BothContribute, MeanHigher, SteadierOver
from stableft.reporting.figures import seed_map
from stableft.reporting.tables import seed_published, seed_spread, variance
from stableft.techniques.reinit import Reinit

from .protocol import RTE
from .published import PUBLISHED

SIDE = {"smoke": 2, "laptop": 4, "small": 5}
SOURCE_SIDE = 10
TASKS = {"laptop": ("docpair",), "small": ("rte",), "paper": ("rte",)}
NUM_LAYERS = {"paper": 5}


def grid(protocol: Protocol) -> Grid:
    """Builds one arm for every pair of seeds and both methods; other sides with ``--seeds``."""
    methods: dict[str, Override] = {
        "standard": {"techniques": None},
        "reinit": {"techniques": (Reinit(pooler=True, num_layers=NUM_LAYERS.get(protocol.name, 1)),)},
    }
    square = SeedSquare(methods)
    arms = square.arms(range(SIDE.get(protocol.name, SOURCE_SIDE)))
    return Grid("seeds", protocol, arms, TASKS.get(protocol.name, protocol.tasks), (0,), square=square)


FEWEST_A_SIDE = 4

CLAIMS = (
    Claim(
        name="both_contribute",
        statement="Initial weights and data order both contribute to the spread.",
        source="Dodge et al. (2020), abstract: both contribute comparably; Zhang et al. (2021), Appendix B: mean std"
        " 0.0199 over orders, 0.0221 over initial weights",
        expected="without re-initialisation the 95 % interval of either component of the variance lies above 0; contradicted if "
        f"that of one of them ends below a std of {SMALLEST:.4f}, one of Appendix B's 138 examples",
        about=RTE.encoder,
        minimum_n=FEWEST_A_SIDE,
        test=BothContribute("standard"),
        question=SPREAD,
    ),
    Claim(
        name="reinit_steadier_over_order",
        statement="With re-initialisation scores spread less over data orders.",
        source="Zhang et al. (2021), Appendix B: mean std with the init seed fixed 0.0140 and 0.0199",
        expected="the ratio of the stds over order seeds with the init seed fixed is below 1: 95 % interval of the F distribution",
        about=RTE.encoder,
        minimum_n=FEWEST_A_SIDE,
        test=SteadierOver("order", "reinit", "standard"),
        question=REINITIALISATION,
    ),
    Claim(
        name="reinit_steadier_over_init",
        statement="With re-initialisation scores spread less over initial weights.",
        source="Zhang et al. (2021), Appendix B: mean std with the order seed fixed 0.0141 and 0.0221",
        expected="the ratio of the stds over init seeds with the order seed fixed is below 1: 95 % interval of the F distribution",
        about=RTE.encoder,
        minimum_n=FEWEST_A_SIDE,
        test=SteadierOver("init", "reinit", "standard"),
        question=REINITIALISATION,
    ),
    Claim(
        name="reinit_scores_higher",
        statement="With re-initialisation scores are higher.",
        source="Zhang et al. (2021), Appendix B: mean 0.7435 and 0.7122",
        expected="the mean paired difference is above 0: 95 % interval over random init and order seeds",
        about=RTE.encoder,
        minimum_n=FEWEST_A_SIDE,
        test=MeanHigher("reinit", "standard"),
        question=REINITIALISATION,
    ),
)


LEAD = "seed_map"
REPORT = {
    "seed_map": report.figure(seed_map),
    "seed_table": report.table(seed_spread),
    "variance": report.table(variance),
    "published": report.table(seed_published, numbers=PUBLISHED),
}
