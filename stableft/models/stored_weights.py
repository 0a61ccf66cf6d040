"""Stored weights: what their files say without being loaded, and whether that is an encoder's.

Needs no torch, and unpickles nothing: of a pickle only the names in it are read. A file that the
loader would refuse is refused before a run starts, with what its owner can do.
"""

import json
import pickletools
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stableft.core.errors import MissingInput

PICKLED = ".bin"
BLOCK = re.compile(r"(?:^|\.)layers?\.(\d+)\.")
WORDS = ("word_embeddings.weight", "tok_embeddings.weight")
WIDTHS = ("input_embedding_size", "embedding_size", "hidden_size", "dim", "d_model")
OF_TENSORS = frozenset({"torch", "collections", "builtins", "__builtin__", "_codecs", "numpy"})  # packages that the loader knows
NESTED = ("state_dict", "model_state_dict")  # of a checkpoint of training
LAYERS = "torch.nn.modules"
OF_STORAGES = ("storage", "cpu")  # texts between a tensor's name and its storage's
BF16_EXPONENT = 0x7F80
ZIP, OLDER_PICKLE = b"PK\x03\x04", b"\x80\x02"


@dataclass(frozen=True)
class Stored:
    """The description that a file of weights has of itself.

    Attributes:
        names: Of the tensors; of a pickle all texts in it.
        shapes: By name; empty for a pickle.
        modules: Of the objects in a pickle.
    """

    names: Sequence[str]
    shapes: Mapping[str, Sequence[int]] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()


def refuse_other_weights(folder: Path, files: Iterable[Path]) -> None:
    """Refuses weights that are not those of the encoder that ``config.json`` describes.

    Raises:
        MissingInput: A file is damaged, holds more than tensors, or contradicts the configuration.
    """
    found = [_stored(file) for file in files if file.suffix in (PICKLED, ".safetensors")]
    if any(module.partition(".")[0] not in OF_TENSORS or module.startswith(LAYERS) for each in found for module in each.modules):
        raise MissingInput(objects_beside_tensors(folder))
    names = [name for each in found for name in each.names]
    if nested := next((name for name in NESTED if name in names), None):
        raise MissingInput(
            f"the weights in {folder} are a checkpoint of training, which holds those of the model as {nested!r}: save these "
            "alone, by save_pretrained of the model"
        )
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return  # reading the configuration says what is wrong
    if isinstance(settings, dict):
        if not settings.get("model_type"):  # transformers would guess it from the folder's path
            raise MissingInput(
                f'{folder}: config.json does not say which encoder it is: write its kind there, such as "model_type": "bert"'
            )
        shapes = {name: shape for each in found for name, shape in each.shapes.items()}
        for said in (_blocks(settings, names), _embeddings(settings, shapes)):
            if said:
                raise MissingInput(f"{folder}: config.json says {said}: get the folder again, or correct config.json")


def not_finite_halves(path: Path, name: str) -> bool:
    """Tells whether a tensor of bf16 in a safetensors file has NaN or infinities; False for other types."""
    with path.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        tensor = json.loads(opened.read(length))[name]
        start, end = tensor["data_offsets"]
        if tensor["dtype"] != "BF16":
            return False
        opened.seek(8 + length + start)
        halves = np.frombuffer(opened.read(end - start), "<u2")
    return bool(((halves & BF16_EXPONENT) == BF16_EXPONENT).any())


def not_finite_pickled(path: Path) -> str | None:
    """Returns the first tensor with NaN or infinities of pickled weights; None if there is none.

    Only weights of 32 bits alone are looked at, since nothing else is sure without loading them.
    """
    if path.suffix != PICKLED or not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        texts: list[str] = []
        kinds = {str(kind) for name in names if name.endswith("data.pkl") for kind in _objects(archive.read(name), texts)}
        if {kind for kind in kinds if kind.endswith("Storage")} != {"torch FloatStorage"}:
            return None
        for folder, _, key in (name.rpartition("/") for name in names):
            if folder.endswith("/data") and not np.isfinite(np.frombuffer(archive.read(f"{folder}/{key}"), "<f4")).all():
                before = texts[: texts.index(key)] if key in texts else []
                return next((text for text in reversed(before) if text not in OF_STORAGES), key)
    return None


def objects_beside_tensors(folder: Path) -> str:
    """Returns the message about pickled weights that hold more than tensors."""
    what = "pytorch_model.bin holds Python objects beside tensors, which are not run; save it again with save_pretrained"
    return f"the weights in {folder} can't be read: {what}"


def _blocks(settings: Mapping[str, Any], names: Iterable[str]) -> str:
    wanted = settings.get("num_hidden_layers", settings.get("n_layers"))
    there = {int(match[1]) for name in names for match in BLOCK.finditer(name)}
    lacking = isinstance(wanted, int) and there and max(there) + 1 < wanted
    return f"{wanted} blocks, and the weights have {max(there) + 1}, so this is not a whole encoder" if lacking else ""


def _embeddings(settings: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> str:
    shape = next((shape for name, shape in shapes.items() if name.endswith(WORDS)), None)
    pieces, widths = settings.get("vocab_size"), [size for name in WIDTHS if isinstance(size := settings.get(name), int)]
    if shape is None or len(shape) != 2 or not isinstance(pieces, int) or not widths:
        return ""
    if shape[0] == pieces and shape[1] in widths:
        return ""
    return f"{pieces} pieces of {widths[0]} numbers, and the weights have {shape[0]} of {shape[1]}"


def _stored(file: Path) -> Stored:
    try:
        if file.suffix != PICKLED:
            return _header(file)
        with file.open("rb") as opened:
            start = opened.read(len(ZIP))
        if start != ZIP:  # as torch wrote until 2020
            if start[: len(OLDER_PICKLE)] != OLDER_PICKLE:
                raise ValueError("it is no file of torch.save")
            return Stored(())
        with zipfile.ZipFile(file) as archive:
            (name,) = [name for name in archive.namelist() if name.endswith("data.pkl")]
            return _pickle(archive.read(name))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise MissingInput(f"{file} can't be read ({error}): get it again") from error


def _header(file: Path) -> Stored:
    with file.open("rb") as opened:
        header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    shapes = {name: each["shape"] for name, each in header.items() if name != "__metadata__"}
    return Stored(tuple(shapes), shapes)


def _pickle(content: bytes) -> Stored:
    texts: list[str] = []
    modules = frozenset(name.partition(" ")[0] for name in _objects(content, texts))
    return Stored(tuple(texts), {}, modules)


def _objects(content: bytes, texts: list[str]) -> Iterator[str]:
    """Yields module and name of all objects that a pickle names, and appends its texts to ``texts``."""
    for operation, argument, _ in pickletools.genops(content):
        if operation.name == "GLOBAL":
            yield str(argument)
        elif operation.name == "STACK_GLOBAL" and len(texts) > 1:
            yield f"{texts[-2]} {texts[-1]}"
        elif isinstance(argument, str):
            texts.append(argument)
