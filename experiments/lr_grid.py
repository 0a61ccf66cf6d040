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

from collections.abc import Mapping, Sequence
from itertools import product

from stableft import report
from stableft.grid import Grid, Override, Protocol

TASKS = {"paper": ("rte",)}
NUM_SEEDS = {"paper": 25}
FEW_SEEDS = 3
# Rates that are also tried with another number of epochs than the task has.
EPOCHS: Mapping[str, Mapping[int, Sequence[float]]] = {
    "laptop": {10: (2e-5,)},
    "paper": {epochs: (1e-5, 2e-5, 3e-5) for epochs in (10, 20)},
}


def grid(protocol: Protocol) -> Grid:
    """Learning rates x correction, some of them with more epochs too."""
    arms: dict[str, Override] = {}
    for epochs, rates in {None: protocol.learning_rates, **EPOCHS.get(protocol.name, {})}.items():
        more: Override = {} if epochs is None else {"schedule.num_epochs": epochs}
        for lr, correction in product(rates, (True, False)):
            name = f"{'corrected' if correction else 'uncorrected'} lr={lr:.0e}" + (f" epochs={epochs}" if epochs else "")
            arms[name] = {"adam.lr": lr, "adam.bias_correction": correction, **more}
    seeds = tuple(protocol.seeds)[: NUM_SEEDS.get(protocol.name, FEW_SEEDS)]
    return Grid("lr_grid", protocol, arms, TASKS.get(protocol.name, protocol.tasks), seeds)


REPORT = {
    "learning_rates": report.learning_rates(),
    "learning_rate_table": report.learning_rate_table(),
    "block_gradients": report.block_gradients(),
}
