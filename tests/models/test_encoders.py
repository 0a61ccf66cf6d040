"""Where encoders come from, what their fingerprints depend on, and messages that name the ways out."""

import dataclasses
import errno
import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from stableft.core.errors import MissingInput, Unwritable
from stableft.models import encoders
from stableft.models.encoders import EMBEDDED, TINY, Encoder, file_sha256, resolve
from stableft.tasks.toy import VOCABULARY

WORDS: Sequence[str] = VOCABULARY


@dataclasses.dataclass
class FakeDistribution:
    root: Path

    def locate_file(self, path: str) -> Path:
        return self.root / path


@pytest.fixture
def copied(tiny_encoder: Encoder, tmp_path: Path) -> Path:
    """A folder of one's own with the tiny encoder's files."""
    return Path(shutil.copytree(tiny_encoder.folder, tmp_path / "mine"))


@pytest.fixture
def package(tiny_encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package that embeds the tiny encoder under the name ``carried``; returns the folder inside."""
    folder = Path(shutil.copytree(tiny_encoder.folder, tmp_path / "site" / "carrier" / "model"))
    spec = encoders.Embedded(
        distribution="carrier",
        version="1.2",
        folder="carrier/model",
        weights="model.safetensors",
        sha256=hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest(),
        setup="make carried",
    )
    monkeypatch.setitem(EMBEDDED, "carried", spec)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: FakeDistribution(tmp_path / "site"))
    return folder


def refusal(name: str) -> str:
    """The message, after looking that it names the ways out."""
    with pytest.raises(MissingInput) as caught:
        resolve(name)
    message = str(caught.value)
    assert "ENCODER=/path/to/model" in message
    assert "PROTOCOL=smoke" in message
    assert "\n" not in message
    assert caught.value.exit_code == 4
    return message


# --- tiny-random ---------------------------------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_tiny_random_is_the_same_bytes_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for place in ("one", "other"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / place))
        made.append(resolve(TINY, tiny_vocabulary=WORDS))
    assert made[0].folder != made[1].folder
    assert made[0].folder.is_relative_to(tmp_path / "one" / "stableft")
    assert contents(made[0].folder) == contents(made[1].folder)
    assert made[0].fingerprint == made[1].fingerprint
    assert [path.name for path in (tmp_path / "one" / "stableft").iterdir()] == [made[0].folder.name], "left scratch files behind"


def test_tiny_random_never_changes(tiny_encoder: Encoder) -> None:
    """The ids of all smoke runs hang on it."""
    assert tiny_encoder.fingerprint == "84c4691947c3bffa7444e29ae71e8af57d4fd0d07667dc8cef27d5c2489efcd2"


def test_tiny_random_is_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = resolve(TINY, tiny_vocabulary=WORDS)
    written = {path.name: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    assert resolve(TINY, tiny_vocabulary=WORDS) == first
    assert {path.name: path.stat().st_mtime_ns for path in first.folder.iterdir()} == written


def test_other_words_are_another_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_encoder: Encoder) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    other = resolve(TINY, tiny_vocabulary=[*WORDS[:-1], "another"])
    assert other.folder.name != tiny_encoder.folder.name
    assert other.fingerprint != tiny_encoder.fingerprint


def test_two_processes_that_make_it_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slower one finds the folder taken by the same files and uses it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rename = Path.rename

    def overtaken(self: Path, target: Path) -> Path:
        shutil.copytree(self, target)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", overtaken)
    encoder = resolve(TINY, tiny_vocabulary=WORDS)
    assert (encoder.folder / "config.json").is_file()


def test_tiny_random_has_berts_start(tiny_encoder: Encoder) -> None:
    weights = load_file(tiny_encoder.folder / "model.safetensors")
    for name, values in weights.items():
        if name.endswith("LayerNorm.weight"):
            assert (values == 1).all()
        elif name.endswith("bias"):
            assert (values == 0).all()
        else:
            assert abs(float(values.std()) - 0.02) < 0.005, name
    assert json.loads((tiny_encoder.folder / "config.json").read_text())["vocab_size"] == len(WORDS) + 5


# --- fingerprints --------------------------------------------------------------------------------------------------------------


def test_a_fingerprint_is_of_content_alone(copied: Path, tiny_encoder: Encoder) -> None:
    mine = resolve(str(copied))
    assert mine.fingerprint == tiny_encoder.fingerprint
    assert mine.folder == copied
    (copied / "README.md").write_text("about it")
    for path in copied.iterdir():
        os.utime(path, ns=(0, 0))
    assert resolve(str(copied)).fingerprint == mine.fingerprint


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"])
def test_any_file_changes_the_fingerprint(copied: Path, name: str) -> None:
    before = resolve(str(copied)).fingerprint
    file = copied / name
    content = bytearray(file.read_bytes())
    content[-2] ^= 1  # the same size
    file.write_bytes(content)
    stat = file.stat()
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))  # later than any clock's resolution
    assert resolve(str(copied)).fingerprint != before


@pytest.mark.parametrize("name", ["special_tokens_map.json", "tokenizer.json", "merges.txt", "vocab.json"])
def test_a_further_tokenizer_file_changes_the_fingerprint(copied: Path, name: str) -> None:
    before = resolve(str(copied)).fingerprint
    (copied / name).write_text("{}")
    assert resolve(str(copied)).fingerprint != before


def test_files_that_swap_contents_are_another_encoder(copied: Path) -> None:
    (copied / "merges.txt").write_text("a")
    (copied / "vocab.json").write_text("bb")
    before = resolve(str(copied)).fingerprint
    (copied / "merges.txt").write_text("bb")
    (copied / "vocab.json").write_text("a")
    assert resolve(str(copied)).fingerprint != before


def test_lower_casing_is_part_of_the_fingerprint(package: Path, monkeypatch: pytest.MonkeyPatch, tiny_encoder: Encoder) -> None:
    plain = resolve("carried")
    monkeypatch.setitem(EMBEDDED, "carried", dataclasses.replace(EMBEDDED["carried"], lower_case=True))
    lowered = resolve("carried")
    assert plain.fingerprint == tiny_encoder.fingerprint
    assert (plain.lower_case, lowered.lower_case) == (False, True)
    assert plain.fingerprint != lowered.fingerprint


def test_file_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert file_sha256(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()


def test_safetensors_before_pickles(copied: Path) -> None:
    before = resolve(str(copied)).fingerprint
    (copied / "pytorch_model.bin").write_bytes(b"\x80\x02 older")  # as torch wrote it once
    assert resolve(str(copied)).fingerprint == before
    (copied / "model.safetensors").unlink()
    assert resolve(str(copied)).fingerprint != before


# --- refusals ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "~/models/bert", "a/b/c", "../x"])
def test_a_folder_that_does_not_exist(name: str) -> None:
    assert f"encoder folder {name} does not exist" in refusal(name)


@pytest.mark.parametrize("lacking", ["config.json", "model.safetensors"])
def test_a_folder_that_is_no_encoder(copied: Path, lacking: str) -> None:
    (copied / lacking).unlink()
    message = refusal(str(copied))
    assert f"{copied} is no encoder" in message
    assert "config.json and model.safetensors or pytorch_model.bin" in message


@pytest.mark.parametrize("name", ["no-such-encoder", "nobody/no-such-encoder"])
def test_what_the_hub_can_not_give(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    message = refusal(name)
    assert f"encoder {name!r} is neither an embedded one (minilm-l6, bert-4x512-zh, tiny-random) nor a folder" in message


def test_the_hubs_cache_is_used_offline(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    revision = "0" * 40
    repository = tmp_path / "hub" / "models--someone--mine"
    shutil.copytree(copied, repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    resolved = resolve("someone/mine")
    assert resolved.folder == repository / "snapshots" / revision
    assert resolved.fingerprint == resolve(str(copied)).fingerprint


@pytest.mark.parametrize("name", list(EMBEDDED))
def test_an_embedded_encoder_that_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(distribution: str) -> None:
        raise importlib.metadata.PackageNotFoundError(distribution)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    spec = EMBEDDED[name]
    message = refusal(name)
    assert f"{spec.distribution}=={spec.version}, which is not installed: type `{spec.setup}`" in message


def test_damaged_embedded_weights(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve("carried").folder == package
    monkeypatch.setitem(EMBEDDED, "carried", dataclasses.replace(EMBEDDED["carried"], sha256="0" * 64))
    message = refusal("carried")
    assert "model.safetensors is damaged: sha256" in message
    assert f"expected {'0' * 64}; type `make carried`" in message


def test_an_embedded_package_without_its_weights(package: Path) -> None:
    (package / "model.safetensors").unlink()
    assert "model.safetensors is not there: type `make carried`" in refusal("carried")


def test_a_random_model_never_stands_in(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: object) -> Path:
        raise AssertionError("made a random model")

    monkeypatch.setattr(encoders, "_tiny_random_bert", made)
    refusal("tiny-randon")
    with pytest.raises(AssertionError, match="made a random model"):
        resolve(TINY)


def installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(EMBEDDED[name].distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


@pytest.mark.parametrize("name", list(EMBEDDED))
def test_nothing_of_the_weight_package_is_imported(name: str, project: Path) -> None:
    if not installed(name):
        pytest.skip(f"{EMBEDDED[name].distribution} is not installed")
    code = f"import sys; from stableft.models.encoders import resolve; resolve({name!r}); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=project).stdout.split()
    assert "stableft.models.encoders" in loaded
    top = EMBEDDED[name].folder.split("/")[0]
    assert not {top, "torch", "transformers", "huggingface_hub"} & {module.split(".")[0] for module in loaded}


def test_a_cache_without_space_names_the_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("safetensors.numpy.save_file", full)
    with pytest.raises(Unwritable, match=r"tiny-random-\w+ can't be written \(No space left on device\): set XDG_CACHE_HOME"):
        resolve("tiny-random", tiny_vocabulary=["a"])
    assert not list(tmp_path.glob("*/*"))
