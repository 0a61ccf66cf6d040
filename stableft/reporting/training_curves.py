"""Training curves: logged series in the shapes that figures and tables share."""

import numpy as np
import pandas as pd

from stableft.core.errors import NotLogged
from stableft.storage.records import CELL, Results

BLOCK = "layer."  # the scope of what is logged for the lowest block is layer.01


def interval_means(results: Results, metric: str, interval: int | None = None) -> pd.DataFrame:
    """Averages a series logged at every training step over consecutive intervals, as Zhang et al. log the training loss.

    Args:
        results: Runs and metrics of one experiment.
        metric: Name of the series, of split ``train``. Values that aren't finite are left out.
        interval: Steps of an interval, >= 1; None: a tenth of the run (floor, at least 1), as in the source.

    Returns:
        The cell of the run, step (the interval's last one) and value. Steps after the last whole interval are left out, as in the
        source.
    """
    metrics = results.metrics
    wanted = (metrics["split"] == "train") & (metrics["metric"] == metric) & (metrics["scope"] == "")
    rows = metrics[wanted & np.isfinite(metrics["value"])].merge(results.runs[[*CELL, "num_steps"]], on=CELL)
    width = interval or np.maximum(1, rows["num_steps"] // 10)
    rows["step"] = -(-rows["step"] // width) * width
    rows = rows[rows["step"] <= rows["num_steps"] // width * width]
    return rows.groupby([*CELL, "step"], sort=False, observed=True)["value"].mean().reset_index()


def parts(results: Results, task: str) -> list[str]:
    """Returns the parts of the model with logged norms, from the embeddings up: ``embeddings``, ``layer.01`` .. ``head``.

    Raises:
        NotLogged: none.
    """
    metrics = results.metrics
    logged = metrics.loc[(metrics["metric"] == "block_grad_norm") & (metrics["task"] == task), "scope"].unique()
    if not len(logged):
        raise NotLogged(f"no run of {task} holds the metric 'block_grad_norm': older runs lack it, run them again")
    order = {"embeddings": 0, "pooler": 2, "head": 3}
    return sorted(map(str, logged), key=lambda part: (order.get(part, 1), part))


def by_block(results: Results, metric: str) -> pd.DataFrame:
    """Returns a series that every block of the encoder has, of the runs that finished.

    Args:
        results: Runs and metrics of one experiment.
        metric: ``distance`` or ``block_grad_norm``.

    Returns:
        The cell of the run, depth (1 is the lowest block), step and value.

    Raises:
        NotLogged: no such run.
    """
    metrics = results.metrics
    rows = metrics[(metrics["metric"] == metric) & metrics["scope"].str.startswith(BLOCK)]
    rows = rows.merge(results.runs.loc[results.runs["outcome"] == "ok", CELL], on=CELL)
    if rows.empty:
        raise NotLogged(f"no finished run holds the metric {metric!r} of single blocks: older runs lack it, run them again")
    rows["depth"] = rows["scope"].str.removeprefix(BLOCK).astype("int64")
    return rows[[*CELL, "depth", "step", "value"]]


def surfaces(results: Results) -> pd.DataFrame:
    """Returns the points of the surfaces that runs logged after their last step; see `stableft.training.surface`.

    Returns:
        The cell of the run, a and b (the point's place on the plane), loss and score (of the same training examples).

    Raises:
        NotLogged: no run has a surface.
    """
    metrics = results.metrics
    loss, score = (
        metrics.loc[metrics["metric"] == f"surface_{name}", [*CELL, "scope", "value"]].rename(columns={"value": name})
        for name in ("loss", "score")
    )
    if loss.empty:
        raise NotLogged("no run holds a surface: only a configuration with `surface` logs one, after its last step")
    frame = loss.merge(score, on=[*CELL, "scope"], how="left")
    frame[["a", "b"]] = frame["scope"].str.extract(r"^a=(\S+) b=(\S+)$").astype("float64")
    return frame[[*CELL, "a", "b", "loss", "score"]]
