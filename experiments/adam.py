"""Does leaving out Adam's bias correction destabilise fine-tuning?

Question: BERT's original optimizer has no bias correction; its first updates are up to 6.6 times
too large. Does that alone cause the failed runs on small data?

Source: Zhang et al. (2021), section 4, Figures 1-4 and 11; Mosbach et al. (2021), Figures 2c and 4.
The TNEWS note, which reports that correction is *slower* but ends better, is tested at its own rate
by `slower`.

Prediction: without correction some runs end at or below the majority score, with it no run does. On
tasks without failed runs, the uncorrected arm learns faster at first.

Found (laptop): as predicted, at the learning rates that are best for the corrected arm, 23 seeds.
docs15: corrected 0.660, uncorrected 0.067, all 23 runs collapsed (22 failed by the rule; one gets 3
of 2,625 examples more right than a constant prediction). docpair: corrected 0.614, uncorrected
0.500, all 23 failed. Of the corrected runs one failed, on docpair: 1 of 23. The loss of failed
runs is flat, and the gradients of their lowest blocks are more than a thousand times smaller. At
small learning rates the uncorrected arm is faster: lr_grid shows it. These are results about
MiniLM, not about BERT-large.

Found (small, 3 seeds): RTE, MiniLM-L6 at 1e-4: corrected 0.552, none of 3 failed, one of them by a
single example (74 of 139 right, where the constant prediction has 73); with the dropout masks of an
earlier version, 2 of 3 such runs failed. Uncorrected 0.480, all 3 failed (Zhang et al. and a
replication, BERT-large at 2e-5: 69.0 and 54.8 %, 36 of 50 degenerate). TNEWS, a Chinese BERT of 4 x
512 at 5e-5, no failed run: correction is slower and ends a little better, as in the TNEWS note,
whose rate is 2e-5. Training loss over the second epoch is 2.35, against 1.49 without correction;
accuracy at the end is 0.514 against 0.509 (uncorrected - corrected, pairs: -0.005, 95 % interval
-0.007 to -0.003, p = 0.25: three seeds).

Cost: 40 runs, 9 minutes 7 s on 2 cores with nothing else running, 12 minutes 20 s on a day when the
same virtual machine was slower (measured; the committed runs of 10 seeds are the latter, those of
13 more ran beside other work). At small 12 runs, 24
minutes on 2 cores while other jobs were running (sum of the runs' own times / 2).
"""

from stableft.core.grid import Grid, Protocol
from stableft.reporting import report
from stableft.reporting.claims import BIAS_CORRECTION, SPREAD, Claim, Setting
from stableft.reporting.claims.hypotheses import FEWEST, SIGNIFICANT, greater, less, more_failed, none_failed
from stableft.reporting.claims.measures import train_loss
from stableft.reporting.claims.run_measures import FailedPairs, loss_fall, low_gradients
from stableft.reporting.claims.trial_hypotheses import EarlyPredictsLate, FewerTrials, ShareBelow, StoppingPays
from stableft.reporting.figures import (
    best_of,
    bias_magnitude,
    curves,
    distributions,
    evaluations_per_run,
    fine_curves,
    loss_and_score,
    loss_by_outcome,
)
from stableft.reporting.tables import (
    arm_summary,
    beside_published,
    disagreement,
    early_stopping,
    published_layout,
    seeds_needed,
    stability,
)

from .protocol import GLUE_SMALL, LAPTOP, RTE
from .published import CURVES, PUBLISHED

ARMS = {
    "corrected": {"adam.bias_correction": True},
    "uncorrected": {"adam.bias_correction": False},
}


def grid(protocol: Protocol) -> Grid:
    """Builds two arms that differ only in the bias correction, on every task of the protocol."""
    return Grid("adam", protocol, ARMS, protocol.tasks, tuple(protocol.seeds))


GLUE = (*GLUE_SMALL, *LAPTOP.tasks)
LEAST_RATE = 6 / 50  # failed runs without correction on STS-B; the other tasks have 18 to 36 of 50 (protocol section 3.4)

