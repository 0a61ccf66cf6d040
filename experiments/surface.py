"""Do a failed and a successful run end in different valleys?

Question: two runs start from the same weights, the head's included, and see the same batches; one fails, one does not. What does
the training loss look like on the plane through their start and their two ends: is there a way downhill from the failed end to
the successful one, or a barrier?

Source: Mosbach et al. (2021), Figures 7 and 13: RTE, MRPC and CoLA with BERT-large, one pair of runs each; protocol section 5.3,
item 7. Their code was never released, and the examples, the range and the number of points are not printed. Theirs differ in what
made one fail; here the two differ in Adam's bias correction alone.

Prediction: the failed run ends on a plateau at the loss of a constant prediction, far from the start, in a valley of its own; the
successful one in a deep valley nearer the start; between the two ends the loss is higher than at either.

Found (laptop): not run yet.

Cost: not run yet.

Axis a leads from the start to the uncorrected run's end, axis b to the corrected one's, both from -0.5 to 1.5 in steps of 0.1. The
loss is that of fixed training examples, without dropout. Which run failed is for the runs to say, not for the arm: at paper, choose
a seed whose uncorrected run failed in adam. `uncorrected` is adam's; `corrected` is too but for the surface, and has its scores.
"""

from stableft import report
from stableft.config import SurfaceConfig
from stableft.figures import loss_surface
from stableft.grid import Grid, Override, Protocol

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


REPORT = {
    "loss_surface": report.figure(loss_surface),
    "train_loss": report.curves(split="train", metric="loss"),
    "scores": report.score_table(),
}
