"""Training curves: logged series in the shapes shared by figures and tables."""

from dataclasses import replace

import numpy as np
import pandas as pd

from stableft.core.errors import NotLogged
from stableft.storage.records import CELL, Results

BLOCK = "layer."  # metrics of the lowest block have the scope layer.01


def interval_means(results: Results, metric: str, interval: int | None = None) -> pd.DataFrame:
    """Averages a series over consecutive intervals of steps.

    Zhang et al. log the training loss in this way.

    Args:
        results: Runs and metrics of one experiment.
        metric: Name of a series of the split ``train``. Values that are not finite are left out, and so
            are runs that logged it less often than once an interval: their values are means over other
            steps, as of imported runs.
        interval: Steps of an interval, >= 1; None: a tenth of the run (floor, at least 1), as in the
            source.

    Returns:
        The cell of the run, step (the interval's last) and value. Steps after the last whole interval
        are left out, as in the source.
    """
    metrics = results.metrics
    wanted = (metrics["split"] == "train") & (metrics["metric"] == metric) & (metrics["scope"] == "")
    rows = metrics[wanted & np.isfinite(metrics["value"])].merge(results.runs[[*CELL, "num_steps"]], on=CELL)
    rows["width"] = interval or np.maximum(1, rows["num_steps"] // 10)
    # Steps from one logged value to the next, and from 0 to the first; rows of a run are in the order of steps.
    by_run = rows.groupby(CELL, sort=False, observed=True)
    gaps = by_run["step"].diff().fillna(rows["step"])
    sparse = (gaps > rows["width"]).groupby(rows["run_id"], sort=False, observed=True).transform("any")
    rows = rows[~sparse]
    rows = rows.assign(step=-(-rows["step"] // rows["width"]) * rows["width"])
    rows = rows[rows["step"] <= rows["num_steps"] // rows["width"] * rows["width"]]
    return rows.groupby([*CELL, "step"], sort=False, observed=True)["value"].mean().reset_index()


def of_one_length(results: Results) -> Results:
    """Keeps the runs of each task's most common length, the shortest one on ties.

    Equal steps of runs of different lengths lie at different points of the schedule, so they are not
    comparable.
    """
    lengths = results.runs.groupby("task", sort=False, observed=True)["num_steps"]
    return replace(results, runs=results.runs[results.runs["num_steps"] == lengths.transform(lambda steps: steps.mode().min())])


def parts(results: Results, task: str) -> list[str]:
    """Returns the parts of the model with logged gradient norms, in the order of the model.

    They are ``embeddings``, ``layer.01`` and so on, ``pooler`` and ``head``.

    Raises:
        NotLogged: no run of the task logged gradient norms.
    """
    metrics = results.metrics
    logged = metrics.loc[(metrics["metric"] == "block_grad_norm") & (metrics["task"] == task), "scope"].unique()
    if not len(logged):
        raise NotLogged(f"no run of {task} holds the metric 'block_grad_norm': older runs lack it, run them again")
    order = {"embeddings": 0, "pooler": 2, "head": 3}
    return sorted(map(str, logged), key=lambda part: (order.get(part, 1), part))


def by_block(results: Results, metric: str) -> pd.DataFrame:
    """Returns a series logged for every block of the encoder, for finished runs.

    Args:
        results: Runs and metrics of one experiment.
        metric: ``distance`` or ``block_grad_norm``.

    Returns:
        The cell of the run, depth (1 is the lowest block), step and finite value.

    Raises:
        NotLogged: no finished run logged it, or none of its values is finite.
    """
    metrics = results.metrics
    rows = metrics[(metrics["metric"] == metric) & metrics["scope"].str.startswith(BLOCK)]
    rows = rows.merge(results.runs.loc[results.runs["outcome"] == "ok", CELL], on=CELL)
    if rows.empty:
        raise NotLogged(f"no finished run holds the metric {metric!r} of single blocks: older runs lack it, run them again")
    rows = rows[np.isfinite(rows["value"])]
    if rows.empty:
        raise NotLogged(f"no value of the metric {metric!r} of single blocks is finite")
    rows["depth"] = rows["scope"].str.removeprefix(BLOCK).astype("int64")
    return rows[[*CELL, "depth", "step", "value"]]


def surfaces(results: Results) -> pd.DataFrame:
    """Returns the points of the loss surfaces, logged after the last step of a run.

    See `stableft.training.surface`.

    Returns:
        The cell of the run, a and b (coordinates of the point on the plane), loss and score (both on
        the same training examples).

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
