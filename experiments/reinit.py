"""Does it help to re-initialise the top blocks?

Question: the top blocks of a pre-trained encoder are reported to be specialised in the pre-training
task, and to be a bad start for another. Does fine-tuning become faster, better and more stable if
they, and the pooler, start from random weights instead?

Source: Zhang et al. (2021), section 5, Figures 5-7 and 13, Table 1 (24 blocks, 1 to 6 of them
re-initialised). For the pooler alone also the TNEWS note: its loss falls slightly faster at equal
accuracy.

Prediction: with re-initialised blocks the training loss falls faster. As in the source, the mean
rises and the spread shrinks most on the smaller and harder task (docpair, like RTE), less on
docs15. The pooler alone changes little. MiniLM-L6 was trained with mean pooling, and its pooler
looks untrained (all biases exactly 0, weights of std 0.009): that arm doubles the scale of the
pooler's weights and loses nothing learnt.

Found (laptop): partly as predicted, 10 seeds, at the learning rates of `standard`. docpair: one or
two re-initialised blocks gain 0.018 and 0.019 (pairs, 95 % intervals 0.009 to 0.025 and 0.011 to
0.025), three have no clear gain (+0.003), four lose 0.051, and with five or six the encoder does
not learn in three epochs (0.494 and 0.492; 7 of 10 runs failed). The training loss falls faster
with the pooler or one to three re-initialised blocks (last tenth 0.296, 0.309, 0.329, 0.334 against
0.352), more slowly with more. docs15: every number of blocks costs, 0.044, 0.073, 0.064, 0.105,
0.099 and 0.069 for one to six, and their loss falls more slowly. The pooler alone: +0.008 on docs15
(0.003 to 0.014), 0.000 on docpair. Up to four blocks no run failed, so there was little to
stabilise, and spreads hardly shrank (docpair: 0.007 with three against 0.009). As in the source's
Figure 7, re-initialised blocks end nearer to their start than pre-trained ones (block 6 of docpair:
1.44 with two, 1.75 in `standard`); those below move hardly more than in `standard`.

Found (small): RTE with MiniLM, ONE seed, so no more than an example: standard 0.554, pooler 0.576,
one block 0.583, three 0.590, six 0.532; one item of 139 is 0.007. The more blocks, the higher the
training loss at the end (0.427, 0.411, 0.448, 0.494, 0.617).

Cost: 160 runs, of which 20 are adam's, 82 minutes on 2 cores while many other jobs were running
(sum of the runs' own times / 2). At small 5 runs, 13 minutes likewise.

1 and 2 of 6 blocks are 17 % and 33 %, on either side of the quarter (6 of 24) at which the source's
Figure 5 ends. Its maximum, 10 of 24, is less than 3 of 6. The learning rate is the best one for
`standard`, which favours that arm. `standard` and adam's `corrected` are the same runs. Distances
were logged for 3 or 4 seeds of `standard`, `pooler` and one and two blocks, and for all seeds of
the other arms.
"""

from stableft.core.grid import Grid, Override, Protocol
from stableft.reporting import report
from stableft.reporting.claims import REINITIALISATION, Claim
from stableft.reporting.claims.hypotheses import FEWEST, SIGNIFICANT, STEADIER, greater, less, steadier
from stableft.reporting.claims.measures import train_loss
from stableft.reporting.claims.run_measures import BlockDistance
from stableft.reporting.figures import best_of, curves, distances, distributions
from stableft.reporting.tables import (
    arm_summary,
    beside_published,
    convergence,
    disagreement,
    published_layout,
    seeds_needed,
    stability,
)
from stableft.techniques.reinit import Reinit

from .protocol import GLUE_SMALL, LAPTOP, RTE
from .published import CURVES, PUBLISHED

TASKS = {"small": ("rte",), "paper": GLUE_SMALL}  # the Chinese encoder of small has 4 blocks
NUM_LAYERS = {"smoke": (1, 2), "laptop": tuple(range(1, 7)), "small": (1, 3, 6)}  # of encoders with 2, 6 and 6 blocks
SOURCE_LAYERS = (*range(1, 7), 10)  # Figure 5 has 1 to 6, Figure 7 also 10
NUM_SEEDS = {"paper": 20}


def grid(protocol: Protocol) -> Grid:
    """Builds the baseline, the pooler alone, and the pooler with more and more blocks, on every task."""
    arms: dict[str, Override] = {
        "standard": {"techniques": None},
        "pooler": {"techniques": (Reinit(pooler=True, num_layers=0),)},
    }
    for num_layers in NUM_LAYERS.get(protocol.name, SOURCE_LAYERS):
        arms[f"pooler+{num_layers}"] = {"techniques": (Reinit(pooler=True, num_layers=num_layers),)}
    seeds = tuple(protocol.seeds)[: NUM_SEEDS.get(protocol.name)]
    return Grid("reinit", protocol, arms, TASKS.get(protocol.name, protocol.tasks), seeds)


# About a fifth of the blocks: 5 of 24, as in the source's sample command, or 1 of 6.
REINIT = {**dict.fromkeys(("smoke", "laptop", "small"), "pooler+1"), "": "pooler+5"}
MOST = {"paper": "pooler+10", "smoke": "pooler+2", "": "pooler+6"}
TOO_MANY = {"paper": "pooler+10", "smoke": "pooler+2", "": "pooler+3"}
SHOWN = ("rte", "mrpc", *LAPTOP.tasks)  # in Figures 5 and 6

