"""Trained weights: writes them and reads them again.

A whole model goes to a Hugging Face folder, as input for `stableft.models.encoders.resolve` and
`stableft.models.model.load_model`. Weights for other runs of ours go to one file.
"""

import hashlib
import json
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from transformers import AutoModel, AutoModelForSequenceClassification, AutoModelForTokenClassification

from stableft.core.errors import Damaged, MissingInput, UsageError
from stableft.core.files import replaced_folder, write_whole
from stableft.models.encoders import TOKENIZER_FILES, Encoder
from stableft.models.heads import BiLSTMCRF
from stableft.models.layers import LoRALinear
from stableft.models.loading import OURS, Unreadable
from stableft.models.model import Model


def decay_factor(lrs: Iterable[float], weight_decay: float) -> float:
    """Returns the factor of weight decay on a weight with a gradient of always 0.

    An example is the embedding of a piece that does not occur. Adam's moments stay 0 there, so a step
    of AdamW only multiplies the weight by 1 - lr * weight_decay (Loshchilov & Hutter, decoupled decay).

    Args:
        lrs: Learning rate of each completed step, for the weight's group.
        weight_decay: For the weight's group.

    Returns:
        The product of the steps' factors; 1.0 without decay.
    """
    return math.prod(1.0 - lr * weight_decay for lr in lrs)


def save_pretrained(model: Model, encoder: Encoder, folder: Path, *, labels: Sequence[str] = (), unread_decay: float = 1.0) -> None:
    """Writes a model for transformers' own class, with its tokenizer.

    The class is that of ``AutoModelForSequenceClassification``, or for tagging
    ``AutoModelForTokenClassification``.

    Args:
        model: Any device, packed or padded.
        encoder: The encoder that the model was loaded from: gives the tokenizer's files and the
            embeddings left out of the model.
        folder: Must not exist, or be empty; appears whole or not at all.
        labels: Names of the K classes, by index; none for regression.
        unread_decay: Factor on the left-out embeddings, see `decay_factor`.

    Raises:
        UsageError: an architecture without an entry here, a CRF, or a path that exists and is no empty
            folder.
        MissingInput: the encoder's files can't be read again, or are not those of this model.
    """
    # Refuse before anything is written.
    if not has_own_class(model):
        kind = model.encoder.config.model_type
        raise UsageError(f"a {kind!r} with this head can't be saved: architectures.py does not know a class of transformers for it")
    refuse_overwriting(folder)
    with replaced_folder(folder) as draft:
        write_classifier(model, encoder, draft, labels=labels, unread_decay=unread_decay)
        copy_tokenizer(encoder, draft)


def refuse_overwriting(folder: Path) -> None:
    """Raises `UsageError` for a path that exists and is no empty folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} already exists; nothing was overwritten")


def has_own_class(model: Model) -> bool:
    """Tells whether transformers has a class for this encoder and head, by names known here."""
    return model.architecture is not None and not isinstance(model.head, BiLSTMCRF)


def write_classifier(model: Model, encoder: Encoder, folder: Path, *, labels: Sequence[str], unread_decay: float = 1.0) -> None:
    """Writes config.json and weights of transformers' own class; see `save_pretrained`."""
    settings = labelled_settings(model, labels)
    auto = AutoModelForTokenClassification if model.tagging else AutoModelForSequenceClassification
    with torch.device("meta"):  # names and shapes only; the weights follow
        classifier = auto.from_config(settings, dtype=torch.float32)
    classifier.load_state_dict(_weights(model, encoder, unread_decay, classifier.base_model_prefix), strict=True, assign=True)
    classifier.save_pretrained(folder)


def labelled_settings(model: Model, labels: Sequence[str]) -> Any:
    """Returns a copy of the encoder's settings with the names of the classes; LABEL_0, ... without any."""
    settings = type(model.encoder.config).from_dict(model.encoder.config.to_dict())
    settings.id2label = dict(enumerate(labels)) if labels else {i: f"LABEL_{i}" for i in range(model.head.out_features)}
    settings.label2id = {label: i for i, label in settings.id2label.items()}
    if not model.tagging:
        settings.problem_type = "regression" if len(settings.id2label) == 1 else "single_label_classification"
    return settings


