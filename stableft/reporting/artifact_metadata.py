"""Artifact metadata: names the runs behind a figure or table. Stored in its files, and read back."""

import hashlib
import json
import re
import struct
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd

from stableft.core.errors import MissingInput, UsageError
from stableft.storage.records import Results

# Every caption ends with these sentences (`stableft.reporting.captions.describe`).
# LaTeX escapes the underscores.
CAPTION = re.compile(r"Experiment (\S+), protocol (\S+); scored: .* Run set ([0-9a-f]{12})\.", re.DOTALL)
SUFFIXES = ("pdf", "png", "svg", "csv", "txt", "md", "tex")
NEWER = ("patches", "locks", "data", "weights")  # fields that figures of older runs lack
DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Origin:
    """The runs that a file shows.

    Attributes:
        experiment: Name of the experiment. The file is an item of its ``REPORT``.
        protocol: Name of the protocol.
        entry: Name of the item in the report.
        run_set: Digest of the run ids; see `run_set`.
        commits: Commits of the code that computed the runs, 12 digits each. A plus sign marks code
            with uncommitted changes. Empty if the file has only a caption.
        patches: First 12 digits of the SHA-256 of each set of uncommitted changes.
        locks: First 12 digits of the SHA-256 of requirements.lock at that time.
        data: First 12 digits of the fingerprints of the tasks' data.
        weights: First 12 digits of the fingerprints of the encoders' files. ``patches``, ``locks``,
            ``data`` and ``weights`` cover only runs that record their lock.
    """

    experiment: str
    protocol: str
    entry: str
    run_set: str
    commits: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()

    def to_json(self) -> str:
        """Returns one line of ASCII, without the newer fields if they are empty."""
        fields = {name: value for name, value in asdict(self).items() if value or name not in NEWER}
        return json.dumps({"stableft": 1, **fields})

    def sentence(self) -> str:
        """Returns commits and fingerprints for the note of a table; empty if no run records its lock."""
        parts = {"Code": self.commits, "patch": self.patches, "lock": self.locks, "data": self.data, "weights": self.weights}
        return "; ".join(f"{name} {', '.join(values)}" for name, values in parts.items() if values) + "." if self.locks else ""


def run_set(results: Results) -> str:
    """Returns the first 12 hex digits of the SHA-256 over the sorted run ids, one per line."""
    return hashlib.sha256("\n".join(sorted(results.runs["run_id"])).encode()).hexdigest()[:12]


def origin_of(results: Results, entry: str) -> Origin:
    """Returns the origin of an item of a report. It depends on the results alone."""
    experiment, protocol = (", ".join(map(str, results.runs[name].unique())) for name in ("experiment", "protocol"))
    known = provenances(results.runs)
    newer = results.runs[[bool(p.get("lock")) for p in known]]
    return Origin(
        experiment,
        protocol,
        entry,
        run_set(results),
        tuple(sorted({commit(p) for p in known} - {""})),
        patches=_short(p["git"].get("diff_sha256") for p in known if p.get("lock")),
        locks=_short(p["lock"]["sha256"] for p in known if p.get("lock")),
        **{name: _short(newer[f"{name}_fingerprint"]) if len(newer) else () for name in ("data", "weights")},
    )


def provenances(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Returns the provenance of each run."""
    return _parsed(tuple(map(str, runs["provenance"])))


@lru_cache(maxsize=1)
def _parsed(provenances: tuple[str, ...]) -> list[dict[str, Any]]:
    """Parses provenances. Cached for all items of an experiment: thousands of runs take a second."""
    return [json.loads(text) for text in provenances]


def _short(hashes: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({each[:12] for each in hashes if each}))


def commit(provenance: dict[str, dict[str, str]]) -> str:
    """Returns the commit of a run, 12 digits; empty outside a git checkout.

    A plus sign marks code with uncommitted changes.
    """
    git = provenance.get("git") or {}
    return f"{git['commit'][:12]}{'+' if git.get('dirty') else ''}" if git.get("commit") else ""


def encoder_name(encoder: str) -> str:
    """Returns an encoder's name without the folders of a path: they may name a person."""
    return encoder.replace("\\", "/").rstrip("/").split("/")[-1]


def read_origin(path: Path) -> Origin:
    """Reads the origin from a figure in any of its formats, or from a table.

    Figures hold it as metadata. Tables and captions hold it in their last sentences. For a CSV
    file, the caption or table of the same name is read.

    Raises:
        MissingInput: no such file.
        UsageError: it is not a figure or table of stableft, or is too old to hold its origin.
    """
    if not path.is_file():
        raise MissingInput(f"{path}: no such file")
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path}: not a figure or table of stableft; these end in {', '.join(SUFFIXES)}")
    readers = {"pdf": _pdf_description, "png": _png_description, "svg": _svg_description}
    origin = _from_json(readers[suffix](path.read_bytes())) if suffix in readers else _from_caption(path)
    if origin is None:
        raise UsageError(f"{path} does not record its origin: it is not from stableft, or from a version without origins")
    return origin


def _from_json(description: str) -> Origin | None:
    try:
        fields = json.loads(description)
        experiment, protocol, entry, ids = (str(fields[name]) for name in ("experiment", "protocol", "entry", "run_set"))
        newer = {name: tuple(map(str, fields.get(name, ()))) for name in NEWER}
        return Origin(experiment, protocol, entry, ids, tuple(map(str, fields["commits"])), **newer)
    except (ValueError, KeyError, TypeError):
        return None


def _from_caption(path: Path) -> Origin | None:
    texts = [path]
    if path.suffix == ".csv":
        texts = [text for text in (path.with_suffix(".txt"), path.with_suffix(".md")) if text.is_file()]
    for text in texts:
        match = CAPTION.search(text.read_text(encoding="utf-8", errors="replace").replace(r"\_", "_"))
        if match:
            return Origin(match[1], match[2], path.stem, match[3])
    return None


def _pdf_description(content: bytes) -> str:
    """Returns the subject of a PDF of matplotlib: a literal string of ASCII, never compressed."""
    subject = re.search(rb"/Subject \(((?:[^\\()]|\\.)*)\)", content, re.DOTALL)
    return re.sub(r"\\(.)", r"\1", subject[1].decode("latin-1")) if subject else ""


def _png_description(content: bytes) -> str:
    """Returns the text chunk named Description."""
    start = len(PNG_SIGNATURE) if content.startswith(PNG_SIGNATURE) else len(content)
    while start + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        key, _, text = content[start + 8 : start + 8 + length].partition(b"\0")
        if (kind, key) == (b"tEXt", b"Description"):
            return text.decode("latin-1")
        start += 12 + length
    return ""


def _svg_description(content: bytes) -> str:
    """Returns the Dublin Core description."""
    try:
        return ElementTree.fromstring(content).findtext(f".//{{{DUBLIN_CORE}}}description") or ""
    except ElementTree.ParseError:
        return ""
