"""Published layout: arms by tasks as the sources print them.

Our row of each arm is followed by the published ones.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pandas as pd

from stableft.reporting.markup import ABSENT
from stableft.reporting.published import CITATIONS, rows_for
from stableft.reporting.run_scores import arm_scores
from stableft.storage.records import Results

NOTE = (
    "Rows of source ours are of the score and split that the published rows of a task print, or else of those that the task is "
    "judged by. Cells: mean±std (runs), or std / mean / median / "
    "max, of final scores. Missing is what was not run or not published. Published rows are of the test split unless they say so; "
    "their arms and tasks are the source's own where ours have no such name."
)


def table(
    results: Results,
    *,
    numbers: pd.DataFrame,
    places: Collection[tuple[str, str]],
    cells: Sequence[str] = ("mean", "std", "n"),
) -> pd.DataFrame:
    """Arranges scores as arms x tasks, ours and published.

    Args:
        results: Of one experiment.
        numbers: `stableft.reporting.published.read_published`.
        places: (source, place) of the published rows to show, such as ("zhang2021", "Table 1").
        cells: ``mean``, ``std``, ``n`` give "mean±std (n)"; any other choice of std, mean, median and
            max is printed with slashes in between.

    Returns:
        Columns arm, source (or ours), encoder, and one for each task, of text; missing if there is no
        number.
    """
    wanted = rows_for(numbers, str(results.runs["experiment"].iloc[0]))
    shown = [row for row in wanted.to_dict("records") if (row["source"], row["place"]) in places]
    # Our rows, by the score and split that the places print for a task, or else by those that it is judged by.
    ours = arm_scores(results)
    printed = {(row["task"], row["split"], row["score_name"]) for row in shown}
    by_preference = sorted(ours, key=lambda key: ((key[0], *key[2:]) not in printed, not ours[key].headline))
    measured: dict[str, tuple[str, str]] = {}
    for task, _, split, name in by_preference:
        measured.setdefault(task, (split, name))
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    order: dict[str, int] = {}
    for (task, arm, split, name), score in ours.items():
        if (split, name) == measured[task]:
            rows.setdefault((arm, "", score.encoder), {})[task] = _cell(score._asdict(), cells)
            order.setdefault(arm, len(order))
    # Published rows; parentheses mark arms and tasks of the source's own.
    for row in shown:
        arm, task = (row[name].strip("()") for name in ("arm", "task"))
        split = "" if row["split"] == "test" else f", {row['split']}"
        source = f"{CITATIONS[row['source']]}, {row['place']}{split}"
        rows.setdefault((arm, source, row["encoder"]), {})[task] = _cell(row, cells)
        order.setdefault(arm, len(order))
    # Arms in the order of their first row, ours before the published ones.
    tasks = dict.fromkeys(task for cells_of in rows.values() for task in cells_of)
    ordered = sorted(rows, key=lambda row: (order[row[0]], row[1] != ""))
    records = [{"arm": row[0], "source": row[1] or "ours", "encoder": row[2], **rows[row]} for row in ordered]
    return pd.DataFrame(records, columns=["arm", "source", "encoder", *tasks])


def _cell(score: Mapping[Any, Any], cells: Sequence[str]) -> str:
    if tuple(cells) == ("mean", "std", "n"):
        spread = "" if score["std"] != score["std"] else f"±{score['std']:.3f}"
        return f"{score['mean']:.3f}{spread} ({score['n']:.0f})"
    return " / ".join(ABSENT if score[name] != score[name] else f"{score[name]:.3f}" for name in cells)
