"""At which learning rate does training become unstable, and at which are the two arms compared?

Question: for each learning rate, how do corrected and uncorrected Adam score? Uncorrected updates
are up to 6.6 times larger, so that arm should become unstable at a smaller rate. The protocol's
rate is the one with the best mean of the corrected arm.

Source: Mosbach et al. (2021), Figures 5 and 9 (lr x correction on RTE); protocol section 5.1.

Prediction: below its stability edge the uncorrected arm is as good or better (it simply takes
larger steps); above it, its runs fail first.

Found (laptop): as predicted. On docs15 the uncorrected arm collapses at 5e-4 and above, the
corrected arm at no rate. On docpair the uncorrected arm has its first failed run at 5e-5 and fails
in all runs at 2e-4; the corrected arm has none at 2e-4 and fails from 5e-4 on. At 2e-5 the
uncorrected arm is ahead on both tasks (0.593 against 0.498; 0.622 against 0.522). Best rates of the
corrected arm: 5e-4 on docs15 (2e-4 is as good within noise) and 2e-4 on docpair (1e-4 likewise),
one step below its own edge.

With ten epochs instead of three at 2e-5, in the direction of the source's proposal (a small rate,
correction, 20 epochs), no run of either arm fails: docpair 0.632 corrected (0.522 after three) and
0.630 uncorrected, docs15 0.595 and 0.679.

Found (small, corrected arm alone): best at 1e-4 on RTE, which MiniLM can hardly learn (12 of 15
runs failed by the test half), and at 5e-5 on TNEWS.

Cost: 84 runs, 12 of them adam's, 27 minutes on 2 cores (sum of the runs' own times / 2).

At paper this is Mosbach et al.'s grid in their configuration: batch 16, weight decay 0.01, epsilon
1e-6 added to the root of the raw second moment, the whole development set, 3, 10 and 20 epochs. The
10 and 20 epochs are theirs for Figures 8 and 9. At laptop and small the settings are those of adam,
and 10 epochs are tried at 2e-5 alone. `slower` and `mosbach` share some of its runs.
"""

from collections.abc import Mapping, Sequence
from itertools import product

from stableft.core.grid import Grid, Override, Protocol
from stableft.reporting import report
from stableft.reporting.claims import BIAS_CORRECTION, Claim, Setting
from stableft.reporting.claims.hypotheses import FEWEST, SIGNIFICANT, less, tuned
from stableft.reporting.claims.measures import failed
from stableft.reporting.figures import (
    block_gradients,
    fine_curves,
    learning_rates,
    loss_and_score,
    rate_choice,
    run_gradients,
)
from stableft.reporting.tables import beside_published, scores_by_rate

from .protocol import MOSBACH
from .published import PUBLISHED

TASKS = {"paper": ("rte_dev",)}
NUM_SEEDS = {"paper": 25}
FEW_SEEDS = 3
# Learning rates to try also with other numbers of epochs than the task's.
EPOCHS: Mapping[str, Mapping[int, Sequence[float]]] = {
    "laptop": {10: (2e-5,)},
    "paper": {epochs: (1e-5, 2e-5, 3e-5) for epochs in (10, 20)},
}


def grid(protocol: Protocol) -> Grid:
    """Builds arms for all learning rates x correction; some also with more epochs."""
    arms: dict[str, Override] = {}
    for epochs, rates in {None: protocol.learning_rates, **EPOCHS.get(protocol.name, {})}.items():
        more: Override = {} if epochs is None else {"schedule.num_epochs": epochs}
        for lr, correction in product(rates, (True, False)):
            name = f"{'corrected' if correction else 'uncorrected'} lr={lr:.0e}" + (f" epochs={epochs}" if epochs else "")
            arms[name] = {"adam.lr": lr, "adam.bias_correction": correction, **more}
    seeds = tuple(protocol.seeds)[: NUM_SEEDS.get(protocol.name, FEW_SEEDS)]
    return Grid("lr_grid", protocol, arms, TASKS.get(protocol.name, protocol.tasks), seeds)


SHORT = ("corrected lr=?e-0?", "uncorrected lr=?e-0?")  # of the task's own length, not of more epochs
USUAL = Setting("1e-5, 2e-5 and 3e-5 (Mosbach et al., Figure 5)", learning_rates=(1e-5, 2e-5, 3e-5))

CLAIMS = (
    Claim(
        name="correction_saves_runs",
        statement="With bias correction fewer runs fail over the usual learning rates.",
        source="Mosbach et al. (2021), Figure 5 (RTE; 1e-5, 2e-5 and 3e-5; 3 epochs)",
        expected=f"on every task the share of failed runs, mean over these learning rates, is lower with correction: {SIGNIFICANT}",
        about=MOSBACH.encoder,
        minimum_n=FEWEST,
        test=less(*SHORT, failed),
        question=BIAS_CORRECTION,
        setting=USUAL,
    ),
    Claim(
        name="edge_at_a_larger_rate",
        statement="With bias correction training becomes unstable only at a larger learning rate.",
        source="protocol section 1.2: without correction a run has up to 6 times its learning rate; not a claim of a source",
        expected="on every task the share of failed runs, mean over all learning rates of the grid, is lower with correction: "
        f"{SIGNIFICANT}",
        about=MOSBACH.encoder,
        minimum_n=FEWEST,
        test=less(*SHORT, failed),
        question=BIAS_CORRECTION,
    ),
    Claim(
        name="better_at_the_rate_of_the_corrected",
        statement="At the best learning rate of the corrected arm scores are higher with bias correction.",
        source="Zhang et al. (2021), section 4, Figure 2, and Mosbach et al. (2021), Figure 5, compare the arms at one rate",
        expected="on every task the paired difference corrected - uncorrected, at the rate at which the corrected arm validates "
        f"best on other examples, is above 0: {SIGNIFICANT}",
        about=MOSBACH.encoder,
        minimum_n=FEWEST,
        test=tuned("corrected", "uncorrected", at_rate_of="corrected"),
        question=BIAS_CORRECTION,
    ),
    Claim(
        name="better_tuned",
        statement="With each arm at its own best learning rate scores are higher with bias correction.",
        source="not tested by any source; protocol section 8, P16, on tuning one arm alone",
        expected="on every task the paired difference corrected - uncorrected, each arm at the rate at which it validates best on "
        f"other examples, is above 0: {SIGNIFICANT}",
        about=MOSBACH.encoder,
        minimum_n=FEWEST,
        test=tuned("corrected", "uncorrected"),
        question=BIAS_CORRECTION,
    ),
)


LEAD = "learning_rates"
REPORT = {
    "learning_rates": report.figure(learning_rates),
    "rate_choice": report.figure(rate_choice),
    "learning_rate_table": report.table(scores_by_rate),
    "loss_and_score": report.figure(loss_and_score),
    "block_gradients": report.figure(block_gradients),
    "run_gradients": report.figure(run_gradients, arms=("uncorrected *",)),
    "loss_and_accuracy": report.figure(fine_curves, arms=("* lr=2e-05 epochs=*",)),
    "published": report.table(beside_published, numbers=PUBLISHED),
}
