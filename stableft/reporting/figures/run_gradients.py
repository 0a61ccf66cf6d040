"""Run gradients: gradient norms of each block, in one failed run beside one successful run.

Shows if the gradients of lower blocks vanish in a failed run. Mosbach et al. (2021), Figures 4 and
10 to 12; protocol section 5.3. `stableft.reporting.figures.block_gradients` shows the mean of all
runs.
"""

from collections.abc import Collection

import pandas as pd
from matplotlib.figure import Figure

from stableft.core.errors import NotLogged
from stableft.reporting import captions, panel_parts, run_scores, training_curves
from stableft.reporting.figures import style
from stableft.storage.records import CELL, Results

FAILED, SUCCESSFUL = "failed", "successful"
CAPTION = (
    "Gradient norms of each block, one failed run beside one successful run. L2 norm before clipping; the first failed run "
    "of an arm with both kinds if there is one, and the nearest successful one."
)
note = captions.arms_drawn


def data(results: Results, *, arms: Collection[str] | None = None) -> pd.DataFrame:
    """Chooses a failed and a successful run of each task, and collects their gradient norms for `plot`.

    Args:
        results: Runs and metrics of one experiment.
        arms: Arms to choose from, see `stableft.reporting.run_scores.of_arms`; None: all.

    Returns:
        Columns task, outcome (``failed`` or ``successful``), arm, seed, depth (1 is the lowest block),
        step and value. A task without a run of one outcome has rows of the other one only.

    Raises:
        NotLogged: no run is of the arms. Or no finished one logged gradient norms, among those of the
            length that most runs have.
    """
    shown = training_curves.of_one_length(run_scores.of_arms(results, arms))
    rows = training_curves.by_block(shown, "block_grad_norm")
    scores = run_scores.final_scores(shown)
    logged = scores[scores["run_id"].isin(rows["run_id"])]
    chosen = [_chosen(of_task) for _, of_task in logged.groupby("task", sort=False, observed=True)]
    if not chosen:
        raise NotLogged("no run holds gradient norms")
    frame = pd.concat(chosen, ignore_index=True).merge(rows, on=CELL)
    return frame[["task", "outcome", "arm", "seed", "depth", "step", "value"]].astype({"arm": "str"})


def plot(frame: pd.DataFrame, results: Results, **_: object) -> Figure:
    """Draws a row per task, the failed run left and the successful one right, with a line per block.

    Both panels of a row share one logarithmic scale.
    """
    deepest = int(frame["depth"].max())
    tasks = [task for task in results.runs["task"].unique() if task in set(frame["task"])]
    with style.context():
        figure, panels = style.panels(2 * len(tasks))
        for place, panel in enumerate(panels):
            task, outcome = tasks[place // 2], (FAILED, SUCCESSFUL)[place % 2]
            of_task = frame[frame["task"] == task]
            run = of_task[of_task["outcome"] == outcome]
            panel.set(yscale="log", xlabel="step", ylabel="gradient norm of the block", xlim=(0, 1.02 * of_task["step"].max()))
            style.same_scale(panel, of_task.loc[of_task["value"] > 0, "value"])
            named = f"{task}, {outcome}: {run['arm'].iloc[0]}, seed {run['seed'].iloc[0]}" if len(run) else f"{task}, {outcome}"
            panel.set_title(named)
            panel_parts.block_lines(panel, run, deepest)
            if run.empty:
                style.nothing(panel, f"no {outcome} run")
        style.legend(figure)
    return figure


def _chosen(scores: pd.DataFrame) -> pd.DataFrame:
    """Returns the cells of the failed and the successful run of a task, with their ``outcome``."""
    both = scores.groupby("arm", sort=False, observed=True)["failed"].transform("nunique") == 2
    ordered = pd.concat([scores[both], scores[~both]])
    failed, good = ordered[ordered["failed"]].head(1), ordered[~ordered["failed"]]
    if len(failed) and len(good):
        place = {arm: place for place, arm in enumerate(scores["arm"].unique())}
        away = (good["arm"].map(place).astype(int) - place[failed["arm"].iloc[0]]).abs()
        good = good.assign(away=away, other=good["seed"] != failed["seed"].iloc[0]).sort_values(["away", "other"], kind="stable")
    return pd.concat([failed.assign(outcome=FAILED), good.head(1).assign(outcome=SUCCESSFUL)])[[*CELL, "outcome"]]
