"""Do a failed and a successful run end in different valleys?

Question: two runs start from the same weights, including the head, and see the same batches; one
fails and one does not. What is the training loss on the plane through their start and their two
ends? Does a path lead downhill from the failed end to the successful one, or is there a barrier?

Source: Mosbach et al. (2021), Figures 7 and 13: RTE, MRPC and CoLA with BERT-large, one pair of
runs each; protocol section 5.3, item 7. Their code was never released, and the examples, the range
and the number of points are not printed. Their two runs differ in whatever made one fail; ours
differ in Adam's bias correction alone.

Prediction: the failed run ends on a plateau at the loss of a constant prediction, at a large
distance from the start, in a valley of its own; the successful one in a deep valley nearer to the
start. Between the two ends the loss is higher than at either.

Found (laptop): a plateau, but no separate valley. docpair, seed 0, 200 training examples: the
uncorrected run failed (test accuracy 0.500) and ends at a loss of 0.692, ln 2 being 0.693, with its
blocks four times as far from the start as the corrected one's (7.0 to 7.6 against 1.8). Everything
at a >= 0.3 lies between 0.690 and 0.742, for any b, and the path to the failed end is flat from the
start on (0.690 to 0.693). The corrected run (0.629) ends in a narrow valley, at 0.131, and the path
there from the start leads downhill all along. On the straight line from the failed end to the
successful one the loss is level over seven tenths of the way, rises to 0.695 at most, and then
falls: no considerable barrier, but also no slope that would lead out. One pair of runs of MiniLM,
not BERT-large.

Cost: 2 runs, one after the other in one process, 25 minutes at the lowest priority while other jobs
were running (194 s the uncorrected run, 1,319 s the corrected one and the surface). Processor time:
0.47 s for each of the 441 points, 3.5 minutes; training takes 25 s a run with nothing else running
(adam's).

Axis a leads from the start to the uncorrected run's end, axis b to the corrected one's, both from
-0.5 to 1.5 in steps of 0.1. The loss is that of fixed training examples, without dropout. The arm
does not decide which run failed: at paper, choose a seed with a failed uncorrected run in adam.
`uncorrected` is adam's run; `corrected` differs from adam's only by the surface and has the same
scores.
"""

from stableft.core.config import SurfaceConfig
from stableft.core.grid import Grid, Override, Protocol
from stableft.reporting import report
from stableft.reporting.claims import BIAS_CORRECTION, Claim
from stableft.reporting.claims.hypotheses import each
from stableft.reporting.claims.run_measures import barrier_share
from stableft.reporting.figures import curves, loss_surface
from stableft.reporting.tables import score_summary

from .protocol import RTE

TASKS = {"laptop": ("docpair",), "small": ("rte",), "paper": ("rte", "mrpc", "cola")}
POINTS = {"smoke": {"resolution": 2, "margin": 1}}
NUM_EXAMPLES = {"smoke": 16, "paper": 500}


def grid(protocol: Protocol) -> Grid:
    """Builds two runs that differ only in the bias correction; the corrected one computes the surface."""
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
        expected="on every task, in every pair of runs at hand, the training loss on the straight line from the failed run's end "
        "to the successful one's rises above the higher end by more than a tenth of the difference between the ends",
        about=RTE.encoder,
        minimum_n=1,
        test=each(barrier_share, "corrected", margin=0.1),
        question=BIAS_CORRECTION,
    ),
)

LEAD = "loss_surface"
REPORT = {
    "loss_surface": report.figure(loss_surface),
    "train_loss": report.figure(curves, split="train", metric="loss"),
    "scores": report.table(score_summary),
}
