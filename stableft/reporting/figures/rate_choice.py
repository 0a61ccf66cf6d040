"""Rate choice: arms at their own best learning rates, beside both at one arm's best rate.

The fair comparison of two optimizers tunes both. No source draws it.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stableft import statistics
from stableft.core.errors import MissingInput, NotLogged, TooFew
from stableft.reporting import axis_labels, grid_axes, panel_parts, treatments
from stableft.reporting.figures import style
from stableft.reporting.tuned_rates import tuned_scores
from stableft.storage.records import Results

VALIDATION, DIFFERENCE = "validation", "difference"
OWN = "own"
CAPTION = (
    "Each arm at its own best learning rate, and both at one arm's. Left: validation score, triangles at the best rates. "
    "Right: paired difference by seed on examples that did not choose: test, or each half of validation."
)


def data(results: Results) -> pd.DataFrame:
    """Computes the scores by rate, and the differences at the chosen rates, for `plot`.

    Returns:
        Columns task, panel (``validation`` or ``difference``), arm, comparison (of differences:
        ``own``, or the name of the arm whose best rate both have), rates (of differences: as text, of
        the arm and of the first arm), lr (of validation scores), chosen (True if the arm chose that
        rate), seed (NA for means), value, low and high (95 % BCa interval of a mean difference, else
        NaN), n.

    Raises:
        NotLogged: no rate can be chosen, see `stableft.reporting.tuned_rates.tuned_scores`.
        MissingInput: no runs, a finished run without its final score, or an arm without a rate.
    """
    runs = grid_axes.learning_rates(results)
    runs = runs[runs["setting"] == ""]
    try:
        tuned = tuned_scores(results)
    except TooFew:
        raise
    except MissingInput as error:
        raise NotLogged(str(error)) from None
    own = tuned[tuned["rate_of"] == tuned["arm"]].drop_duplicates(["task", "arm"])
    chosen = {(task, arm): set(map(float, rates.split(" / "))) for task, arm, rates in own[["task", "arm", "rates"]].to_numpy()}
    rows: list[dict[str, object]] = []
    # As in the choice, only seeds that all rates of an arm have.
    for (task, arm, lr), group in grid_axes.common_seeds(runs).groupby(["task", "arm", "lr"], sort=False, observed=True):
        place = {"task": str(task), "panel": VALIDATION, "arm": str(arm), "lr": lr}
        place["chosen"] = any(np.isclose(float(str(lr)), rate) for rate in chosen.get((str(task), str(arm)), ()))
        rows.append({**place, "value": group["validation"].mean(), "n": len(group)})
        rows += [{**place, "seed": seed, "value": value, "n": 1} for seed, value in group[["seed", "validation"]].to_numpy()]
    first = str(runs["arm"].iloc[0])
    for task, of_task in tuned.groupby("task", sort=False):
        for arm in dict.fromkeys(of_task["arm"]):
            if arm != first:
                rows += _differences(of_task[of_task["arm"] == arm], of_task[of_task["arm"] == first], str(task))
    columns = ["task", "panel", "arm", "comparison", "rates", "lr", "chosen", "seed", "value", "low", "high", "n"]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"seed": "Int64", "n": "int64"})


def plot(frame: pd.DataFrame, results: Results) -> Figure:
    """Draws a row per task: score against rate left, paired differences right."""
    names = results.runs.drop_duplicates("task").set_index("task")["score_name"]
    first = str(frame.loc[frame["panel"] == VALIDATION, "arm"].iloc[0])
    styles = treatments.arm_styles(sorted(frame["arm"].unique()))
    tasks = list(frame["task"].unique())
    with style.context():
        figure, panels = style.panels(2 * len(tasks))
        for place, task in enumerate(tasks):
            of_task = frame[frame["task"] == task]
            left, right = panels[2 * place : 2 * place + 2]
            _draw_rates(left, of_task[of_task["panel"] == VALIDATION], first, styles)
            left.set(xlabel="learning rate", ylabel=axis_labels.of_score("validation", str(names[task])))
            left.set_title(str(task), pad=17)
            _draw_differences(right, of_task[of_task["panel"] == DIFFERENCE], styles)
            right.set(title=f"{task}, difference to {first}", xlabel="")
            right.set_ylabel(f"{axis_labels.score_name(str(names[task]))}, difference")
        style.legend(figure)
    return figure


def _differences(arm: pd.DataFrame, first: pd.DataFrame, task: str) -> list[dict[str, object]]:
    """Returns rows of the mean and of each pair, for own rates and for each shared choice."""
    name, reference = str(arm["arm"].iloc[0]), str(first["arm"].iloc[0])
    pairs = {OWN: (name, reference), reference: (reference, reference), name: (name, name)}
    rows: list[dict[str, object]] = []
    for comparison, (of_arm, of_first) in pairs.items():
        one, other = arm[arm["rate_of"] == of_arm], first[first["rate_of"] == of_first]
        both = one.merge(other, on="seed", suffixes=("", "_first"))
        if both.empty:
            continue
        place = {"task": task, "panel": DIFFERENCE, "arm": name, "comparison": comparison}
        place["rates"] = f"{one['rates'].iloc[0]} and {other['rates'].iloc[0]}" if comparison == OWN else str(one["rates"].iloc[0])
        difference = statistics.paired_difference(both["value"], both["value_first"], statistics.resampling())
        rows.append({**place, "value": difference.mean, "low": difference.low, "high": difference.high, "n": difference.n})
        by_seed = zip(both["seed"], both["value"] - both["value_first"], strict=True)
        rows += [{**place, "seed": seed, "value": value, "n": 1} for seed, value in by_seed]
    return rows


def _draw_rates(panel: Axes, rows: pd.DataFrame, first: str, styles: dict[str, treatments.ArmStyle]) -> None:
    panel_parts.rate_axis(panel, np.sort(rows["lr"].unique().astype(float)))
    for arm, of_arm in rows.groupby("arm", sort=False):
        look = styles[str(arm)]
        runs, means = of_arm[of_arm["seed"].notna()], of_arm[of_arm["seed"].isna()].sort_values("lr")
        panel.plot(runs["lr"], runs["value"], marker=look.marker, linestyle="none", color=look.color, markersize=2.5, alpha=0.5)
        panel.plot(means["lr"], means["value"], **look._asdict(), label=str(arm))
        best = means[means["chosen"].astype(bool)]
        height = 1.03 if arm == first else 1.08
        panel.plot(
            best["lr"], [height] * len(best), marker="v", color=look.color, markersize=4, clip_on=False, linestyle="none",
            transform=panel.get_xaxis_transform(), label=f"best rate of {arm}",
        )  # fmt: skip


def _draw_differences(panel: Axes, rows: pd.DataFrame, styles: dict[str, treatments.ArmStyle]) -> None:
    panel.axhline(0, color=style.INK, linestyle=":", linewidth=0.8, zorder=1)
    groups = list(rows.groupby(["arm", "comparison"], sort=False))
    labels = []
    for x, ((arm, comparison), group) in enumerate(groups):
        look = styles[str(arm)]
        mean, pairs = group[group["seed"].isna()].iloc[0], group[group["seed"].notna()]
        spread = x + np.linspace(-0.25, 0.25, len(pairs) + 2)[1:-1]
        panel.plot(spread, pairs["value"], marker=look.marker, linestyle="none", color=look.color, markersize=3, alpha=0.6)
        panel.hlines(mean["value"], x - 0.3, x + 0.3, color=look.color, linewidth=1.8, zorder=3)
        if mean["n"] >= style.FEWEST:
            panel.vlines(x, mean["low"], mean["high"], color=style.INK, linewidth=0.9, zorder=2.5)
        at = "each at its\nown best" if comparison == OWN else f"both at best\nof {comparison}"
        named = f"{arm}:\n" if rows["arm"].nunique() > 1 else ""
        labels.append(f"{named}{at}\nn = {mean['n']}")
    panel.set_xticks(range(len(groups)), labels)
    panel.set_xlim(-0.6, len(groups) - 0.4)
