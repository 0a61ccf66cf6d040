"""Pooling: an experiment's results, with further seeds of equal configurations in others.

Two arms of different experiments may have equal settings, data and weights. Their runs are one
sample, whichever experiment ran them: figures, tables and verdicts of each use the seeds of all.
Stale runs (`stableft.storage.identities.stale`) are left out everywhere.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from stableft.core.errors import MissingInput, Stale
from stableft.core.grid import join_spans
from stableft.storage.frames import joined
from stableft.storage.identities import FINGERPRINTS, identities, stale
from stableft.storage.records import CELL, Results
from stableft.storage.run_summary import collected_runs
from stableft.storage.store import Store

IDENTIFYING = ("arm", "task", "seed", "run_id", "config", *FINGERPRINTS, "sources")  # columns that decide what is pooled
COLLECTED_IN = "collected_in"  # column of pooled runs: the experiment whose tables hold the run

Unread = Callable[[str], None]  # is told what can't be read, and why


class StaleRuns(NamedTuple):
    """The stale runs among the collected runs of an experiment."""

    protocol: str
    experiment: str
    stale: int
    runs: int

    def sentence(self) -> str:
        """Returns what is stale, why it is left out, and the command to run it again."""
        return (
            f"{self.experiment} at {self.protocol}: {self.stale} of {self.runs} runs are stale (the present code derives other "
            f"run ids from their settings) and decide nothing; `python -m stableft run {self.experiment} --protocol "
            f"{self.protocol}` does them again"
        )


def stale_runs(store: Store, protocol: str | None = None, experiments: Sequence[str] = ()) -> list[StaleRuns]:
    """Returns the experiments with stale runs, of the selected collected results.

    Args:
        store: The results.
        protocol: Only this protocol; None: all.
        experiments: Only these experiments; empty: all.
    """
    found: list[StaleRuns] = []
    for (scale, name), runs in collected_runs(store, protocol).tables.items():
        if not experiments or name in experiments:
            flags = stale(runs)
            if any(flags):
                found.append(StaleRuns(scale, name, sum(flags), len(flags)))
    return found


def run_tables(store: Store, protocol: str, unread: Unread | None = None) -> dict[str, pd.DataFrame]:
    """Returns the runs of all experiments collected at a protocol, by experiment: what identifies each.

    Args:
        store: The results.
        protocol: Name of the protocol.
        unread: Called with a sentence for each experiment with a table that can't be read; it is then
            left out. None: the first one is an error.

    Raises:
        MissingInput: as `Store.load`.
    """
    found = collected_runs(store, protocol)
    for (_, name), error in found.unread.items():
        if unread is None:
            raise error
        unread(_further(name, protocol, error))
    return {name: runs[[column for column in IDENTIFYING if column in runs]] for (_, name), runs in found.tables.items()}


def _further(experiment: str, protocol: str, error: MissingInput) -> str:
    return f"further seeds of {experiment} at {protocol}: {error}"


def load_pooled(
    store: Store,
    protocol: str,
    experiment: str,
    *,
    predictions: bool = True,
    tables: Mapping[str, pd.DataFrame] | None = None,
    unread: Unread | None = None,
) -> Results:
    """Loads the results of an experiment at a protocol, pooled with equal configurations.

    Args:
        store: The results.
        protocol: Name of the protocol.
        experiment: Name of the experiment.
        predictions: See `Store.load`.
        tables: `run_tables`, if they were read before.
        unread: Called with a sentence for each other experiment that can't be read; its further seeds
            are then left out. None: the first one is an error.

    Returns:
        As `pool`.

    Raises:
        Stale: all runs of the experiment are stale.
        MissingInput: as `Store.load`.
    """
    # The small tables of all experiments tell which others have further seeds.
    own = store.load(protocol, experiment, predictions=predictions)
    if all(stale(own.runs)):
        raise Stale(StaleRuns(protocol, experiment, len(own.runs), len(own.runs)).sentence())
    tables = dict(run_tables(store, protocol, unread) if tables is None else tables)
    tables.pop(experiment, None)
    others: dict[str, Results] = {}
    further = further_runs(own.runs, tables)
    while wanted := [name for name in map(str, further[COLLECTED_IN].unique()) if name not in others]:
        try:
            others[wanted[0]] = store.load(protocol, wanted[0], predictions=predictions)
        except MissingInput as error:
            if unread is None:
                raise
            unread(_further(wanted[0], protocol, error))
            del tables[wanted[0]]
            further = further_runs(own.runs, tables)  # a third experiment may have the same runs
    return _pooled(experiment, own, others, further)


def pool(experiment: str, collected: Mapping[str, Results]) -> Results:
    """Returns an experiment's results without stale runs, and with further seeds of equal configurations.

    Args:
        experiment: Name of the experiment.
        collected: Results of all experiments at one protocol, by name.

    Returns:
        The experiment's runs in their order, then the further ones. Those have the name and arm that
        the experiment gives them. The column `COLLECTED_IN` of ``runs`` names the experiment whose
        tables hold each run.
    """
    own, others = collected[experiment], {name: results for name, results in collected.items() if name != experiment}
    return _pooled(experiment, own, others, further_runs(own.runs, {name: results.runs for name, results in others.items()}))


def _pooled(experiment: str, own: Results, others: Mapping[str, Results], further: pd.DataFrame) -> Results:
    current = set(own.runs.loc[[not flag for flag in stale(own.runs)], "run_id"])
    parts = [_only(own, current, experiment)]
    for name, of_other in further.groupby(COLLECTED_IN, sort=False):
        source = others[str(name)]
        for arm, of_arm in of_other.groupby("arm", sort=False):
            part = _only(source, set(of_arm["run_id"]), str(name))
            parts.append(_renamed(part, experiment, str(arm)))
    if len(parts) == 1:
        return parts[0]
    runs, metrics, predictions = (_joined([getattr(part, name) for part in parts]) for name in ("runs", "metrics", "predictions"))
    shared = {name: runs[name].dtype for name in CELL if name != "seed"}
    return Results(runs, metrics.astype(shared), predictions.astype(shared))


def further_runs(own: pd.DataFrame, others: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Returns the runs of equal configuration in other experiments, at seeds that an arm lacks.

    Args:
        own: The runs of an experiment at one protocol.
        others: Those of the other experiments, by name.

    Returns:
        arm (the own arm of equal configuration), task, seed, run_id and `COLLECTED_IN`, in the order of
        ``others``. Of several experiments with the same run it names the first one.
    """
    cells: dict[str, list[tuple[str, str]]] = {}
    present: set[tuple[str, str, int]] = set()
    for configuration, arm, task, seed in _current(own)[["configuration", "arm", "task", "seed"]].itertuples(index=False):
        place = (str(arm), str(task))
        if place not in cells.setdefault(configuration, []):
            cells[configuration].append(place)
        present.add((*place, int(seed)))
    rows = []
    for name, runs in others.items():
        for configuration, seed, identity in _current(runs)[["configuration", "seed", "run_id"]].itertuples(index=False):
            for place in cells.get(configuration, ()):
                if (*place, int(seed)) not in present:
                    present.add((*place, int(seed)))
                    rows.append((*place, int(seed), str(identity), name))
    return pd.DataFrame(rows, columns=["arm", "task", "seed", "run_id", COLLECTED_IN])


