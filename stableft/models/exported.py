"""Exported models: folders with a trained model, for transformers and for `stableft predict`.

Besides the files of `save_pretrained` a folder has ``stableft.json`` (`ModelFacts`) and
``README.md``. Where transformers has no class for the head, as for a BiLSTM-CRF, config.json names
the class of the encoder alone; the other weights are in the same file, under our names and
`PREFIX`. Folders of transformers' classes for whole texts are read too if they come from elsewhere.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from stableft.core.errors import MissingInput, UsageError
from stableft.core.files import replaced_folder
from stableft.core.model_facts import ModelFacts
from stableft.models.encoder_folder import WEIGHTS
from stableft.models.encoders import Encoder, from_folder
from stableft.models.introspection import num_positions
from stableft.models.loading import load_tokenizer
from stableft.models.model import Model, read_encoder
from stableft.models.model_folder import FACTS_FILE, read_facts
from stableft.models.weights import (
    copy_tokenizer,
    has_own_class,
    labelled_settings,
    refuse_overwriting,
    saved_names,
    weights_like,
    write_classifier,
)

PREFIX = "stableft."
LONGEST = 512  # pieces of an input of a model from elsewhere whose tokenizer names no limit


class OpenedModel(NamedTuple):
    """A model read from a folder.

    Attributes:
        facts: Its labels, and how it reads texts.
        encoder: The folder, with its tokenizer.
        model: In evaluation mode, on the CPU, with all embeddings.
    """

    facts: ModelFacts
    encoder: Encoder
    model: Model


def write_model(facts: ModelFacts, encoder: Encoder, weights: Path, folder: Path, card: Callable[[ModelFacts], str]) -> ModelFacts:
    """Writes a folder from kept weights, whole or not at all.

    Args:
        facts: As kept with the weights.
        encoder: The encoder that the run started from.
        weights: A file of `stableft.models.weights.save_weights`.
        folder: Must not exist, or be empty.
        card: Returns the text of the model card.

    Returns:
        The facts as exported, with their ``layout``.

    Raises:
        UsageError: The folder has files.
        MissingInput: The encoder can't be read, or the weights are damaged or of another model.
    """
    refuse_overwriting(folder)
    tagging = facts.kind == "tagging"
    dropout = float(facts.config.get("dropout", 0.0))
    body, _ = read_encoder(encoder, dropout=dropout, max_length=facts.max_length, tagging=tagging)
    model = Model(body, facts.num_outputs, dropout, packed=False, tagging=tagging, head=facts.head)
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), weights_like(model, weights), strict=True):
            parameter.copy_(value)
    facts = facts.model_copy(update={"layout": "transformers" if has_own_class(model) else "encoder"})
    with replaced_folder(folder) as draft:
        if facts.layout == "transformers":
            write_classifier(model, encoder, draft, labels=facts.labels)
        else:
            _write_encoder(model, draft, facts)
        copy_tokenizer(encoder, draft, max_length=facts.max_length)
        (draft / FACTS_FILE).write_text(facts.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (draft / "README.md").write_text(card(facts), encoding="utf-8")
        for file in draft.iterdir():  # safetensors writes for its owner alone
            file.chmod(0o644)
    return facts


def _write_encoder(model: Model, folder: Path, facts: ModelFacts) -> None:
    """Writes config.json of the encoder alone, and all weights: those above it under `PREFIX`."""
    settings = labelled_settings(model, facts.labels)
    settings.architectures = [type(model.encoder).__name__]
    settings.save_pretrained(folder)
    weights = {_own_name(name): parameter.detach().contiguous() for name, parameter in model.named_parameters()}
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


def _own_name(name: str) -> str:
    return name.removeprefix("encoder.") if name.startswith("encoder.") else f"{PREFIX}{name}"


def open_model(folder: Path, *, packed: bool = True) -> OpenedModel:
    """Reads a model; its weights are never run as code.

    Args:
        folder: As `write_model` or transformers wrote it.
        packed: See `stableft.models.model.Model`.

    Raises:
        MissingInput: It can't be read.
        UsageError: Its encoder is none that stableft can use.
    """
    facts = read_facts(folder)
    encoder = from_folder(str(folder), folder)
    body, absent = read_encoder(encoder, dropout=0.0, max_length=facts.max_length, tagging=facts.kind == "tagging")
    if absent:
        raise MissingInput(f"{folder / WEIGHTS} lacks {absent[0]} (of {len(absent)}); export the model again")
    model = Model(body, facts.num_outputs, 0.0, packed=packed, tagging=facts.kind == "tagging", head=facts.head)
    names = saved_names(model) if facts.layout == "transformers" else {part: f"{PREFIX}{part}" for part in ("head.", "pooler.")}
    _fill(model, folder / WEIGHTS, names)
    if not facts.run_id:
        facts = facts.model_copy(update={"max_length": _longest(encoder, body)})
    return OpenedModel(facts, encoder, model.eval())


@torch.no_grad()
def _fill(model: Model, path: Path, names: dict[str, str]) -> None:
    """Sets the parameters above the encoder from a file of weights."""
    try:
        with safe_open(path, framework="pt") as file:
            for name, parameter in model.named_parameters():
                part = next((part for part in names if name.startswith(part)), None)
                if part is not None:
                    value = file.get_tensor(names[part] + name.removeprefix(part))
                    if value.shape != parameter.shape:
                        shapes = f"{tuple(value.shape)}, expected {tuple(parameter.shape)}"
                        raise MissingInput(f"{path}: {name} is {shapes}; export the model again")
                    parameter.copy_(value)
    except (OSError, SafetensorError) as error:
        raise MissingInput(f"the head can't be read from {path} ({error}); it has to be one safetensors file") from error


def _longest(encoder: Encoder, body: Any) -> int:
    positions = num_positions(body) or LONGEST
    longest = min(load_tokenizer(encoder).model_max_length, positions, LONGEST)
    if longest < 3:
        raise UsageError(
            f"the tokenizer in {encoder.folder} allows {longest} pieces; set model_max_length in tokenizer_config.json"
        )
    return longest
