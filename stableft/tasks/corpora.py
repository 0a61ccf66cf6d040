"""Public corpora: the addresses of their published files, and the SHA-256 of the contents.

`content_sha256` hashes the content: the bytes without a byte-order mark or, for JSON lines, the
objects. The hashes are those of the copies behind this repository's results. These copies came as
plain files from other public repositories:

- GLUE's RTE (compared row by row with the hub's), CoLA and STS-B.
- The two files of MRPC from which GLUE's script makes ``train.tsv`` and ``dev.tsv``, as
  `format_mrpc` does.
- CLUE's ``train.json`` and ``dev.json`` of TNEWS and CLUENER.
- ResumeNER from its authors.

The addresses are those in GLUE's and CLUE's own download scripts, and of the authors' repository at
one commit. It could not be tested here that the archives contain exactly these rows: the hash
decides.

Not recorded, and so available from the hub only: SST-2, QNLI, QQP and MNLI.
"""

import hashlib
import io
import json
import stat
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from stableft.core.errors import MissingInput
from stableft.tasks import clue, commonlit, glue, ner

MARK = b"\xef\xbb\xbf"
LARGEST = 2**30  # bytes of a file in an archive: a larger one could fill the memory
GLUE_DATA = "https://dl.fbaipublicfiles.com/glue/data"
MRPC_DATA = "https://dl.fbaipublicfiles.com/senteval/senteval_data"
CLUE_DATA = "https://storage.googleapis.com/cluebenchmark/tasks"
LATTICE = "https://raw.githubusercontent.com/jiesutd/LatticeLSTM/24d17f4270f11d2f75046789d8b67eaa2b907dce/ResumeNER"

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class Original:
    """A corpus in its published form.

    Attributes:
        name: Its name in `data fetch`.
        tasks: Tasks that are read from it.
        folders: Its accepted places below the data folder; it is written to the first.
        files: File name -> `content_sha256`.
        urls: Download name -> address; empty if the corpus may not be distributed.
        make: Makes the files from the downloads.
        instead: Advice for a corpus without an address.
    """

    name: str
    tasks: tuple[str, ...]
    folders: tuple[str, ...]
    files: Mapping[str, str]
    urls: Mapping[str, str]
    make: Callable[[Files, Sequence[str]], Files]
    instead: str = ""