CLAIMS = (
    Claim(
        name="uncorrected_fails",
        statement="Without bias correction some runs end no better than a constant prediction.",
        source="Zhang et al. (2021), section 4, Figure 2; replication: 36, 28, 6 and 18 of 50 (protocol section 3.5, a)",
        expected="on every task more failed runs without correction than with it, exact McNemar test, p <= 0.05; contradicted if"
        " the 95 % Wilson interval of the rate without correction ends below 12 %, the least of the replication",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=more_failed("uncorrected", "corrected", LEAST_RATE),
        tasks=GLUE,
        question=BIAS_CORRECTION,
    ),
    Claim(
        name="corrected_never_fails",
        statement="With bias correction no run ends that way.",
        source="Zhang et al. (2021), section 4, Figure 2; replication: 0 of 50 on each task (protocol section 3.5, a)",
        expected="on every task no failed run with correction, and enough runs for the 95 % Wilson interval of the rate to end "
        "below 12 %, the least rate of the replication without it",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=none_failed("corrected", LEAST_RATE),
        tasks=GLUE,
        question=BIAS_CORRECTION,
    ),
    Claim(
        name="corrected_scores_higher",
        statement="With bias correction scores are higher.",
        source="Zhang et al. (2021), Figure 2 (medians on RTE 0.69 and 0.525, and likewise on MRPC, STS-B and CoLA)",
        expected=f"on every task the paired difference corrected - uncorrected is above 0: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=greater("corrected", "uncorrected"),
        tasks=GLUE,
        question=BIAS_CORRECTION,
    ),
    Claim(
        name="faster",
        statement="With bias correction the training loss falls faster.",
        source="Zhang et al. (2021), section 4, Figures 3 and 11; disputed by the TNEWS note",
        expected=f"on every task the training loss, mean over the whole run, is lower with correction: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=less("corrected", "uncorrected", train_loss(1, 10)),
        tasks=GLUE,
        question=BIAS_CORRECTION,
    ),
    Claim(
        name="lower_at_the_end",
        statement="With bias correction the training loss ends lower.",
        source="Zhang et al. (2021), Figure 3 (RTE: 0.385 and 0.63) and Figure 11; replication: on all four tasks",
        expected=f"on every task the training loss of the last tenth is lower with correction: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=less("corrected", "uncorrected", train_loss(10, 10)),
        tasks=GLUE,
        question=BIAS_CORRECTION,
    ),
    Claim(
        name="slower_at_first",
        statement="With bias correction the training loss falls more slowly in the first tenth of the run.",
        source="replication of Zhang et al.: first interval, all four tasks (RTE 0.750 and 0.730, protocol section 3.4)",
        expected=f"on every task the training loss of the first tenth is higher with correction: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=greater("corrected", "uncorrected", train_loss(1, 1)),
        tasks=GLUE,
        question=BIAS_CORRECTION,
    ),
    Claim(
        name="half_fail_on_rte",
        statement="Without bias correction about half of the runs on RTE end below 55 % accuracy.",
        source="Zhang et al. (2021), section 4: 48 % of 50 runs (72 % in the replication, protocol section 3.3)",
        expected="the 95 % Wilson interval of the share of runs below 0.55 lies within 0.25 to 0.75",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=ShareBelow("uncorrected", level=0.55, low=0.25, high=0.75),
        tasks=("rte",),
        question=BIAS_CORRECTION,
    ),
    Claim(
        name="fewer_trials",
        statement="With bias correction fewer trials are needed for a good run.",
        source="Zhang et al. (2021), Figure 4 (RTE, best of 5: about 0.70 and 0.64; replication: protocol section 3.4)",
        expected="on every task the expected test score of the run with the best validation score among five is higher with "
        "correction: 95 % bootstrap interval over seeds",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=FewerTrials("corrected", "uncorrected", trials=5),
        tasks=GLUE,
        question=BIAS_CORRECTION,
    ),
    Claim(
        name="failed_loss_is_flat",
        statement="At Zhang et al.'s settings, too, the training loss of failed runs is flat.",
        source="Mosbach et al. (2021), Figure 2c",
        expected="on every task the loss falls less from the first tenth of a run to its last in the failed uncorrected run than "
        f"in the successful corrected one of the same seed: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=less("uncorrected", "corrected", FailedPairs(loss_fall, "uncorrected", "corrected")),
        tasks=GLUE,
        question=BIAS_CORRECTION,
    ),
    Claim(
        name="failed_gradients_vanish",
        statement="At Zhang et al.'s settings, too, the gradients of low blocks vanish in failed runs.",
        source="Mosbach et al. (2021), Figure 4: at the end about a hundredth of those of a successful run (read off)",
        expected="on every task the gradient norm of the lowest quarter of blocks, over the last tenth, is more than ten times "
        f"smaller in the failed uncorrected run than in the successful corrected one of the same seed: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=less("uncorrected", "corrected", FailedPairs(low_gradients, "uncorrected", "corrected"), margin=1.0),
        tasks=GLUE,
        question=BIAS_CORRECTION,
    ),
    Claim(
        name="early_scores_predict",
        statement="Scores early in training tell which runs end well, so that bad ones can be stopped.",
        source="Dodge et al. (2020), on early stopping: after 20 to 30 % of a run on 3 of 4 tasks (protocol section 6)",
        expected="on every task, without correction as in the source, the validation score after 30 % of the run and at its end "
        "correlate over seeds: Spearman's correlation above 0, two-sided permutation p <= 0.05",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=EarlyPredictsLate("uncorrected", share=0.3),
        tasks=GLUE,
        question=SPREAD,
    ),
    Claim(
        name="early_stopping_pays",
        statement="Of many runs that are stopped early but for the best, the best ends higher than that of few whole runs.",
        source="Dodge et al. (2020), on early stopping: start many, stop at 20 to 30 %, continue some (protocol section 6)",
        expected="on every task, without correction as in the source, at the cost of three whole runs: the expected last "
        "validation score of the run that leads at the first evaluation from 20 % of the run on, of as many runs as that allows, "
        "less that of the best of three whole runs, is above 0: 95 % bootstrap interval over seeds",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=StoppingPays("uncorrected", share=0.2, budget=3),
        tasks=GLUE,
        question=SPREAD,
        setting=Setting("some runs succeed: where all fail there is nothing to choose", some_succeed=("uncorrected",)),
    ),
)


REPORT = {
    "train_loss": report.figure(curves, split="train", metric="loss", published=CURVES),
    "train_loss_range": report.figure(curves, split="train", metric="loss", band="range"),
    "loss_and_accuracy": report.figure(fine_curves),
    "score": report.figure(curves, split="validation", metric="score"),
    "score_distribution": report.figure(distributions, published=PUBLISHED),
    "best_of": report.figure(best_of, published=PUBLISHED),
    "evaluations_per_run": report.figure(evaluations_per_run),
    "loss_by_outcome": report.figure(loss_by_outcome),
    "bias_magnitude": report.figure(bias_magnitude),
    "loss_and_score": report.figure(loss_and_score),
    "published": report.table(beside_published, numbers=PUBLISHED),
    "zhang_table_5": report.table(published_layout, numbers=PUBLISHED, places=[("zhang2021", "Table 5")]),
    "arms": report.table(arm_summary),
    "stability": report.table(stability),
    "seeds_needed": report.table(seeds_needed),
    "early_stopping": report.table(early_stopping),
    "disagreement": report.table(disagreement),
}
