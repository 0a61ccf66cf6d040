"""Is three epochs simply too short?

Question: on a thousand examples three epochs are 96 steps. Does longer training have the effect of
re-initialised blocks, and how much do these still gain then?

Source: Zhang et al. (2021), section 6, Figures 8 and 14, Table 1 (1k subsets: 96 to 3,200 steps,
Standard and Re-init; equally many evaluations in every run). Mosbach et al. (2021), Figure 3, for
the failed runs.

Prediction: scores rise with the number of steps and then level off; the gap between the two methods
narrows.

Found (laptop): the gap narrows on both tasks, 3 seeds. docs15: re-init is behind by 0.074 after 96
steps, 0.046 after 200 and 0.021 after 400, while both rise (standard 0.608, 0.665, 0.679). docpair:
it is ahead by 0.023 after 96 steps, 0.001 and 0.006 after 200 and 400. Longer training helps
neither method there (standard 0.630, 0.628, 0.622; reinit 0.653, 0.629, 0.628). Training loss on
docpair is below 0.02 after 400 steps: the runs have memorised these 1,000 examples.

Cost: 36 runs, 14 minutes on 2 cores (sum of the runs' own times / 2).

The schedule stretches with the run: 10 % warm-up, then linear decay to 0 at its last step. Re-init
is the pooler and one of six blocks, 17 %; the source has 1 to 6 of 24. At paper it is 5 blocks, as
in the source's sample command. On docs15, whose batches are of 16, 96 steps are one and a half
epochs: the claims, which are about runs longer than three, are not judged there. At small the task
is RTE cut to a thousand examples.
"""

from stableft.core.grid import Grid, Override, Protocol
from stableft.reporting import report
from stableft.reporting.claims import LONGER_TRAINING, Claim, Setting
from stableft.reporting.claims.hypotheses import FEWEST, SIGNIFICANT, STEADIER, greater, narrows, steadier
from stableft.reporting.figures import curves, distributions, training_length
from stableft.reporting.tables import beside_published, published_layout, score_summary
from stableft.techniques.reinit import Reinit

from .protocol import GLUE_1K, RTE
from .published import PUBLISHED

NUM_STEPS = {"smoke": (24, 48), "laptop": (96, 200, 400), "small": (96, 200, 400, 800)}
SOURCE_STEPS = (96, 200, 400, 800, 1600, 3200)
TASKS = {"small": ("rte_1k",), "paper": GLUE_1K}
NUM_SEEDS = {"laptop": 3, "small": 3, "paper": 8}
NUM_LAYERS = {"paper": 5}


def grid(protocol: Protocol) -> Grid:
    """Builds both methods at every length of training."""
    reinit = (Reinit(pooler=True, num_layers=NUM_LAYERS.get(protocol.name, 1)),)
    arms: dict[str, Override] = {
        f"{name} {num_steps}": {"techniques": techniques, "schedule.num_epochs": None, "schedule.num_steps": num_steps}
        for num_steps in NUM_STEPS.get(protocol.name, SOURCE_STEPS)
        for name, techniques in (("standard", None), ("reinit", reinit))
    }
    seeds = tuple(protocol.seeds)[: NUM_SEEDS.get(protocol.name)]
    return Grid("longer", protocol, arms, TASKS.get(protocol.name, protocol.tasks), seeds)


SHORT = {"smoke": "standard 24", "": "standard 96"}
LONG = {"paper": "standard 3200", "small": "standard 800", "smoke": "standard 48", "": "standard 400"}

THOUSAND = Setting(
    "a thousand examples; the shortest runs have three epochs (Zhang et al., section 6)",
    max_train_examples=1000,
    min_epochs=3,
    max_epochs=3,
    longer=((LONG, SHORT),),
    arms=(SHORT,),
)

CLAIMS = (
    Claim(
        name="longer_scores_higher",
        statement="On a thousand examples, training longer than three epochs raises the score.",
        source="Zhang et al. (2021), section 6, Figure 8, Table 1 (1k, Standard: higher on all eight tasks, by 0.012 to 0.153)",
        expected=f"on every task the paired difference of the longest standard runs to those of 96 steps is above 0: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=greater(LONG, SHORT),
        question=LONGER_TRAINING,
        setting=THOUSAND,
    ),
    Claim(
        name="gap_narrows",
        statement="Longer training narrows the gap between standard fine-tuning and re-initialisation.",
        source="Zhang et al. (2021), section 6, Table 1 (1k: the gap shrinks on all eight tasks, RTE 0.031 to 0.006; protocol "
        "section 3.5, d)",
        expected=f"on every task the gap of the longest runs is smaller than that of the shortest: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=narrows("reinit", "standard"),
        question=LONGER_TRAINING,
        setting=THOUSAND,
    ),
    Claim(
        name="longer_steadier",
        statement="On a thousand examples, training longer than three epochs makes scores spread less.",
        source="Zhang et al. (2021), Table 1 (1k, Standard: the std is smaller on all eight tasks, MNLI 0.042 to 0.011)",
        expected=f"on every task the longest standard runs have a smaller spread than those of 96 steps: {STEADIER}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=steadier(LONG, SHORT),
        question=LONGER_TRAINING,
        setting=THOUSAND,
    ),
    Claim(
        name="mnli_far_better",
        statement="On a thousand examples of MNLI three epochs are far too few.",
        source="Zhang et al. (2021), Table 1 (MNLI 1k, Standard: 0.522 and 0.675; protocol section 3.5, e)",
        expected=f"the paired difference of the longest standard runs to those of 96 steps is above 0.10: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=greater(LONG, SHORT, margin=0.1),
        tasks=("mnli_1k",),
        question=LONGER_TRAINING,
        setting=THOUSAND,
    ),
)


LEAD = "training_length"
REPORT = {
    "train_loss": report.figure(curves, split="train", metric="loss"),
    "training_length": report.figure(training_length, published=PUBLISHED),
    "score_distribution": report.figure(distributions),
    "scores": report.table(score_summary),
    "published": report.table(beside_published, numbers=PUBLISHED),
    "zhang_table_1": report.table(published_layout, numbers=PUBLISHED, places=[("zhang2021", "Table 1")]),
}