CLAIMS = (
    Claim(
        name="scores_higher",
        statement="With the pooler and top blocks drawn anew scores are higher.",
        source="Zhang et al. (2021), Table 1: RTE 0.726 and 0.695, MRPC 0.914 and 0.908, STS-B 0.894 and 0.890 (protocol section"
        " 3.5, c)",
        expected=f"on every task the paired difference to standard is above 0: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=greater(REINIT, "standard"),
        tasks=("rte", "mrpc", "stsb", *LAPTOP.tasks),
        question=REINITIALISATION,
    ),
    Claim(
        name="steadier",
        statement="With the pooler and top blocks drawn anew scores spread less over seeds.",
        source="Zhang et al. (2021), Table 1: std on RTE 0.016 and 0.025, MRPC 0.008 and 0.013, STS-B 0.002 and 0.006 (protocol "
        "section 3.5, b)",
        expected=f"on every task it has a smaller spread than standard: {STEADIER}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=steadier(REINIT, "standard"),
        tasks=("rte", "mrpc", "stsb", *LAPTOP.tasks),
        question=REINITIALISATION,
    ),
    Claim(
        name="faster",
        statement="With the pooler and top blocks drawn anew the training loss falls faster.",
        source="Zhang et al. (2021), Figure 6 (at the end RTE 0.21 and 0.385, MRPC 0.11 and 0.21; read off)",
        expected=f"on every task the training loss, mean over the whole run, is lower than standard's: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=less(REINIT, "standard", train_loss(1, 10)),
        tasks=SHOWN,
        question=REINITIALISATION,
    ),
    Claim(
        name="pooler_alone_gains",
        statement="With the pooler alone drawn anew scores are a little higher.",
        source="Zhang et al. (2021), Figure 5: medians on RTE 0.721 and 0.717, on MRPC 0.895 and 0.890 (read off)",
        expected=f"on every task the paired difference to standard is above 0: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=greater("pooler", "standard"),
        tasks=SHOWN,
        question=REINITIALISATION,
    ),
    Claim(
        name="blocks_beyond_pooler",
        statement="Blocks drawn anew bring more than the pooler alone.",
        source="Zhang et al. (2021), Figure 5: medians of 5 blocks and of the pooler on RTE 0.739 and 0.721, on MRPC 0.900 and "
        "0.895 (read off)",
        expected=f"on every task the paired difference to the pooler alone is above 0: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=greater(REINIT, "pooler"),
        tasks=SHOWN,
        question=REINITIALISATION,
    ),
    Claim(
        name="more_is_worse",
        statement="Beyond an optimum, more re-initialised blocks lower the score again.",
        source="CommonLit article: five of twelve blocks, more is worse; Zhang et al. (2021), section 5, Figure 5: 1 to 6 of 24",
        expected="on every task the paired difference of a fifth of the blocks to the most (at paper 10 of 24, else all six) is "
        f"above 0: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=greater(REINIT, MOST),
        tasks=SHOWN,
        question=REINITIALISATION,
    ),
    Claim(
        name="top_blocks_move_less",
        statement="Top blocks drawn anew move less during fine-tuning than pre-trained ones.",
        source="Zhang et al. (2021), Figure 7: block 24 at step 240 at a distance of 0.51 or less, Standard 0.875 (read off)",
        expected=f"on every task the topmost block's L2 distance to its start, at the end, is below standard's: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=less(REINIT, "standard", BlockDistance(1.0)),
        tasks=("rte", *LAPTOP.tasks),
        question=REINITIALISATION,
    ),
    Claim(
        name="too_many_move_low_blocks",
        statement="With too many blocks drawn anew the low blocks move more.",
        source="Zhang et al. (2021), Figure 7: block 6 at step 240 at 0.855 with 10 of 24 blocks, Standard 0.76 (read off)",
        expected="on every task the L2 distance to its start of the block at a quarter of the depth, at the last step, is above "
        f"standard's with 10 of 24 blocks drawn anew, or 3 of 6: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=greater(TOO_MANY, "standard", BlockDistance(0.25)),
        tasks=("rte", *LAPTOP.tasks),
        question=REINITIALISATION,
    ),
    Claim(
        name="cola_gains",
        statement="On CoLA, too, scores are higher.",
        source="Zhang et al. (2021), Table 1: 0.639 and 0.630; not so in the replication, 0.632 and 0.638 (no must: protocol "
        "section 3.5)",
        expected=f"on CoLA the paired difference to standard is above 0: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=greater(REINIT, "standard"),
        tasks=("cola",),
        question=REINITIALISATION,
    ),
)


FIGURE_6 = ("standard", "pooler+1", "pooler+5")  # Figure 6; here also the fewest blocks
FIGURE_7 = ("standard", "pooler+1", "pooler+3", "pooler+6", "pooler+10")  # Figures 7 and 15 to 18

REPORT = {
    "train_loss": report.figure(curves, split="train", metric="loss", published=CURVES),
    "train_loss_range": report.figure(curves, split="train", metric="loss", band="range", arms=FIGURE_6),
    "score_distribution": report.figure(distributions, published=PUBLISHED),
    "validation_distribution": report.figure(distributions, split="validation", published=PUBLISHED),
    "best_of": report.figure(best_of, published=PUBLISHED),
    "distances": report.figure(distances, arms=FIGURE_7),
    "distances_of_every_block": report.figure(distances, every=True, arms=FIGURE_7),
    "convergence": report.table(convergence),
    "published": report.table(beside_published, numbers=PUBLISHED),
    "zhang_table_7": report.table(published_layout, numbers=PUBLISHED, places=[("zhang2021", "Table 7")]),
    "arms": report.table(arm_summary),
    "stability": report.table(stability),
    "seeds_needed": report.table(seeds_needed),
    "disagreement": report.table(disagreement),
}
