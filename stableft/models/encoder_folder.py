"""Encoder folders: finds the files in folders as people have them, and names what is wrong.

Needs no torch. All checks are made before a run starts, and once. Each refusal says what to do.
"""

import json
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from stableft.core.errors import MissingInput
from stableft.models.stored_weights import not_finite_halves, not_finite_pickled

WEIGHTS = "model.safetensors"
PICKLED_WEIGHTS = "pytorch_model.bin"
SHARD_INDEX = "model.safetensors.index.json"
VOCABULARIES = (
    "tokenizer.json", "vocab.txt", "vocab.json", "sentencepiece.bpe.model", "spiece.model", "spm.model",
)  # fmt: skip
WAYS_OUT = "Ways out: ENCODER=/path/to/model (a folder as save_pretrained writes it), ENCODER=hub-id, or PROTOCOL=smoke."

# Files of other formats, each with what its owner can do.
_OTHER_FORMATS = {
    "adapter_config.json": "an adapter without its encoder: merge them once with peft (`PeftModel.from_pretrained(encoder, folder)"
    ".merge_and_unload().save_pretrained(new_folder)`), save the tokenizer there too, and pass that folder",
    "pytorch_model.bin.index.json": "an encoder in several pickled files: save it again as safetensors (`AutoModel.from_pretrained"
    "(folder).save_pretrained(new_folder)`), with its tokenizer",
    "tf_model.h5": "weights of TensorFlow: convert them once (`from_pretrained(folder, from_tf=True)` of transformers 4)",
    "flax_model.msgpack": "weights of Flax: convert them once (`from_pretrained(folder, from_flax=True)` of transformers 4)",
    "model.onnx": "an ONNX model, which can't be trained: pass the folder that it was exported from",
}
_POINTER = b"version https://git-lfs"


def body_folder(folder: Path) -> Path:
    """Returns the folder of the encoder itself: ``folder``, or its first module.

    Old sentence-transformers wrote the encoder to ``0_Transformer``; ``modules.json`` names it.
    """
    modules = folder / "modules.json"
    if _weight_file(folder) or not modules.is_file():
        return folder
    try:
        inner = folder / str(_json(modules)[0]["path"])
    except (KeyError, IndexError, TypeError):
        return folder
    return inner if (inner / "config.json").is_file() else folder


def weight_files(folder: Path) -> list[Path]:
    """Returns the files of the weights, with the index of a sharded encoder before its shards.

    Raises:
        MissingInput: the folder holds no weights that can be read, or pointers instead of files.
    """
    found = _weight_file(folder)
    if found is None or not (folder / "config.json").is_file():
        raise MissingInput(_not_an_encoder(folder))
    files = [found]
    if found.name == SHARD_INDEX:
        try:
            shards = sorted(set(_json(found)["weight_map"].values()))
        except (KeyError, TypeError, AttributeError):
            raise MissingInput(f"{found} names no shards: get the folder again. {WAYS_OUT}") from None
        files += [folder / str(shard) for shard in shards]
        if absent := [file.name for file in files if not file.is_file()]:
            raise MissingInput(f"{found} names {', '.join(absent[:3])}, which {folder} does not hold: get the folder again")
    for file in files:
        with file.open("rb") as opened:
            if opened.read(len(_POINTER)) == _POINTER:
                raise MissingInput(f"{file} is a pointer of git's large-file storage, not the file: type `git lfs pull` there")
    return files


def check_tokenizer(folder: Path) -> list[str]:
    """Returns remarks on a folder's tokenizer.

    Where ``vocab.txt`` and ``tokenizer.json`` contradict each other, the latter counts, as in
    transformers; that is a remark.

    Raises:
        MissingInput: there is none, or it would lower-case texts for a cased vocabulary.
    """
    present = [name for name in VOCABULARIES if (folder / name).is_file()]
    if not present:
        raise MissingInput(
            f"{folder} holds weights but no tokenizer ({', '.join(VOCABULARIES[:3])}, ...): save it there with "
            "`AutoTokenizer.from_pretrained(original).save_pretrained(folder)`"
        )
    listed = folder / "vocab.txt"
    if not listed.is_file():
        return []
    pieces = listed.read_text(encoding="utf-8", errors="replace").splitlines()
    if "tokenizer.json" in present:
        return _contradictions(folder, pieces)
    if (cased := _cased(pieces)) and "do_lower_case" not in _settings(folder):
        raise MissingInput(
            f"{listed} has pieces with capitals, such as {cased!r}, but no tokenizer_config.json says whether to lower-case texts; "
            f'the default would. Write {{"do_lower_case": false}} to tokenizer_config.json there (true for an uncased encoder)'
        )
    return []


