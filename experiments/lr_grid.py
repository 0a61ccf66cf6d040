"""Where is the stability edge, and at which learning rate are the two arms compared?

Question: for each learning rate, how do corrected and uncorrected Adam score? Uncorrected updates are up to 6.6 times larger, so
its edge should lie at a smaller rate. The rate at which the corrected arm's mean is best becomes the protocol's.

Source: Mosbach et al. (2021), Figures 5 and 9 (lr x correction on RTE); protocol section 5.1.

Prediction: below the edge the uncorrected arm is as good or better (it simply takes larger steps); above it, its runs fail first.

Found (laptop): as predicted. On docs15 the uncorrected arm collapses at 5e-4 and above, the corrected arm nowhere; on docpair its
first failed run is at 5e-5 and all fail at 2e-4, where none of the corrected arm does; that one fails from 5e-4 on. At 2e-5 the
uncorrected arm is ahead on both (0.593 against 0.498; 0.622 against 0.522). Best rates of the corrected arm: 5e-4 on docs15 (2e-4
is as good within noise) and 2e-4 on docpair (1e-4 likewise), one step below its own edge.

Found (small, corrected arm alone): best at 1e-4 on RTE, which MiniLM can hardly do (12 of 15 runs failed by the test half), and at
5e-5 on TNEWS.

Cost: 72 runs, 23 minutes on 2 cores beside other work (sum of the runs' own times / 2).
"""

from stableft import report
from stableft.grid import Grid, Protocol

NUM_SEEDS = 3


def grid(protocol: Protocol) -> Grid:
    """Learning rates x correction, three seeds."""
    arms = {
        f"{'corrected' if correction else 'uncorrected'} lr={lr:.0e}": {"adam.lr": lr, "adam.bias_correction": correction}
        for lr in protocol.learning_rates
        for correction in (True, False)
    }
    return Grid("lr_grid", protocol, arms, tuple(protocol.configs), tuple(protocol.seeds)[:NUM_SEEDS])


REPORT = {
    "learning_rates": report.learning_rates(),
    "learning_rate_table": report.learning_rate_table(),
}