def content_sha256(name: str, content: bytes) -> str:
    """Returns the SHA-256 of a file's content, without a byte-order mark.

    For ``.json`` the hash is over the objects, one on each line, with sorted keys.

    Raises:
        MissingInput: A ``.json`` file is not valid JSON lines.
    """
    content = content.removeprefix(MARK)
    if name.endswith(".json"):
        try:
            rows = [json.loads(line) for line in content.decode().split("\n") if line.strip()]
        except ValueError as error:
            raise MissingInput(f"{name}: not valid JSON lines ({error})") from error
        content = b"".join(json.dumps(r, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for r in rows)
    return hashlib.sha256(content).hexdigest()


def unzipped(archives: Files, wanted: Sequence[str]) -> Files:
    """Extracts the wanted files from zip archives in memory, from any folder inside them.

    Raises:
        MissingInput: An archive is damaged, would write outside its folder, or has a file larger
            than `LARGEST` or two of one name; or a wanted file is in none.
    """
    files: dict[str, bytes] = {}
    for archive, content in archives.items():
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as opened:
                for member in opened.infolist():
                    _refuse_escape(archive, member)
                    path = PurePosixPath(member.filename)
                    if path.name in wanted and "__MACOSX" not in path.parts:
                        if path.name in files:
                            raise MissingInput(f"{archive} has two files {path.name}")
                        if member.file_size > LARGEST:
                            raise MissingInput(
                                f"{archive}: {member.filename} has {member.file_size:,} bytes, more than any corpus file"
                            )
                        files[path.name] = opened.read(member)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
            raise MissingInput(f"{archive} is not a complete archive ({error})") from error
    if absent := [name for name in wanted if name not in files]:
        raise MissingInput(f"{', '.join(archives)} lacks {', '.join(absent)}")
    return files


def _refuse_escape(archive: str, member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename.replace("\\", "/"))
    link = stat.S_ISLNK(member.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or ":" in member.filename or link:
        raise MissingInput(f"{archive} holds {member.filename!r}, which leads out of its folder: refused")


def as_they_are(downloads: Files, wanted: Sequence[str]) -> Files:
    """Returns the wanted downloads unchanged."""
    return {name: downloads[name] for name in wanted}


def format_mrpc(downloads: Files, wanted: Sequence[str]) -> Files:
    """Splits MRPC's training file into ``train.tsv`` and ``dev.tsv`` as GLUE's script does.

    The pairs listed in ``dev_ids.tsv`` go to ``dev.tsv``, the others to ``train.tsv``, in order.

    Raises:
        MissingInput: A row does not have five columns.
    """
    pairs = {tuple(line.strip().split("\t")) for line in _lines(downloads["dev_ids.tsv"])}
    header, *rows = _lines(downloads["msr_paraphrase_train.txt"])
    divided: dict[str, list[str]] = {"train.tsv": [header.strip()], "dev.tsv": [header.strip()]}
    for number, row in enumerate(rows, start=2):
        cells = row.strip().split("\t")
        if len(cells) != 5:
            raise MissingInput(f"msr_paraphrase_train.txt:{number}: {len(cells)} columns, expected 5")
        divided["dev.tsv" if (cells[1], cells[2]) in pairs else "train.tsv"].append("\t".join(cells))
    return {name: ("\n".join(divided[name]) + "\n").encode() for name in wanted}


def _lines(content: bytes) -> list[str]:
    try:
        return content.decode("utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise MissingInput(f"not UTF-8 ({error.reason})") from error


def _glue(name: str, folder: str, train: str, dev: str) -> Original:
    hashes = {"train.tsv": train, "dev.tsv": dev}
    urls = {f"{folder}.zip": f"{GLUE_DATA}/{folder}.zip"}
    return Original(name, (name, f"{name}_1k"), (folder, f"glue/{folder}"), hashes, urls, unzipped)


def _clue(name: str, tasks: tuple[str, ...], folders: tuple[str, ...], train: str, dev: str) -> Original:
    archive = f"{name}_public.zip"
    return Original(name, tasks, folders, {"train.json": train, "dev.json": dev}, {archive: f"{CLUE_DATA}/{archive}"}, unzipped)


ORIGINALS: tuple[Original, ...] = (
    _glue(
        "rte", "RTE",
        train="41e3a9b063433392343fad9e962cf2f58b681c78d8f71592f4186f0837246c5c",
        dev="80230dfa1347282e7b532b06a1004a76a710087541189bf874223ddf0e3819fb",
    ),
    Original(
        "mrpc", ("mrpc", "mrpc_1k"), ("MRPC", "glue/MRPC"),
        {
            "train.tsv": "15d9c71e62d662b1cc9237e2015047cad4c1f62552d49858a9bce2b944d79897",
            "dev.tsv": "320459df9454dbdc8eea69ad1eb294967e7dfe03e7cf791f37d954a316f5253d",
        },
        {
            "msr_paraphrase_train.txt": f"{MRPC_DATA}/msr_paraphrase_train.txt",
            "dev_ids.tsv": f"{GLUE_DATA}/mrpc_dev_ids.tsv",
        },
        format_mrpc,
    ),
    _glue(
        "stsb", "STS-B",
        train="41c4d978b6162abdcada7e49a982211954cca5459c228db478af333124b257a2",
        dev="fe7dc0632a5033562f3cadff991f6e8d9b9b6311861660e78c3c82eb7db67f59",
    ),
    _glue(
        "cola", "CoLA",
        train="cb368ebeb9f27d7ad03720d27ddc95687a311bdb100781a2fe59a5f5b1bc0624",
        dev="8c013e21dc39957cac37378d87bebe225b694a0d5fe13eded66c2856628833fd",
    ),
    _clue(
        "tnews", ("tnews", "tnews50k"), clue.SOURCE.folders,
        train="4fea600e8da6f39dbffdcb5502736a3d3af1a0f14a801efea4f194b6812c8895",
        dev="a45640f96c3c5cf52ab8222c19b4ec886e37bf78f7e24cba0dbad0c18c291c7b",
    ),
    _clue(
        "cluener", ("cluener",), ner.CLUENER_FOLDERS,
        train="7e99f0c28cde00e98ec045f3becebb22f92e30501054ecf468e797a1f8775a91",
        dev="5742d104c1444de754b5efff17803907e52154e219b457422347450675964a36",
    ),
    Original(
        "resume_ner", ("resume_ner",), ner.RESUME_FOLDERS,
        {
            "train.char.bmes": "93b9bb0be5dd4730121587f9dc1378de3fbbe55cba1c575edec271f822c27be7",
            "dev.char.bmes": "1b0d67153e6e8543e9444936ed1b107bd843078c282533898085e1a9aa293952",
            "test.char.bmes": "c4a9f42622819a4b59f66e184d446ebfa89b2f1dbba06e11d70675e59fe7e79b",
        },
        {name: f"{LATTICE}/{name}" for name in ner.RESUME_FILES},
        as_they_are,
    ),
    Original(
        "commonlit", tuple(task.name for task in commonlit.TASKS), commonlit.FOLDERS,
        {"train.csv": "ecf3fe2e77bd58dcc89e196dc4127a37adfe71496ebb3b9063f1e6e1bd3663f6"},
        {},
        as_they_are,
        "by the rules of its competition commonlitreadabilityprize only Kaggle may distribute it: download train.csv there",
    ),
)  # fmt: skip


def original(task: str) -> Original | None:
    """Returns the corpus of a task, found by the name of either.

    None for a task that is only on the hub, or made by this package.
    """
    return next((each for each in ORIGINALS if task in (each.name, *each.tasks)), None)


def hub_source(task: str) -> glue.GlueTask | None:
    """Returns the GLUE task of a name, also of its 1k subset, if only the hub has it."""
    named = (entry for entry in glue.GLUE if task in (entry.source.name, f"{entry.source.name}_1k"))
    return next((entry for entry in named if original(entry.source.name) is None), None)