def saved_names(model: Model) -> dict[str, str]:
    """Returns prefixes of names above the encoder, ours -> those of transformers' own class."""
    assert model.architecture is not None
    if model.tagging:
        return {"head.": "classifier."}
    names = {"head.": f"{model.architecture.saved_head}."}
    if model.architecture.pooling:
        names["pooler.dense."] = f"{model.architecture.pooling.saved_as}."
    return names


def _weights(model: Model, encoder: Encoder, decay: float, prefix: str) -> dict[str, Tensor]:
    """Returns all weights on the CPU, named as in transformers' own class."""
    names = {"encoder.": f"{prefix}.", **saved_names(model)}
    weights = {}
    for name, weight in merged(model, model.state_dict()).items():
        ours = next(start for start in names if name.startswith(start))
        weights[names[ours] + name.removeprefix(ours)] = weight.detach().cpu().contiguous()
    table = model.encoder.get_input_embeddings()
    (name,) = (name for name, module in model.encoder.named_modules() if module is table)
    weights[f"{prefix}.{name}.weight"] = _whole_table(model, encoder, table.weight.detach().cpu(), decay)
    return weights


def merged(model: Model, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns weights by name, those of each `LoRALinear` as the one weight that it multiplies with."""
    plain = dict(weights)
    for name, layer in model.named_modules():
        if isinstance(layer, LoRALinear):
            plain[f"{name}.weight"] = layer.merged()
            del plain[f"{name}.lora_a"], plain[f"{name}.lora_b"]
    return plain


def _whole_table(model: Model, encoder: Encoder, kept: Tensor, decay: float, start: Path | None = None) -> Tensor:
    """Returns (V, E) the model's embeddings, completed by the pieces that it left out."""
    if model.pieces is None or model.architecture is None:
        return kept
    table = decay * (_pretrained_table(encoder) if start is None else read_weights(start)[_table(model)])
    pieces = model.pieces.cpu()
    if table.shape[1] != kept.shape[1] or int(pieces[-1]) >= len(table):
        raise MissingInput(f"{encoder.folder} is not what the model was loaded from: its embeddings are {tuple(table.shape)}")
    table[pieces] = kept
    return table


def _pretrained_table(encoder: Encoder) -> Tensor:
    try:
        original = AutoModel.from_pretrained(encoder.folder, dtype=torch.float32, weights_only=True, **OURS)
    except Unreadable as error:
        raise MissingInput(f"the weights in {encoder.folder} can't be read again: {error}") from error
    return original.get_input_embeddings().weight.detach()


def copy_tokenizer(encoder: Encoder, folder: Path, *, max_length: int | None = None) -> None:
    """Copies the tokenizer's files; ``max_length`` replaces its longest input."""
    for file in TOKENIZER_FILES:
        if (encoder.folder / file).is_file():
            shutil.copyfile(encoder.folder / file, folder / file)
    changes: dict[str, Any] = {} if max_length is None else {"model_max_length": max_length}
    if encoder.lower_case:  # missing in the original settings; lower-casing alone, accents stay
        changes |= {"do_lower_case": True, "strip_accents": False}
    if changes:
        file = folder / "tokenizer_config.json"
        settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        file.write_text(json.dumps({**settings, **changes}, indent=2), encoding="utf-8")


def save_weights(
    model: Model,
    encoder: Encoder,
    path: Path,
    *,
    unread_decay: float = 1.0,
    start: Path | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes all weights to one safetensors file, by our names, whole or not at all.

    Args:
        model: Any device and architecture, packed or padded.
        encoder: The encoder that the model was loaded from: gives the embeddings left out of the model.
        path: The file; its folder exists.
        unread_decay: Factor on the left-out embeddings, see `decay_factor`.
        start: File of the run that the model started from; None: it started from the encoder.
        metadata: Further texts for the file's header, by name.

    Raises:
        MissingInput: the encoder's files can't be read again, or are not those of this model.
    """
    plain = merged(model, dict(model.named_parameters()))
    weights = {name: weight.detach().cpu().contiguous() for name, weight in plain.items()}
    weights[_table(model)] = _whole_table(model, encoder, weights[_table(model)], unread_decay, start)
    write_whole(path, save(weights, {**(metadata or {}), "sha256": sha256(weights)}))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Returns the tensors by name from a file of `save_weights`, mapped to memory.

    The file names the `sha256` of its tensors.

    Raises:
        MissingInput: it is absent.
        Damaged: it can't be read, or its tensors do not match that fingerprint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
            stored_sha256 = (file.metadata() or {}).get("sha256")
    except FileNotFoundError:
        raise MissingInput(f"{path} does not exist: run again, and the run that writes it comes first") from None
    except (OSError, SafetensorError) as error:
        raise Damaged(path, f"{path} is damaged ({error}). Delete it and run again: it is made again.") from error
    if stored_sha256 != sha256(weights):
        reason = "its tensors do not match its sha256"
        raise Damaged(path, f"{path} is damaged ({reason}). Delete it and run again: it is made again.")
    return weights


def load_encoder(model: Model, path: Path) -> frozenset[str]:
    """Overwrites all parameters but the head's with a file of `save_weights`.

    Of its embeddings, those of the model's pieces are used. If only this model has a pooler, its pooler
    keeps its weights.

    Returns:
        The names of the overwritten parameters.

    Raises:
        MissingInput: the file is absent, or of another encoder.
        Damaged: the file is damaged.
    """
    weights, ours = _read_trimmed(model, path), dict(model.named_parameters())
    left_out = {"head": ours.keys(), "pooler": ours.keys() - weights.keys()}
    names = {name for name in ours if name not in left_out.get(model.place(name).role, ())}
    _refuse_others(model, weights, names, path)
    with torch.no_grad():
        for name in names:
            ours[name].copy_(weights[name])
    return frozenset(names)


def weights_like(model: Model, path: Path) -> list[Tensor]:
    """Returns the weights in a file of `save_weights`, in the order and on the devices of the parameters.

    Of its embeddings, those of the model's pieces are used.

    Raises:
        MissingInput: the file is absent, or of another model.
        Damaged: the file is damaged.
    """
    weights, ours = _read_trimmed(model, path), dict(model.named_parameters())
    _refuse_others(model, weights, ours, path)
    return [weights[name].to(parameter.device) for name, parameter in ours.items()]


def _read_trimmed(model: Model, path: Path) -> dict[str, Tensor]:
    weights = read_weights(path)
    if model.pieces is not None and model.architecture is not None and _table(model) in weights:
        weights[_table(model)] = weights[_table(model)][model.pieces.cpu()]
    return weights


def _refuse_others(model: Model, weights: Mapping[str, Tensor], names: Iterable[str], path: Path) -> None:
    shapes = {
        name: (tuple(weights[name].shape) if name in weights else None, tuple(model.get_parameter(name).shape)) for name in names
    }
    if wrong := sorted(name for name, (there, here) in shapes.items() if there != here):
        there, here = shapes[wrong[0]]
        raise MissingInput(f"{path} is of another model: {wrong[0]} is {there} there and {here} here")


def _table(model: Model) -> str:
    """Returns the name of the piece embeddings."""
    table = model.encoder.get_input_embeddings().weight
    return next(name for name, parameter in model.named_parameters() if parameter is table)


def sha256(tensors: Mapping[str, Tensor]) -> str:
    """Returns the fingerprint of tensors, by their names and bytes."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        if tensors[name].numel():  # an empty tensor can't be viewed as bytes
            digest.update(tensors[name].cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
