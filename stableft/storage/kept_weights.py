"""Kept weights: files of weights that `run --keep-weights` asked for, and what they say of themselves.

Such a file is at `Store.weights_path`, like the weights that other runs start from. Its metadata
hold `ModelFacts`; those of a file that was not asked for do not.
"""

from pathlib import Path

from pydantic import ValidationError
from safetensors import SafetensorError, safe_open

from stableft.core.errors import Damaged
from stableft.core.model_facts import ModelFacts
from stableft.storage.run_summary import summarise_record
from stableft.storage.store import Store

FACTS = "stableft_model"  # key in the metadata


def read_facts(path: Path) -> ModelFacts | None:
    """Returns what a file of weights says of itself; None if it is absent or was not asked for.

    Raises:
        Damaged: It can't be read.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get(FACTS)
        return None if text is None else ModelFacts.model_validate_json(text)
    except (OSError, SafetensorError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise Damaged(path, f"{path} is damaged ({reason}). Delete it and run again: it is made again.") from error


def are_kept(store: Store, run_id: str) -> bool:
    """Tells whether the weights of a run are kept and can be read."""
    try:
        return read_facts(store.weights_path(run_id)) is not None
    except Damaged:
        return False


def is_done(store: Store, run_id: str, keep_weights: bool) -> bool:
    """Tells whether nothing of a run is missing: its record and, if they are wanted, its weights.

    A diverged run has no weights to keep.
    """
    if not store.has(run_id):
        return False
    if not keep_weights or are_kept(store, run_id):
        return True
    summary = summarise_record(store, run_id)
    return summary is not None and summary.outcome == "diverged"


def of_another_trajectory(store: Store, run_id: str) -> bool:
    """Tells whether kept weights are of a repetition whose rows differ from those of the record."""
    facts, summary = read_facts(store.weights_path(run_id)), summarise_record(store, run_id)
    return bool(facts and summary and summary.trajectory and facts.trajectory != summary.trajectory)
