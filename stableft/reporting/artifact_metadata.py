"""Where a figure or table comes from: what is written into its files, and how it is read back."""

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

from stableft.core.errors import MissingInput, UsageError
from stableft.storage.records import Results

# The sentences that every caption ends with (`stableft.reporting.report.describe`); LaTeX escapes the underscores.
CAPTION = re.compile(r"Experiment (\S+), protocol (\S+); scored: .* Run set ([0-9a-f]{12})\.", re.DOTALL)
SUFFIXES = ("pdf", "png", "svg", "csv", "txt", "md", "tex")
NEWER = ("patches", "locks", "data", "weights")  # fields that figures of older runs lack
DUBLIN_CORE = "http://purl.org/dc/elements/1.1/"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Origin:
    """The runs that a file shows.

    Attributes:
        experiment: Whose ``REPORT`` it is in.
        protocol: Whose results it shows.
        entry: Its name in the report.
        run_set: See `run_set`.
        commits: Of the code that the runs were computed with, 12 digits each, with a plus sign where it was changed since; empty
            where the file only has a caption.
        patches: First 12 digits of the SHA-256 of what was changed since these commits.
        locks: Likewise of requirements.lock as it was then.
        data: Of the fingerprints of the tasks' data.
        weights: Of the fingerprints of the encoders' files. Like the three before, only of runs that say their lock.
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
        """One line of ASCII; what older runs do not say is not in it."""
        fields = {name: value for name, value in asdict(self).items() if value or name not in NEWER}
        return json.dumps({"stableft": 1, **fields})

    def sentence(self) -> str:
        """Commits and fingerprints, for the note of a table; empty for runs that are older than that."""
        parts = {"Code": self.commits, "patch": self.patches, "lock": self.locks, "data": self.data, "weights": self.weights}
        return "; ".join(f"{name} {', '.join(values)}" for name, values in parts.items() if values) + "." if self.locks else ""


def run_set(results: Results) -> str:
    """Which runs exactly: the first 12 hex digits of the SHA-256 over the sorted run ids, one per line."""
    return hashlib.sha256("\n".join(sorted(results.runs["run_id"])).encode()).hexdigest()[:12]


def of(results: Results, entry: str) -> Origin:
    """The origin of what an entry shows of these results: nothing of the process that draws it."""
    experiment, protocol = (", ".join(map(str, results.runs[name].unique())) for name in ("experiment", "protocol"))
    said = _parsed(tuple(map(str, results.runs["provenance"])))
    newer = results.runs[[bool(p.get("lock")) for p in said]]
    return Origin(
        experiment,
        protocol,
        entry,
        run_set(results),
        tuple(sorted({commit(p) for p in said} - {""})),
        patches=_short(p["git"].get("diff_sha256") for p in said if p.get("lock")),
        locks=_short(p["lock"]["sha256"] for p in said if p.get("lock")),
        **{name: _short(newer[f"{name}_fingerprint"]) if len(newer) else () for name in ("data", "weights")},
    )


@lru_cache(maxsize=1)
def _parsed(provenances: tuple[str, ...]) -> list[dict[str, Any]]:
    """The same for all entries of an experiment: parsing that of thousands of runs takes a second."""
    return [json.loads(text) for text in provenances]


def _short(hashes: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({each[:12] for each in hashes if each}))


def commit(provenance: dict[str, dict[str, str]]) -> str:
    """The commit of a run as `stableft.execution.provenance.commit` writes it; empty where it was no git checkout."""
    git = provenance.get("git") or {}
    return f"{git['commit'][:12]}{'+' if git.get('dirty') else ''}" if git.get("commit") else ""


def encoder_name(encoder: str) -> str:
    """An encoder without the folders of a path, which may name a person."""
    return encoder.replace("\\", "/").rstrip("/").split("/")[-1]


def read(path: Path) -> Origin:
    """The origin that a file says, a figure in any of its formats or a table.

    Figures carry it inside; tables and captions say it in their last sentences, and a CSV file in those of the file beside it.

    Raises:
        MissingInput: no such file.
        UsageError: it isn't a figure or table of stableft, or from before they said where they come from.
    """
    if not path.is_file():
        raise MissingInput(f"{path}: no such file")
    suffix = path.suffix.removeprefix(".").lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path}: not a figure or table of stableft, which end in {', '.join(SUFFIXES)}")
    readers = {"pdf": _of_pdf, "png": _of_png, "svg": _of_svg}
    origin = _from_json(readers[suffix](path.read_bytes())) if suffix in readers else _from_caption(path)
    if origin is None:
        raise UsageError(f"{path} does not say where it comes from: it is not of stableft, or was drawn before figures said so")
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
        texts = [beside for beside in (path.with_suffix(".txt"), path.with_suffix(".md")) if beside.is_file()]
    for beside in texts:
        found = CAPTION.search(beside.read_text(encoding="utf-8", errors="replace").replace(r"\_", "_"))
        if found:
            return Origin(found[1], found[2], path.stem, found[3])
    return None


def _of_pdf(content: bytes) -> str:
    """The subject in the document information of a PDF that matplotlib wrote: a literal string of ASCII, never compressed."""
    found = re.search(rb"/Subject \(((?:[^\\()]|\\.)*)\)", content, re.DOTALL)
    return re.sub(r"\\(.)", r"\1", found[1].decode("latin-1")) if found else ""


def _of_png(content: bytes) -> str:
    """The text chunk named Description."""
    place = len(PNG_SIGNATURE) if content.startswith(PNG_SIGNATURE) else len(content)
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        key, _, text = content[place + 8 : place + 8 + length].partition(b"\0")
        if (kind, key) == (b"tEXt", b"Description"):
            return text.decode("latin-1")
        place += 12 + length
    return ""


def _of_svg(content: bytes) -> str:
    """The Dublin Core description."""
    try:
        return ElementTree.fromstring(content).findtext(f".//{{{DUBLIN_CORE}}}description") or ""
    except ElementTree.ParseError:
        return ""
