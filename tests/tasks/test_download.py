"""Downloads: corpora and encoders from a local server with invented files and faults."""

import hashlib
import io
import json
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stableft.cli.app import app
from stableft.cli.data import fetch_all
from stableft.cli.formatting import VIEW_SCHEMA
from stableft.core import hub
from stableft.core.errors import MissingInput, UsageError
from stableft.models.encoders import HUB_FILES, Encoder, resolve
from stableft.tasks import corpora, glue
from stableft.tasks import download as fetch
from stableft.tasks.corpora import Original, as_they_are, content_sha256, format_mrpc, unzipped

TSV = b"index\tsentence1\tsentence2\tlabel\n0\tAn invented tree.\tA tree.\tentailment\n1\tA green stone.\tA cat.\tnot_entailment\n"
PLENTY = b"".join(b"%d\tinvented row\n" % number for number in range(20_000))


@dataclass
class Server:
    """What it serves, and how.

    Attributes:
        files: Content by path.
        cut: Bytes after which an answer breaks off, by path; each once.
        ranges: Whether it can go on in the middle.
        failures: Answers 503 so often.
        asked: Path and range of each request.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    ranges: bool = True
    failures: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            found.asked.append((self.path, wanted))
            content = found.files.get(self.path)
            if found.failures:
                found.failures -= 1
                return self.send_error(503)
            if content is None:
                return self.send_error(404)
            start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and found.ranges else 0
            if start >= len(content):
                return self.send_error(416)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            self.wfile.write(content[start : found.cut.pop(self.path, len(content))])

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        found.url = f"http://127.0.0.1:{listening.server_address[1]}"
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        listening.shutdown()
        thread.join()


def packed(**files: bytes) -> bytes:
    """A ZIP archive, as GLUE's: files in a folder, with what a Mac adds."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"RTE/{name.replace('_', '.')}", data)
            archive.writestr(f"__MACOSX/RTE/{name.replace('_', '.')}", b"\0")
    return content.getvalue()


@pytest.fixture
def rte(server: Server, monkeypatch: pytest.MonkeyPatch) -> Original:
    """RTE's entry with invented files, served from here; the only one on record."""
    server.files["/RTE.zip"] = packed(train_tsv=TSV, dev_tsv=TSV + PLENTY)
    hashes = {"train.tsv": content_sha256("train.tsv", TSV), "dev.tsv": content_sha256("dev.tsv", TSV + PLENTY)}
    found = replace(corpora.ORIGINALS[0], files=hashes, urls={"RTE.zip": f"{server.url}/RTE.zip"})
    for module in (fetch, corpora):
        monkeypatch.setattr(module, "ORIGINALS", (found,))
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"
    }


def test_a_corpus_is_fetched_once_and_then_there(rte: Original, server: Server, tmp_path: Path):
    told: list[str] = []
    paths, new = fetch.corpus(rte, tmp_path, told.append)
    assert (paths, new) == ([tmp_path / "RTE" / name for name in rte.files], True)
    assert files(tmp_path) == {"RTE/train.tsv": TSV, "RTE/dev.tsv": TSV + PLENTY}
    assert told == [f"{server.url}/RTE.zip"]
    assert fetch.corpus(rte, tmp_path) == (paths, False)
    assert len(server.asked) == 1
    (tmp_path / "glue").mkdir()
    (tmp_path / "RTE").rename(tmp_path / "glue" / "RTE")
    assert fetch.corpus(rte, tmp_path)[0][0] == tmp_path / "glue" / "RTE" / "train.tsv", "where tasks look too"


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_is_cut_off_goes_on(rte: Original, server: Server, tmp_path: Path, ranges: bool):
    server.cut["/RTE.zip"] = 1000
    server.ranges = ranges
    assert fetch.corpus(rte, tmp_path)[1]
    assert server.asked == [("/RTE.zip", None), ("/RTE.zip", "bytes=1000-")]
    assert files(tmp_path)["RTE/dev.tsv"] == TSV + PLENTY


def test_another_command_goes_on_too(rte: Original, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetch, "TRIES", 1)
    server.cut["/RTE.zip"] = 1000
    with pytest.raises(MissingInput, match=r"it was cut off.*it resumes the download"):
        fetch.corpus(rte, tmp_path)
    assert [len(content) for content in files(tmp_path).values()] == [1000]
    fetch.corpus(rte, tmp_path)
    assert server.asked[-1] == ("/RTE.zip", "bytes=1000-")


