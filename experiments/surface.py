"""Do a failed and a successful run end in different valleys?

Question: two runs start from the same weights, the head's included, and see the same batches; one fails, one does not. What does
the training loss look like on the plane through their start and their two ends: is there a way downhill from the failed end to
the successful one, or a barrier?

Source: Mosbach et al. (2021), Figures 7 and 13: RTE, MRPC and CoLA with BERT-large, one pair of runs each; protocol section 5.3,
item 7. Their code was never released, and the examples, the range and the number of points are not printed. Theirs differ in what
made one fail; here the two differ in Adam's bias correction alone.

Prediction: the failed run ends on a plateau at the loss of a constant prediction, far from the start, in a valley of its own; the
successful one in a deep valley nearer the start; between the two ends the loss is higher than at either.

Found (laptop): a plateau, but no valley of its own. docpair, seed 0, 200 training examples: the uncorrected run failed (test
accuracy 0.500) and ends at a loss of 0.692, ln 2 being 0.693, with its blocks four times as far from the start as the corrected
one's (7.0 to 7.6 against 1.8). Everything at a >= 0.3 lies between 0.690 and 0.742, whatever b is, and the way to the failed end is
flat from the start on (0.690 to 0.693). The corrected run (0.629) ends in a narrow valley, at 0.131, and the way there from the
start leads downhill all along. From the failed end straight to the successful one the loss is level over seven tenths of the way,
rises to 0.695 at most, and then falls: no barrier to speak of, but no slope that would lead out either. One pair of runs of MiniLM,
not BERT-large.

Cost: 2 runs, one after the other in one process, 25 minutes at the lowest priority beside other work (194 s the uncorrected run,
1,319 s the corrected one and the surface). Processor time: 0.47 s for each of the 441 points, 3.5 minutes; training takes 25 s a
run where nothing else runs (adam's).

Axis a leads from the start to the uncorrected run's end, axis b to the corrected one's, both from -0.5 to 1.5 in steps of 0.1. The
loss is that of fixed training examples, without dropout. Which run failed is for the runs to say, not for the arm: at paper, choose
a seed whose uncorrected run failed in adam. `uncorrected` is adam's; `corrected` is too but for the surface, and has its scores.
"""

from experiments.protocol import RTE
from stableft.core.config import SurfaceConfig
from stableft.core.grid import Grid, Override, Protocol
from stableft.reporting import report
from stableft.reporting.claims import Claim
from stableft.reporting.claims.hypotheses import FEWEST, SIGNIFICANT, positive
from stableft.reporting.claims.measures import barrier
from stableft.reporting.figures import curves, loss_surface
from stableft.reporting.tables import score_summary

TASKS = {"laptop": ("docpair",), "small": ("rte",), "paper": ("rte", "mrpc", "cola")}
POINTS = {"smoke": {"resolution": 2, "margin": 1}}
NUM_EXAMPLES = {"smoke": 16, "paper": 500}


def grid(protocol: Protocol) -> Grid:
    """Two runs that differ in the switch alone; the corrected one is followed by the surface."""
    surface = SurfaceConfig(
        bias_correction=False, num_examples=NUM_EXAMPLES.get(protocol.name, 200), **POINTS.get(protocol.name, {})
    )
    arms: dict[str, Override] = {
        "corrected": {"adam.bias_correction": True, "surface": surface},
        "uncorrected": {"adam.bias_correction": False},
    }
    return Grid("surface", protocol, arms, TASKS.get(protocol.name, protocol.tasks), tuple(protocol.seeds)[:1])


CLAIMS = (
    Claim(
        name="separate_valleys",
        statement="A failed run ends in a valley of its own, apart from that of a successful one.",
        source="Mosbach et al. (2021), Figures 7 and 13 (one pair of runs on each of RTE, MRPC and CoLA)",
        expected="on every task, on the straight line from the failed run's end to the successful one's, the training loss rises "
        f"above that of the higher end: {SIGNIFICANT}",
        about=RTE.encoder,
        minimum_n=FEWEST,
        test=positive(barrier, "corrected"),
    ),
)

REPORT = {
    "loss_surface": report.figure(loss_surface),
    "train_loss": report.figure(curves, split="train", metric="loss"),
    "scores": report.table(score_summary),
}
