"""Setting: the runs that a source's claim is about, as conditions on the runs of a task."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from stableft.reporting.claims.arms import Arm, matching, pattern_at
from stableft.reporting.run_scores import final_scores
from stableft.storage.records import Results


@dataclass(frozen=True)
class Setting:
    """The setting of a claim; unset conditions hold for all runs.

    Attributes:
        words: The setting in words, for the page.
        learning_rates: The allowed peak learning rates.
        min_learning_rate: The least allowed peak learning rate.
        max_learning_rate: The greatest one.
        min_epochs: The fewest passes over the training examples.
        max_epochs: The most.
        longer: Pairs of arms. All runs of the first have more steps than those of the second.
        batch_sizes: The allowed batch sizes.
        max_train_examples: The most training examples.
        split: The split of the judged score.
        none_failed: Arms without a failed run.
        some_succeed: Arms with a run that did not fail.
        arms: Arms with the conditions on settings; empty: those of the claim's test.
    """

    words: str
    learning_rates: tuple[float, ...] = ()
    min_learning_rate: float | None = None
    max_learning_rate: float | None = None
    min_epochs: float | None = None
    max_epochs: float | None = None
    longer: tuple[tuple[Arm, Arm], ...] = ()
    batch_sizes: tuple[int, ...] = ()
    max_train_examples: int | None = None
    split: Literal["validation", "test"] | None = None
    none_failed: tuple[Arm, ...] = ()
    some_succeed: tuple[Arm, ...] = ()
    arms: tuple[Arm, ...] = ()


def unmet(setting: Setting, results: Results, arms: Sequence[Arm] = ()) -> dict[str, str]:
    """Returns the tasks with runs outside a setting, each with the reason.

    Args:
        setting: The setting.
        results: Results of one experiment and protocol.
        arms: Arms with the conditions on settings, if the setting names none. All, if no arm matches:
            the measures of some claims have other arms than the runs.
    """
    protocol = str(results.runs["protocol"].iloc[0])
    scores = final_scores(results) if setting.none_failed or setting.some_succeed else None
    reasons: dict[str, str] = {}
    for task, runs in results.runs.groupby("task", sort=False, observed=True):
        patterns = setting.arms or arms
        known = runs["arm"].astype(str)
        chosen = runs[known.isin([name for arm in patterns for name in matching(arm, protocol, known)])]
        failed = None if scores is None else scores[scores["task"] == task]
        chosen = runs if chosen.empty else chosen
        found = [*_settings(setting, chosen), *_longer(setting, runs, protocol), *_failed(setting, failed, protocol)]
        if found:
            reasons[str(task)] = ", ".join(found)
    return reasons


def _settings(setting: Setting, runs: pd.DataFrame) -> Iterator[str]:
    """Yields the conditions on single runs that a task does not meet."""
    described = [_facts(row) for row in runs.drop_duplicates(["arm", "config"]).to_dict("records")]
    conditions = (
        ("learning rate", "learning_rates", setting.learning_rates, None, None),
        ("learning rate", "learning_rates", (), setting.min_learning_rate, setting.max_learning_rate),
        ("epochs", "epochs", (), setting.min_epochs, setting.max_epochs),
        ("batch size", "batch_size", setting.batch_sizes, None, None),
        ("training examples", "num_train", (), None, setting.max_train_examples),
        ("scored split", "split", (setting.split,) if setting.split else (), None, None),
    )
    for name, fact, allowed, least, greatest in conditions:
        if not allowed and least is None and greatest is None:
            continue
        values = dict.fromkeys(each[fact] for each in described)
        outside = [value for value in values if not _allowed(value, allowed, least, greatest)]
        if outside:
            asked = " or ".join(map(_text, allowed)) or _range(least, greatest)
            yield f"{name} {', '.join(map(_text, outside))} instead of {asked}"


def _facts(row: dict[Any, Any]) -> dict[str, Any]:
    """Returns the facts of a run that conditions are about; None if they are not recorded."""
    config = json.loads(row["config"])
    schedule, batch = config.get("schedule") or {}, config.get("batch_size")
    num_train = row.get("num_train")
    num_train = config.get("num_train") if num_train is None or math.isnan(num_train) else int(num_train)
    epochs = schedule.get("num_epochs")
    if epochs is None and num_train and batch:
        epochs = row["num_steps"] / math.ceil(num_train / batch)
    return {
        "learning_rates": (config.get("adam") or {}).get("lr"),
        "epochs": epochs,
        "batch_size": batch,
        "num_train": num_train,
        "split": row["score_split"],
    }


def _allowed(value: Any, allowed: Sequence[Any], least: float | None, greatest: float | None) -> bool:
    if value is None:
        return False
    if allowed:
        return any(value == one or (isinstance(one, float) and math.isclose(value, one, rel_tol=1e-6)) for one in allowed)
    slack = 1e-6 * abs(value)
    return (least is None or value >= least - slack) and (greatest is None or value <= greatest + slack)


def _longer(setting: Setting, runs: pd.DataFrame, protocol: str) -> Iterator[str]:
    for pair in setting.longer:
        steps = [runs.loc[runs["arm"].astype(str).isin(matching(arm, protocol, runs["arm"])), "num_steps"] for arm in pair]
        if not any(of_arm.empty for of_arm in steps) and steps[0].min() <= steps[1].max():
            names = [pattern_at(arm, protocol) for arm in pair]
            yield f"{names[0]} is not longer than {names[1]} ({steps[0].min()} and {steps[1].max()} steps)"


def _failed(setting: Setting, scores: pd.DataFrame | None, protocol: str) -> Iterator[str]:
    if scores is None:
        return
    for arm in setting.none_failed:
        of_arm = scores[scores["arm"].astype(str).isin(matching(arm, protocol, scores["arm"]))]
        if of_arm["failed"].any():
            yield f"{of_arm['failed'].sum()} of {len(of_arm)} runs of {pattern_at(arm, protocol)} failed"
    for arm in setting.some_succeed:
        of_arm = scores[scores["arm"].astype(str).isin(matching(arm, protocol, scores["arm"]))]
        if len(of_arm) and of_arm["failed"].all():
            yield f"all {len(of_arm)} runs of {pattern_at(arm, protocol)} failed"


def _range(least: float | None, greatest: float | None) -> str:
    if least is None or greatest is None:
        return f"at most {_text(greatest)}" if least is None else f"at least {_text(least)}"
    if least == greatest:
        return _text(least)
    return f"{_text(least)} to {_text(greatest)}"


def _text(value: Any) -> str:
    if value is None:
        return "not recorded"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)