def test_a_part_that_is_no_part_of_it_is_thrown_away(rte: Original, server: Server, tmp_path: Path):
    part = tmp_path / ".partial" / hashlib.sha256(f"{server.url}/RTE.zip".encode()).hexdigest()[:16]
    part.parent.mkdir()
    part.write_bytes(b"x" * 10**7)  # longer than the whole: HTTP 416
    fetch.corpus(rte, tmp_path)
    shutil.rmtree(tmp_path / "RTE")
    part.write_bytes(b"x" * 50)
    with pytest.raises(MissingInput, match="not a complete archive"):
        fetch.corpus(rte, tmp_path)
    fetch.corpus(rte, tmp_path)


def test_a_server_that_is_busy_is_asked_again_and_one_without_the_file_is_not(rte: Original, server: Server, tmp_path: Path):
    server.failures = 2
    told: list[str] = []
    fetch.corpus(rte, tmp_path / "a", told.append)
    assert len(server.asked) == 3
    assert told == [f"{server.url}/RTE.zip{said}" for said in ("", " (again)", " (again)")]
    del server.files["/RTE.zip"]
    with pytest.raises(MissingInput, match="HTTP 404"):
        fetch.corpus(rte, tmp_path / "b")
    assert len(server.asked) == 4


@pytest.mark.parametrize("name", ["train_tsv", "dev_tsv"])
def test_other_content_is_refused_and_nothing_written(rte: Original, server: Server, tmp_path: Path, name: str):
    server.files["/RTE.zip"] = packed(**{"train_tsv": TSV, "dev_tsv": TSV + PLENTY, name: TSV.replace(b"green", b"greet")})
    with pytest.raises(MissingInput, match=rf"^{name.replace('_', '.')} from .* is not the file on record: sha256 .* expected"):
        fetch.corpus(rte, tmp_path)
    assert files(tmp_path) == {}


def test_a_file_of_ones_own_is_never_replaced(rte: Original, tmp_path: Path):
    (tmp_path / "RTE").mkdir()
    (tmp_path / "RTE" / "train.tsv").write_bytes(b"mine")
    with pytest.raises(MissingInput, match="which was there, is not the file on record"):
        fetch.corpus(rte, tmp_path)
    assert files(tmp_path) == {"RTE/train.tsv": b"mine"}
    (tmp_path / "RTE" / "train.tsv").write_bytes(TSV)  # an earlier fetch that was killed
    fetch.corpus(rte, tmp_path)
    assert len(files(tmp_path)) == 2


def test_commands_at_the_same_time_fetch_once(rte: Original, server: Server, tmp_path: Path):
    done: list[bool] = []
    threads = [threading.Thread(target=lambda: done.append(fetch.corpus(rte, tmp_path)[1])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [False, False, False, True]
    assert len(server.asked) == 1


def archive(*names: str, link: bool = False) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        for name in ("RTE/train.tsv", "RTE/dev.tsv", *names):
            member = zipfile.ZipInfo(name)
            if link and name in names:
                member.external_attr = 0o120777 << 16
            opened.writestr(member, b"x")
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [archive("../up.tsv"), archive("/etc/x"), archive("a/../../x"), archive("C:/x"), archive("..\\x"), archive("to", link=True)],
)
def test_archives_that_lead_out_of_their_folder_are_refused(content: bytes):
    with pytest.raises(MissingInput, match=r"leads out of its folder: refused"):
        unzipped({"a.zip": content}, ["train.tsv"])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no archive", "is not a complete archive"),
        (archive()[:-30], "is not a complete archive"),
        (archive().replace(b"RTE/dev.tsv", b"RTE/deb.tsv"), "lacks dev.tsv"),
        (archive("again/dev.tsv"), "two files dev.tsv"),
    ],
)
def test_archives_that_are_not_as_they_should_be(content: bytes, reason: str):
    with pytest.raises(MissingInput, match=reason):
        unzipped({"a.zip": content}, ["train.tsv", "dev.tsv"])


