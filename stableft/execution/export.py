"""Export: writes a run's kept weights as a model folder. It imports torch when called."""

import dataclasses
import os
from pathlib import Path

from stableft.core.errors import MissingInput
from stableft.core.model_facts import ModelFacts
from stableft.execution import model_card, reproduce
from stableft.execution.inputs import Inputs
from stableft.models.encoders import Encoder
from stableft.storage.kept_weights import read_facts
from stableft.storage.run_summary import collected_runs, find_run_id, summarise_record
from stableft.storage.store import Store


def export_run(store: Store, run_id: str, folder: Path, *, encoder: str | None = None) -> Path:
    """Writes the model of a run, whole or not at all; the run's data are not needed.

    Args:
        store: The results folder, with the kept weights of the run.
        run_id: Its identity, or the first digits of it.
        folder: Must not exist, or be empty.
        encoder: The encoder that the run started from; None: by the name in its record. Of a folder
            the record has the last part only.

    Returns:
        The folder.

    Raises:
        MissingInput: There is no such run, its weights are not kept, or its encoder is not found.
        UsageError: Several runs begin with these digits, or the folder has files.
    """
    run_id = find_run_id(store, run_id)
    facts = read_facts(store.weights_path(run_id))
    if facts is None:
        raise MissingInput(_not_kept(store, run_id))
    start = _encoder(facts, encoder)
    from stableft.models.exported import write_model
    from stableft.models.loading import quiet_transformers

    quiet_transformers()
    folder = Path(os.path.abspath(os.path.expanduser(folder)))
    write_model(facts, start, store.weights_path(run_id), folder, lambda written: model_card.card(written, start))
    return folder


def _encoder(facts: ModelFacts, name: str | None) -> Encoder:
    recorded = str(facts.config["encoder"])
    if name is None and recorded.startswith("./"):
        raise MissingInput(
            f"run {facts.run_id} started from a folder named {recorded.removeprefix('./')}, and its place is not recorded: "
            "name it by --encoder FOLDER"
        )
    found = Inputs().encoder(os.path.expanduser(name or recorded))
    if found.fingerprint != (wanted := facts.facts["weights_fingerprint"]):
        raise MissingInput(
            f"encoder {found.name} is not the one of run {facts.run_id}: its fingerprint is {found.fingerprint[:12]}, that of the "
            f"run's {wanted[:12]}; name the right one by --encoder"
        )
    return found if recorded.startswith("./") is False else dataclasses.replace(found, name=recorded)


def _not_kept(store: Store, run_id: str) -> str:
    summary = summarise_record(store, run_id)
    if summary and summary.outcome == "diverged":
        return f"run {run_id} diverged: it ended with a loss that is not finite, and has no model"
    said = f"the weights of run {run_id} were not kept"
    for runs in collected_runs(store).tables.values():
        for row in runs[runs["run_id"] == run_id].to_dict("records"):
            if row["outcome"] == "diverged":
                return f"run {run_id} diverged: it ended with a loss that is not finite, and has no model"
            return f"{said}; this repeats it and keeps them: {reproduce.keep_weights_command(row)}{store.option}"
    return f"{said}; repeat the command that made it, with --keep-weights"
