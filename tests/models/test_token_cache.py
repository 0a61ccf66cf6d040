"""Tokens are made once; what stands on disk is what was made, damaged or not."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from stableft.models import token_cache
from stableft.models.token_cache import Splits, load_or_make
from stableft.models.tokens import Tokens


def example(shift: int = 0) -> tuple[Splits, np.ndarray]:
    tokens = Tokens(np.arange(6) + shift, np.array([0, 0, 1, 0, 0, 0]), np.array([0, 3, 4, 6]), np.array([0.0, 2.5, 1.0]))
    return {"train": tokens, "validation": tokens}, np.array([3, 7])


def assert_same(actual: tuple[Splits, np.ndarray], expected: tuple[Splits, np.ndarray]) -> None:
    assert list(actual[0]) == list(expected[0])
    for name, tokens in expected[0].items():
        for field in ("ids", "segments", "offsets", "labels"):
            theirs = getattr(actual[0][name], field)
            np.testing.assert_array_equal(theirs, getattr(tokens, field))
            assert theirs.dtype == getattr(tokens, field).dtype
    np.testing.assert_array_equal(actual[1], expected[1])


def refuse() -> tuple[Splits, np.ndarray]:
    raise AssertionError("made a second time")


def test_made_once_and_mapped(tmp_path: Path) -> None:
    first = load_or_make(tmp_path / "tokens" / "k", example)
    again = load_or_make(tmp_path / "tokens" / "k", refuse)
    for actual in (first, again):
        assert_same(actual, example())
        assert isinstance(actual[0]["train"].ids, np.memmap)
    assert [path.name for path in (tmp_path / "tokens").iterdir()] == ["k"], "no draft is left behind"
    batch = again[0]["train"].batch([2, 0])
    assert batch.ids.tolist() == [4, 5, 0, 1, 2]
    batch.ids[0] = 9  # a batch is a copy
    assert again[0]["train"].ids[4] == 4


@pytest.mark.parametrize("damage", ["cut", "missing", "emptied", "other lengths", "not json"])
def test_damage_is_mended(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "k"
    load_or_make(folder, example)
    ids = folder / "train.ids.npy"
    if damage == "cut":
        ids.write_bytes(ids.read_bytes()[:-9])
    elif damage == "missing":
        ids.unlink()
    elif damage == "emptied":
        ids.write_bytes(b"")
    elif damage == "other lengths":
        np.save(ids, np.arange(3))
    else:
        (folder / "splits.json").write_text("{")
    assert_same(load_or_make(folder, example), example())
    assert_same(load_or_make(folder, refuse), example())


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert_same(load_or_make(tmp_path / "file" / "k", example), example())


def _load(folder: Path) -> list[int]:
    return load_or_make(folder, example)[0]["train"].ids.tolist()


@pytest.mark.slow
def test_two_workers_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        of_workers = pool.map(_load, [tmp_path / "tokens" / "k"] * 4, chunksize=1)
    assert of_workers == [list(range(6))] * 4
    assert [path.name for path in (tmp_path / "tokens").iterdir()] == ["k"]


def test_the_key_names_everything_that_tokens_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"task": "rte", "data": "d", "weights": "w", "max_length": 128}
    keys = {token_cache.key(**parts)} | {token_cache.key(**{**parts, name: "other"}) for name in parts}
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9")
    keys.add(token_cache.key(**parts))
    assert len(keys) == len(parts) + 2


@pytest.mark.parametrize("name", ["train.ids.npy", "validation.labels.npy", "pieces.npy"])
def test_a_single_bit_is_noticed(name: str, tmp_path: Path) -> None:
    """Of the right shape and type, other tokens would be trained on."""
    folder = tmp_path / "k"
    load_or_make(folder, example)
    content = bytearray((folder / name).read_bytes())
    content[-3] ^= 4
    (folder / name).write_bytes(bytes(content))
    assert_same(load_or_make(folder, example), example())
    assert_same(load_or_make(folder, refuse), example())