def test_content_is_compared_not_the_way_it_is_written():
    rows = [{"text": "ein Stein", "label": {"a": [[0, 2]]}}, {"label": {}, "text": "é"}]
    plain = "\n".join(json.dumps(row) for row in rows).encode()
    other = b"\xef\xbb\xbf" + "".join(json.dumps(dict(reversed(row.items())), ensure_ascii=False) + "\r\n" for row in rows).encode()
    assert content_sha256("a.json", plain) == content_sha256("a.json", other)
    assert content_sha256("a.json", plain) != content_sha256("a.json", plain.replace(b"Stein", b"Stern"))
    assert content_sha256("a.tsv", plain) != content_sha256("a.tsv", other)
    assert content_sha256("a.tsv", TSV) == hashlib.sha256(TSV).hexdigest() == content_sha256("a.tsv", b"\xef\xbb\xbf" + TSV)
    with pytest.raises(MissingInput, match=r"a\.json: not valid JSON lines"):
        content_sha256("a.json", b"{")


def test_mrpc_is_divided_as_glue_does():
    train = b"\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    train += b"1\t11\t12\tA stone.\tStone.\n0\t21\t22\tA tree.\tA cat. \n1\t31\t32\tx\ty\n"
    divided = format_mrpc({"msr_paraphrase_train.txt": train, "dev_ids.tsv": b"21\t22\n12\t11\n"}, ["train.tsv", "dev.tsv"])
    header = b"Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
    assert divided["train.tsv"] == header + b"1\t11\t12\tA stone.\tStone.\n1\t31\t32\tx\ty\n"
    assert divided["dev.tsv"] == header + b"0\t21\t22\tA tree.\tA cat.\n"
    with pytest.raises(MissingInput, match=r"train\.txt:2: 1 columns"):
        format_mrpc({"msr_paraphrase_train.txt": b"h\nx\n", "dev_ids.tsv": b""}, ["train.tsv"])


def test_the_record_is_complete():
    names = [name for each in corpora.ORIGINALS for name in each.tasks]
    assert len(names) == len(set(names))
    for each in corpora.ORIGINALS:
        assert all(len(sha) == 64 for sha in each.files.values())
        assert all(url.startswith("https://") for url in each.urls.values())
        assert bool(each.urls) != bool(each.instead)
    for entry in glue.GLUE:
        known = corpora.original(entry.source.name)
        assert (corpora.hub_source(entry.source.name) is None) == (known is not None)
        if known:
            assert (known.folders, tuple(known.files)) == (entry.source.folders, entry.source.files)


