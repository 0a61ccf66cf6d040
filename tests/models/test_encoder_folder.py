"""Encoder folders as people have them: found, loaded, or refused with the way out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModel

from stableft.core.errors import MissingInput
from stableft.models.encoders import Encoder, resolve
from stableft.models.loading import read_body, read_settings


@pytest.fixture
def folder(tiny_encoder: Encoder, tmp_path: Path) -> Path:
    """A folder of one's own with the tiny encoder's files."""
    return Path(shutil.copytree(tiny_encoder.folder, tmp_path / "mine"))


def loaded(folder: Path) -> dict[str, torch.Tensor]:
    encoder = resolve(str(folder))
    body, missing = read_body(encoder, read_settings(encoder))
    assert missing == []
    return body.state_dict()


def refusal(folder: Path) -> str:
    with pytest.raises(MissingInput) as caught:
        loaded(folder)
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()
    return str(caught.value)


def shard(folder: Path) -> None:
    """Writes the weights as save_pretrained does for large models: shards, and an index that names them."""
    weights = load_file(folder / "model.safetensors")
    names = sorted(weights)
    parts = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, of_part in parts.items():
        save_file({name: weights[name] for name in of_part}, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, of_part in parts.items() for name in of_part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    (folder / "model.safetensors").unlink()


def nested(folder: Path) -> None:
    """Moves the encoder to the place that old sentence-transformers gave it."""
    inner = folder / "0_Transformer"
    inner.mkdir()
    for file in [path for path in folder.iterdir() if path.is_file()]:
        file.rename(inner / file.name)
    (folder / "modules.json").write_text(json.dumps([{"idx": 0, "path": "0_Transformer"}, {"idx": 1, "path": "1_Pooling"}]))


def wrap(prefix: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        save_file(
            {prefix + name: weight for name, weight in weights.items()}, folder / "model.safetensors", metadata={"format": "pt"}
        )

    return change


def pickle_it(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    torch.save({f"module.{name}": torch.from_numpy(weight) for name, weight in weights.items()}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


WAYS = {
    "shards": shard,
    "sentence-transformers": nested,
    "DataParallel": wrap("module."),
    "torch.compile": wrap("_orig_mod."),
    "pickled DataParallel": pickle_it,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_weights_are_found_however_they_lie(folder: Path, way: str) -> None:
    before = loaded(folder)
    WAYS[way](folder)
    after = loaded(folder)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_size_and_fingerprint_are_of_all_shards(folder: Path) -> None:
    shard(folder)
    encoder = resolve(str(folder))
    assert encoder.size == sum(path.stat().st_size for path in folder.glob("model*"))
    second = folder / "model-00002-of-00002.safetensors"
    weights = load_file(second)
    save_file({name: weight + 1 for name, weight in weights.items()}, second, metadata={"format": "pt"})
    assert resolve(str(folder)).fingerprint != encoder.fingerprint


def lose_a_shard(folder: Path) -> None:
    shard(folder)
    (folder / "model-00001-of-00002.safetensors").unlink()


def poison(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["encoder.layer.1.output.dense.weight"][3, 4] = np.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def poison_pickle(folder: Path) -> None:
    body = AutoModel.from_pretrained(folder)
    body.encoder.layer[1].output.dense.weight.data[0, 0] = torch.inf
    torch.save(body.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def replace_weights(name: str, content: bytes = b"") -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / name).write_bytes(content)

    return change


def drop_tokenizer(folder: Path) -> None:
    for name in ("vocab.txt", "tokenizer_config.json"):
        (folder / name).unlink()


def capitals(folder: Path) -> None:
    listed = folder / "vocab.txt"
    listed.write_text(listed.read_text().replace("[MASK]\n", "[MASK]\nParis\n"))
    (folder / "tokenizer_config.json").unlink()


def pickled(make: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        weights = {name: torch.from_numpy(weight) for name, weight in load_file(folder / "model.safetensors").items()}
        torch.save(make(weights), folder / "pytorch_model.bin")
        (folder / "model.safetensors").unlink()

    return change


def halve(folder: Path) -> None:
    pickled(dict)(folder)
    path = folder / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def describe_otherwise(**settings: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))

    return change


def poison_halves(folder: Path) -> None:
    body = AutoModel.from_pretrained(folder, dtype=torch.bfloat16)
    body.encoder.layer[1].output.dense.weight.data[0, 0] = torch.nan
    body.save_pretrained(folder)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
REFUSED: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "a shard is absent": (lose_a_shard, ("model-00001-of-00002.safetensors", "get the folder again")),
    "NaN": (poison, ("not finite", "encoder.layer.1.output.dense.weight")),
    "infinity in a pickle": (poison_pickle, ("not finite", "encoder.layer.1.output.dense.weight")),
    "NaN in 16 bits": (poison_halves, ("not finite", "encoder.layer.1.output.dense.weight")),
    "a whole module": (pickled(lambda weights: torch.nn.Linear(2, 2)), ("holds Python objects", "save_pretrained")),
    "objects": (pickled(lambda weights: {**weights, "args": Path("x")}), ("holds Python objects", "save_pretrained")),
    "checkpoint": (pickled(lambda weights: {"epoch": 1, "state_dict": weights}), ("checkpoint of training", "save these alone")),
    "half a pickle": (halve, ("pytorch_model.bin", "get it again")),
    "no pickle": (replace_weights("pytorch_model.bin", b"x" * 99), ("pytorch_model.bin", "no file of torch.save")),
    "a web page": (replace_weights("model.safetensors", b"<!DOCTYPE html>"), ("model.safetensors", "get it again")),
    "fewer blocks": (describe_otherwise(num_hidden_layers=3), ("config.json says 3 blocks", "have 2")),
    "another width": (describe_otherwise(hidden_size=64), ("config.json says 45 pieces of 64", "have 45 of 32")),
    "no kind": (describe_otherwise(model_type=None), ("does not say which encoder", '"model_type": "bert"')),
    "adapter": (replace_weights("adapter_config.json"), ("adapter", "merge_and_unload")),
    "TensorFlow": (replace_weights("tf_model.h5"), ("TensorFlow", "from_tf=True")),
    "ONNX": (replace_weights("model.onnx"), ("ONNX", "exported from")),
    "pointer": (replace_weights("model.safetensors", POINTER), ("pointer", "git lfs pull")),
    "cut short": (replace_weights("model.safetensors", b"\x08"), ("model.safetensors", "get it again")),
    "no tokenizer": (drop_tokenizer, ("no tokenizer", "vocab.txt", "save_pretrained")),
    "capitals": (capitals, ("'Paris'", '{"do_lower_case": false}', "tokenizer_config.json")),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_means_nothing_is_refused_with_the_way_out(folder: Path, case: str) -> None:
    change, parts = REFUSED[case]
    change(folder)
    message = refusal(folder)
    assert all(part in message for part in (str(folder), *parts)), message


def test_most_of_it_is_found_before_anything_is_loaded(folder: Path) -> None:
    for case in REFUSED:
        other = Path(shutil.copytree(folder, folder.with_name(f"for {case}")))
        REFUSED[case][0](other)
        with pytest.raises(MissingInput):
            pytest.fail(f"{case}: {resolve(str(other))}")


def test_a_stated_casing_is_taken(folder: Path) -> None:
    capitals(folder)
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": false, "tokenizer_class": "BertTokenizer"}')
    assert resolve(str(folder)).remarks == ()


def test_files_of_a_tokenizer_that_contradict_each_other_are_named(folder: Path, tiny_encoder: Encoder) -> None:
    pieces = (folder / "vocab.txt").read_text().splitlines()
    numbers = {piece: number for number, piece in enumerate(pieces)}
    numbers[pieces[5]], numbers[pieces[6]] = 6, 5
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"vocab": numbers}}))
    (remark,) = resolve(str(folder)).remarks
    assert f"2 of {len(pieces)} pieces" in remark
    assert "tokenizer.json counts" in remark
    assert tiny_encoder.remarks == ()
