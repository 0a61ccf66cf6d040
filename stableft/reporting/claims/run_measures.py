"""Run measures: numbers of a run's training that claims compare, from its logged series.

As in `stableft.reporting.claims.measures`, each returns the cell of every run, and ``value``.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from stableft.core.errors import NotLogged
from stableft.reporting.claims.measures import Measure, barrier
from stableft.reporting.run_scores import final_scores
from stableft.reporting.training_curves import by_block, interval_means, surfaces
from stableft.storage.records import CELL, Results

ROUGH_STEPS = 10  # the TNEWS note's figure has a point per 10 steps


def roughness(results: Results) -> pd.DataFrame:
    """Returns the sum of all rises of the training loss, mean over every 10 steps, of finished runs.

    0 for a loss that falls all along.

    Raises:
        NotLogged: no finished run has a training loss.
    """
    points = _finished(interval_means(results, "loss", ROUGH_STEPS), results)
    rises = points.sort_values("step").groupby(CELL, sort=False, observed=True)["value"]
    return points.assign(value=rises.diff().clip(lower=0)).groupby(CELL, sort=False, observed=True)["value"].sum().reset_index()


def loss_fall(results: Results) -> pd.DataFrame:
    """Returns the mean training loss of each finished run's first tenth, less that of its last tenth.

    About 0 if the loss is flat.

    Raises:
        NotLogged: no finished run has a training loss.
    """
    points = _finished(interval_means(results, "loss"), results).sort_values("step")
    tenths = points.groupby(CELL, sort=False, observed=True)["value"]
    return (tenths.first() - tenths.last()).reset_index()


@dataclass(frozen=True)
class BlockDistance:
    """Measure: final L2 distance of one block to its start, as in Zhang et al., Figure 7.

    Attributes:
        depth: Of the block, as a share of all blocks, in (0, 1]: 1 is the topmost one, 0.25 the sixth
            of 24.
    """

    depth: float

    def __call__(self, results: Results) -> pd.DataFrame:
        rows = by_block(results, "distance")
        deepest = rows.groupby(CELL, sort=False, observed=True)["depth"].transform("max")
        rows = rows[rows["depth"] == (self.depth * deepest).round().clip(lower=1)].sort_values("step")
        return rows.groupby(CELL, sort=False, observed=True)["value"].last().reset_index()


def low_gradients(results: Results) -> pd.DataFrame:
    """Returns log10 of the gradient norm of the lowest quarter of blocks over a run's last tenth.

    The geometric mean over blocks and logged steps, as norms differ by orders of magnitude.
    """
    rows = by_block(results, "block_grad_norm").merge(results.runs[[*CELL, "num_steps"]], on=CELL)
    deepest = rows.groupby(CELL, sort=False, observed=True)["depth"].transform("max")
    rows = rows[(rows["depth"] <= np.maximum(1, deepest // 4)) & (rows["step"] > 0.9 * rows["num_steps"]) & (rows["value"] > 0)]
    rows = rows.assign(value=np.log10(rows["value"]))
    return rows.groupby(CELL, sort=False, observed=True)["value"].mean().reset_index()


@dataclass(frozen=True)
class FailedPairs:
    """Measure: another measure, only at seeds where one arm's run failed and the other's did not.

    Attributes:
        measure: The other measure.
        failed: The arm whose run failed.
        successful: The arm whose run did not.
    """

    measure: Measure
    failed: str
    successful: str

    def __call__(self, results: Results) -> pd.DataFrame:
        runs = final_scores(results)
        runs = runs[runs["arm"].isin([self.failed, self.successful])]
        wide = runs.pivot(index=["task", "seed"], columns="arm", values="failed").reindex(columns=[self.failed, self.successful])
        kept = wide.index[(wide[self.failed] == 1) & (wide[self.successful] == 0)]
        if kept.empty:
            raise NotLogged(f"no seed at which {self.failed} failed and {self.successful} did not")
        frame = self.measure(results)
        return frame[pd.MultiIndex.from_frame(frame[["task", "seed"]]).isin(kept)].reset_index(drop=True)


def barrier_share(results: Results) -> pd.DataFrame:
    """Returns the barrier between two runs' ends, as a share of the difference of their losses.

    See `stableft.reporting.claims.measures.barrier`. Ripples of a plateau are a small share.

    Raises:
        NotLogged: no run has a surface, or no surface is of a failed and a successful run.
    """
    points = surfaces(results)
    ends = points[((points["a"] == 0) & (points["b"] == 1)) | ((points["a"] == 1) & (points["b"] == 0))]
    losses = ends.groupby(CELL, sort=False, observed=True)["loss"]
    depth = (losses.max() - losses.min()).rename("depth").reset_index()
    both = barrier(results).merge(depth, on=CELL)
    return both.assign(value=both["value"] / both["depth"])[[*CELL, "value"]]


def _finished(points: pd.DataFrame, results: Results) -> pd.DataFrame:
    finished = points.merge(results.runs.loc[results.runs["outcome"] == "ok", CELL], on=CELL)
    if finished.empty:
        raise NotLogged("no finished run with a training loss")
    return finished