@pytest.mark.parametrize("each", corpora.ORIGINALS, ids=lambda each: each.name)
def test_the_real_files_are_those_on_record(each: Original, tmp_path: Path):
    folder = fetch.root()
    places = [folder / place for place in each.folders if all((folder / place / name).is_file() for name in each.files)]
    if not places:
        pytest.skip(f"needs STABLEFT_DATA with {each.folders[0]}")
    before = files(places[0])
    assert fetch.corpus(each, folder)[1] is False
    assert files(places[0]) == before
    raw = [places[0] / name for name in ("msr_paraphrase_train.txt", "dev_ids.tsv")]
    if each.name == "mrpc" and all(path.is_file() for path in raw):
        assert (
            fetch._made(each, {path.name: path.read_bytes() for path in raw})["train.tsv"] == (places[0] / "train.tsv").read_bytes()
        )


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """``data fetch`` of a user who has named no data folder, and has not said that we are offline."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("STABLEFT_DATA", *hub.OFFLINE):
        monkeypatch.delenv(name, raising=False)

    def called(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["data", "fetch", *arguments], catch_exceptions=False)
        return result.exit_code, result.stdout, result.stderr

    return called


def test_what_was_fetched_is_found_by_the_task(rte: Original, server: Server, tmp_path: Path, command: Command):
    both = TSV + TSV.split(b"\n", 1)[1].replace(b"0\t", b"2\t").replace(b"1\t", b"3\t")
    server.files["/RTE.zip"] = packed(train_tsv=both, dev_tsv=both)
    rte.files.update(dict.fromkeys(rte.files, content_sha256("train.tsv", both)))  # pyright: ignore[reportAttributeAccessIssue]
    code, out, err = command("rte,toy", "rte_1k")
    assert (code, err) == (0, f"{server.url}/RTE.zip\n")
    folder = tmp_path / "stableft" / "data"
    assert out.splitlines() == [
        f"rte: fetched into {folder}/RTE, content as on record",
        "toy: made from installed packages: nothing to fetch",
    ]
    assert len(glue.load(glue.GLUE[0]).train) == 4
    assert json.loads(command("all", "--json")[1]) == {
        "schema": VIEW_SCHEMA, "folder": str(folder),
        "fetched": [{"name": "rte", "said": f"there already: {folder}/RTE, content as on record", "problem": ""}],
    }  # fmt: skip


def test_offline_is_said_and_the_others_are_fetched(rte: Original, command: Command, monkeypatch: pytest.MonkeyPatch):
    away = replace(rte, name="away", tasks=("away",), folders=("away",), urls={"x": "http://127.0.0.1:9/x"}, make=as_they_are)
    kaggle = replace(rte, name="kaggle", tasks=("kaggle",), folders=("k",), urls={}, instead="download it there")
    for module in (fetch, corpora):
        monkeypatch.setattr(module, "ORIGINALS", (away, kaggle, rte))
    code, out, err = command("all")
    assert code == 4
    said = out.splitlines()
    assert said[0].startswith("away: http://127.0.0.1:9/x can't be fetched (")
    assert "Go online and type the same command again" in said[0]
    assert said[1].startswith("kaggle: download it there, and put it into ")
    assert said[2].startswith("rte: fetched into ")
    assert "Traceback" not in out + err


def test_what_can_not_be_asked_for(command: Command):
    for arguments, message in (
        ((), "name tasks, or all"),
        (("rte", "adma"), "unknown task 'adma'"),
        (("--encoder", "minilm-l6"), "not of the hub"),
    ):
        code, out, err = command(*arguments)
        assert (code, out) == (2, "")
        assert message in err


def test_an_encoder_is_put_into_the_cache_and_found_there(
    tiny_encoder: Encoder, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
):
    import huggingface_hub
    import huggingface_hub.constants

    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    real, asked = huggingface_hub.snapshot_download, []

    def download(repository: str, **options: Any) -> str:
        if options.get("local_files_only"):
            return real(repository, **options)
        asked.append((repository, options["allow_patterns"]))
        folder = cache / f"models--{repository.replace('/', '--')}"
        shutil.copytree(tiny_encoder.folder, folder / "snapshots" / ("0" * 40))
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text("0" * 40)
        if repository == "someone/pickled":
            (folder / "snapshots" / ("0" * 40) / "model.safetensors").rename(
                folder / "snapshots" / ("0" * 40) / "pytorch_model.bin"
            )
        return str(folder / "snapshots" / ("0" * 40))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(MissingInput, match=r"data fetch --encoder someone/mine` fetches it"):
        resolve("someone/mine")
    assert asked == [], "looking for it goes nowhere"
    code, out, _ = command("--encoder", "someone/mine")
    assert (code, out) == (0, f"someone/mine: in the hub's cache, fingerprint {tiny_encoder.fingerprint}\n")
    assert asked == [("someone/mine", list(HUB_FILES))]
    assert not [name for name in HUB_FILES if name.endswith((".bin", ".py", ".pt", ".h5", ".msgpack"))]
    assert resolve("someone/mine").fingerprint == tiny_encoder.fingerprint
    code, out, _ = command("--encoder", "someone/pickled")
    assert (code, "weights in other formats are not fetched" in out) == (4, True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, out, _ = command("--encoder", "someone/other")
    assert (code, "HF_HUB_OFFLINE forbids it" in out) == (4, True)
    assert len(asked) == 2


def test_what_only_the_hub_has_goes_into_its_cache(command: Command, monkeypatch: pytest.MonkeyPatch):
    import datasets

    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *names, split, **options: asked.append((*names, split, options)))
    code, out, err = command("mnli_1k")
    assert code == 0
    assert "no sha256 of it is on record" in out
    assert "nyu-mll/glue (mnli) from the hub" in err
    assert asked == [("nyu-mll/glue", "mnli", split, {}) for split in ("train", "validation_matched")]

    def fail(*_: Any, **options: Any) -> None:
        raise OSError("no way")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    code, out, _ = command("sst2")
    assert (code, "can't be fetched from the hub (OSError: no way)" in out) == (4, True)


def test_nothing_to_fetch_is_refused_before_anything_is_fetched(rte: Original, server: Server, tmp_path: Path):
    with pytest.raises(UsageError, match="unknown task"):
        fetch_all(["rte", "nothing"], [], print)
    assert server.asked == []
