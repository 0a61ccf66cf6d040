"""Is it the new weights or the order of the data that makes runs differ?

Question: a seed decides two things: the new weights (head; with re-initialisation also pooler and
blocks), and the order of the data with the dropout masks. How much of the spread comes from each,
and does re-initialisation reduce both?

Source: Zhang et al. (2021), Appendix B: RTE, 10 x 10, Standard and Re-init 5 (protocol section
3.3); Dodge et al. (2020), who find that both contribute alike.

Prediction: both contribute alike; re-initialisation makes either spread smaller.

Found (laptop): the first half, on docpair, 4 x 4. With the init seed fixed, scores spread over
order seeds by 0.010 (standard) and 0.012 (reinit); with the order seed fixed, over init seeds by as
much. Re-initialisation makes neither spread smaller, but the mean higher (0.645 against 0.634). No
run failed.

Cost: 32 runs, 7 minutes on 2 cores (sum of the runs' own times / 2).

Arms hold init and order seeds fixed, so every run has seed 0 and there are no replicates. Order and
dropout share their seed, as in the source; the init seed also determines re-initialised weights.
"""

from itertools import product

from stableft.core.grid import Grid, Override, Protocol
from stableft.reporting import report
from stableft.reporting.claims import Claim
from stableft.reporting.claims.hypotheses import FEWEST, SIGNIFICANT, equal, greater, less
from stableft.reporting.claims.measures import mean_over_order, spread
from stableft.reporting.figures import seed_map
from stableft.reporting.tables import seed_spread, variance
from stableft.techniques.reinit import Reinit

from .protocol import RTE

SIDE = {"smoke": 2, "laptop": 4, "small": 5}
SOURCE_SIDE = 10
TASKS = {"laptop": ("docpair",), "small": ("rte",), "paper": ("rte",)}
NUM_LAYERS = {"paper": 5}


def grid(protocol: Protocol) -> Grid:
    """Builds one arm for every pair of seeds and both methods."""
    reinit = (Reinit(pooler=True, num_layers=NUM_LAYERS.get(protocol.name, 1)),)
    side = range(SIDE.get(protocol.name, SOURCE_SIDE))
    arms: dict[str, Override] = {
        f"{name} init={init} order={order}": {
            "techniques": techniques, "init_seed": init, "reinit_seed": init, "order_seed": order, "dropout_seed": order,
        }
        for (name, techniques), init, order in product((("standard", None), ("reinit", reinit)), side, side)
    }  # fmt: skip
    return Grid("seeds", protocol, arms, TASKS.get(protocol.name, protocol.tasks), (0,))


CLAIMS = (
    Claim(
        name="reinit_steadier_over_order",
        statement="With re-initialisation scores spread less over data orders.",
        source="Zhang et al. (2021), Appendix B: mean std with the init seed fixed 0.0140 and 0.0199",
        expected=f"the std over order seeds is lower: pairs of equal init seed, {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=less("reinit over order", "standard over order", spread),
    ),
    Claim(
        name="reinit_steadier_over_init",
        statement="With re-initialisation scores spread less over initial weights.",
        source="Zhang et al. (2021), Appendix B: mean std with the order seed fixed 0.0141 and 0.0221",
        expected=f"the std over init seeds is lower: pairs of equal order seed, {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=less("reinit over init", "standard over init", spread),
    ),
    Claim(
        name="reinit_scores_higher",
        statement="With re-initialisation scores are higher.",
        source="Zhang et al. (2021), Appendix B: mean 0.7435 and 0.7122",
        expected=f"the mean over order seeds is higher: pairs of equal init seed, {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=greater("reinit", "standard", mean_over_order),
    ),
    Claim(
        name="both_contribute",
        statement="Initial weights and data order contribute alike to the spread.",
        source="Dodge et al. (2020); Zhang et al. (2021), Appendix B: mean std 0.0199 over orders, 0.0221 over initial weights",
        expected="without re-initialisation the stds over order and over init seeds differ by at most 0.005: 95 % BCa interval",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=equal("standard over order", "standard over init", 0.005, spread),
    ),
)


REPORT = {
    "seed_map": report.figure(seed_map),
    "seed_table": report.table(seed_spread),
    "variance": report.table(variance),
}
