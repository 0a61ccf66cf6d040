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
"""

from collections.abc import Mapping, Sequence
from itertools import product

from stableft.core.grid import Grid, Override, Protocol
from stableft.reporting import report
from stableft.reporting.claims import Claim
from stableft.reporting.claims.hypotheses import FEWEST, SIGNIFICANT, greater, less, steadier
from stableft.reporting.claims.measures import failed, train_loss
from stableft.reporting.figures import block_gradients, learning_rates, loss_and_score
from stableft.reporting.tables import beside_published, scores_by_rate

from .protocol import RTE, TNEWS
from .published import PUBLISHED

TASKS = {"paper": ("rte",)}
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


MORE_EPOCHS = {"paper": "corrected lr=2e-05 epochs=20", "": "corrected lr=2e-05 epochs=10"}

CLAIMS = (
    Claim(
        name="correction_saves_runs",
        statement="With bias correction fewer runs fail over the usual learning rates.",
        source="Mosbach et al. (2021), Figure 5 (RTE; 1e-5, 2e-5 and 3e-5)",
        expected="on every task the share of failed runs, mean over all learning rates and lengths, is lower with correction: "
        f"{SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=less("corrected *", "uncorrected *", failed),
    ),
    Claim(
        name="baseline_scores_higher",
        statement="With correction, a small rate and many epochs scores are higher than with the original recipe.",
        source="Mosbach et al. (2021), Table 1 (RTE, 20 epochs: mean 0.701 against 0.523)",
        expected="on every task the paired difference of the corrected arm at 2e-5 with more epochs to the uncorrected one is "
        f"above 0: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=greater(MORE_EPOCHS, "uncorrected lr=2e-05"),
    ),
    Claim(
        name="baseline_steadier",
        statement="They also spread less over seeds.",
        source="Mosbach et al. (2021), Table 1 (RTE, 20 epochs: std 0.024 against 0.072)",
        expected="on every task the ratio of the standard deviations is below 1: 95 % bootstrap interval",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=steadier(MORE_EPOCHS, "uncorrected lr=2e-05"),
    ),
    Claim(
        name="slower_at_a_small_rate",
        statement="At a small learning rate, training with correction is slower.",
        source="first source document, section 1 (2e-5); disputes Zhang et al. (2021), section 4 (protocol section 7, S0)",
        expected=f"on every task the training loss at 2e-5, mean over the whole run, is higher with correction: {SIGNIFICANT}",
        about=TNEWS.encoder,
        minimum_n=FEWEST,
        test=greater("corrected lr=2e-05", "uncorrected lr=2e-05", train_loss(1, 10)),
    ),
)


REPORT = {
    "learning_rates": report.figure(learning_rates),
    "learning_rate_table": report.table(scores_by_rate),
    "loss_and_score": report.figure(loss_and_score),
    "block_gradients": report.figure(block_gradients),
    "published": report.table(beside_published, numbers=PUBLISHED),
}