def refuse_not_finite(files: list[Path]) -> None:
    """Refuses weights that hold NaN or infinities.

    Types of 8 bits, and pickled weights of other types than 32 bits, are checked when they are loaded.

    Raises:
        MissingInput: with the tensor, or the file if it can't be read.
    """
    for file in files:
        stat = file.stat()
        if file.suffix == ".safetensors":
            if name := _not_finite(str(file), stat.st_size, stat.st_mtime_ns):
                raise MissingInput(not_finite(file, name))
        elif name := _not_finite_pickled(str(file), stat.st_size, stat.st_mtime_ns):
            raise MissingInput(not_finite(file, name))


@cache
def _not_finite_pickled(path: str, size: int, mtime: int) -> str | None:
    try:
        return not_finite_pickled(Path(path))
    except (OSError, ValueError, zipfile.BadZipFile):  # `refuse_other_weights` says what is wrong
        return None


def not_finite(place: Path, tensor: str) -> str:
    """Returns the message about weights that are not finite."""
    return f"the weights in {place} are not finite (NaN or infinity in {tensor}): a run from them means nothing. Get them again."


@cache
def _not_finite(path: str, size: int, mtime: int) -> str | None:
    """Returns the first tensor that is not finite; computed once for a version of the file."""
    try:
        with safe_open(path, framework="np") as file:
            for name in file.keys():  # noqa: SIM118 (it is no mapping)
                try:
                    tensor = file.get_tensor(name)
                except (TypeError, AttributeError):  # a type that numpy lacks
                    if not_finite_halves(Path(path), name):
                        return name
                    continue
                if tensor.dtype.kind == "f" and not np.isfinite(tensor.sum()) and not np.isfinite(tensor).all():
                    return name
    except (OSError, SafetensorError) as error:
        raise MissingInput(f"{path} can't be read ({error}): get it again") from error
    return None


def _weight_file(folder: Path) -> Path | None:
    names = (WEIGHTS, SHARD_INDEX, PICKLED_WEIGHTS)
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _not_an_encoder(folder: Path) -> str:
    if _weight_file(folder) is None:
        for name, what in _OTHER_FORMATS.items():
            if (folder / name).is_file():
                return f"{folder} holds {what}. {WAYS_OUT}"
    needed = f"it needs config.json and {WEIGHTS} or {PICKLED_WEIGHTS}"
    return f"{folder} is no encoder: {needed}. {WAYS_OUT}"


def _contradictions(folder: Path, pieces: list[str]) -> list[str]:
    try:
        vocabulary = _json(folder / "tokenizer.json")["model"]["vocab"]
    except (KeyError, TypeError):
        return []
    if not isinstance(vocabulary, dict):  # other models than WordPiece
        return []
    others = [(index, piece) for index, piece in enumerate(pieces) if vocabulary.get(piece) != index]
    if not others:
        return []
    index, piece = others[0]
    there = vocabulary.get(piece, "absent")
    return [
        f"the tokenizer in {folder} contradicts itself: {len(others)} of {len(pieces)} pieces of vocab.txt have another number in "
        f"tokenizer.json ({piece!r} is {index} and {there}); tokenizer.json counts"
    ]


def _cased(pieces: list[str]) -> str | None:
    """Returns a piece with a capital letter; special tokens are in brackets."""
    words: Iterator[str] = (piece for piece in pieces if not piece.startswith(("[", "<")))
    return next((piece for piece in words if piece != piece.lower()), None)


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / "tokenizer_config.json"
    settings = _json(file) if file.is_file() else {}
    return settings if isinstance(settings, dict) else {}


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise MissingInput(f"{file} can't be read ({error}): get it again") from error
