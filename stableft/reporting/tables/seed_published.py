"""Published seeds: scores per init seed and of all runs, beside Zhang et al. (2021), Appendix B."""

import pandas as pd

from stableft.reporting.grid_axes import seed_scores
from stableft.reporting.published import rows_for
from stableft.storage.records import Results

NOTE = (
    "Last scores on validation of all runs of a method, and of those with one init seed, over order seeds; std with n - 1. "
    "published: Zhang et al. (2021), Appendix B, BERT-large; missing is what was not run, not published, or not given. "
    "Settings differ unless task and encoder are the same."
)
KEY = ["task", "method", "init"]
NUMBERS = ["n", "mean", "std", "min", "max"]


def table(results: Results, *, numbers: pd.DataFrame) -> pd.DataFrame:
    """Puts the means of a grid of seeds beside the published ones.

    Args:
        results: Of a grid of seeds.
        numbers: `stableft.reporting.published.read_published`. Its arms of this experiment are
            ``(<method>)`` and ``(<method> init=<seed>)``.

    Returns:
        One row per task, method and init (the seed, or ``all``): n, mean, std, min and max of ours,
        then ``published_`` and the same, and its remark. Ours come first, then what has no counterpart.
    """
    scores = seed_scores(results).assign(init=lambda frame: frame["init"].astype(str))
    both = pd.concat([scores.assign(init="all"), scores])
    ours = both.groupby(KEY, sort=False, observed=True)["score"].agg(n="count", mean="mean", std="std", min="min", max="max")
    rows = rows_for(numbers, str(results.runs["experiment"].iloc[0]))
    parts = rows["arm"].str.extract(r"^\((?P<method>\S+?)(?: init=(?P<init>\d+))?\)$").fillna({"init": "all"})
    published = pd.concat([rows[["task", *NUMBERS, "note"]], parts], axis=1)
    names = {**{name: f"published_{name}" for name in NUMBERS}, "note": "remark"}
    frame = ours.reset_index().astype({"task": "str"}).merge(published.rename(columns=names), on=KEY, how="outer", sort=False)
    # An outer merge sorts by its keys: restore the order of ours, then of the file.
    order = pd.concat([ours.reset_index()[KEY], published[KEY]]).astype(str).drop_duplicates()
    frame = frame.set_index(KEY).loc[pd.MultiIndex.from_frame(order)].reset_index()
    return frame.astype(dict.fromkeys(("n", "published_n"), "Int64"))[[*KEY, *NUMBERS, *names.values()]]