def further_seeds(runs: pd.DataFrame) -> list[str]:
    """Returns the pooled runs of other experiments: ``corrected on docpair, seeds 10-19: precision``.

    Args:
        runs: The runs of `pool`, or a part of them.
    """
    if COLLECTED_IN not in runs:
        return []
    others = runs[runs[COLLECTED_IN] != runs["experiment"].astype(str)]
    groups = others.groupby(["arm", "task", COLLECTED_IN], sort=False, observed=True)["seed"]
    return [f"{arm} on {task}, seeds {join_spans(sorted(map(int, seeds)))}: {name}" for (arm, task, name), seeds in groups]


def _current(runs: pd.DataFrame) -> pd.DataFrame:
    """Returns the runs with an identity that the present code derives, and their configuration."""
    found = identities(runs)
    kept = [each is not None and each.run_id == known for each, known in zip(found, runs["run_id"], strict=True)]
    return runs[kept].assign(configuration=[each.configuration for each, keep in zip(found, kept, strict=True) if each and keep])


def _only(results: Results, run_ids: set[str], collected_in: str) -> Results:
    """Returns the rows of some runs."""
    runs, metrics, predictions = (
        frame[frame["run_id"].isin(run_ids)].reset_index(drop=True)
        for frame in (results.runs, results.metrics, results.predictions)
    )
    return Results(runs.assign(**{COLLECTED_IN: collected_in}), metrics, predictions)


def _renamed(results: Results, experiment: str, arm: str) -> Results:
    """Returns the same rows as an arm of another experiment."""
    names = {"experiment": experiment, "arm": arm}
    return Results(*(frame.assign(**names) for frame in (results.runs, results.metrics, results.predictions)))


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Joins frames; a column that is categorical in one of them is so in the result."""
    categorical = {column for frame in frames for column in frame if isinstance(frame[column].dtype, pd.CategoricalDtype)}
    names = [column for column in frames[0] if column in categorical or (column in CELL and column != "seed")]
    return joined([frame.astype(dict.fromkeys(names, "category")) for frame in frames])
