"""Model folders: the facts of a folder with a trained model, ours or of transformers. Needs no torch."""

import shlex
from pathlib import Path

from pydantic import ValidationError

from stableft.core.errors import MissingInput
from stableft.core.model_facts import ModelFacts
from stableft.models.architectures import ARCHITECTURES
from stableft.models.encoders import from_folder

FACTS_FILE = "stableft.json"


def read_facts(folder: Path) -> ModelFacts:
    """Returns the facts of a folder; those of a model from elsewhere are made from its settings.

    Raises:
        MissingInput: It is no model that can be read here; the message says what is needed.
    """
    file = folder / FACTS_FILE
    if not folder.is_dir():
        raise MissingInput(f"{folder}: no such folder; `stableft export RUN_ID {shlex.quote(str(folder))}` writes one")
    if not file.is_file():
        return _foreign(folder)
    try:
        return ModelFacts.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        reason = f"{error.errors()[0]['loc']}: {error.errors()[0]['msg']}" if isinstance(error, ValidationError) else str(error)
        raise MissingInput(f"{file} can't be read ({reason}); export the model again, with this version of stableft") from error


def _foreign(folder: Path) -> ModelFacts:
    """Returns the facts of a folder that transformers wrote; its longest input is not known yet."""
    settings = from_folder(str(folder), folder).settings
    (name, *_) = settings.get("architectures") or ["no class"]
    if not str(name).endswith("ForSequenceClassification") or settings.get("model_type") not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise MissingInput(
            f"{folder} has no {FACTS_FILE}, and holds {name}: predict reads what `stableft export` wrote, and of other models "
            f"those with a class ...ForSequenceClassification of {known}"
        )
    if settings.get("problem_type") == "multi_label_classification":
        raise MissingInput(f"{folder} gives several labels to a text, which predict does not read")
    labels = {int(number): str(label) for number, label in (settings.get("id2label") or {}).items()} or {0: "no", 1: "yes"}
    regression = len(labels) == 1
    return ModelFacts(
        task=folder.resolve().name,
        kind="regression" if regression else "classification",
        labels=() if regression else tuple(labels[i] for i in sorted(labels)),
        score="spearman" if regression else "accuracy",
        pairs=False,
        max_length=3,
    )
