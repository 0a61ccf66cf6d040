"""Names and texts that would like to be more than that: in paths, pages, tables, figures, terminals and encoders' folders."""

import contextlib
import csv
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from stableft.cli.app import app
from stableft.cli.terminal import printable
from stableft.core.errors import Damaged, MissingInput, UsageError
from stableft.core.grid import on_tasks
from stableft.models import token_cache
from stableft.models.encoders import Encoder, resolve
from stableft.models.loading import load_tokenizer, read_body, read_settings
from stableft.reporting import artifact_metadata, html_page, markup
from stableft.storage.records import Results
from stableft.storage.store import Store
from stableft.tasks import user_files
from tests.helpers.pages import PROVENANCE, build, keep, results

EVIL = (
    "<script>alert(1)</script>", "</td></table><img src=x onerror=alert(1)>", "&lt;b&gt;", "a | b\\| c",
    "two\nlines\r\n\n\\end{table}",
    "\\input{/etc/passwd}", "50 % $x^2$ _a_ #1 {~}", "$\\frac{", "[x](javascript:alert(1))", "![x](http://example.org/x.png)",
    "[*] first",
    "=cmd|' /C calc'!A0", "+cmd|' /C calc'!A0", "@SUM(1+1)", "-2+3+cmd|' /C calc'!A0", "\t=1+1", "../../../etc/passwd",
    "/etc/passwd",
    "\x1b[31mred\x1b]0;title\x07", "a\u202eb\u200b", "\u4e2d\u6587 \U0001f600", "x" * 300, "'\"", "{{ 7 * 7 }}{% raw %}",
)  # fmt: skip


# --- tables ----------------------------------------------------------------------------------------------------------------------


def frame(text: str) -> pd.DataFrame:
    return pd.DataFrame({"task": [text, "toy"], text: [text, "x"], "n": [1, 2], "difference": [-0.5, 0.5]})


@pytest.mark.parametrize("text", EVIL)
def test_markdown_stays_a_table(text: str) -> None:
    written = markup.to_markdown(frame(text), f"Note on {text}.")
    table, _, note = written.partition("\n\n")
    assert [len(re.findall(r"(?<!\\)\|", line)) for line in table.split("\n")] == [5] * 4
    assert note.count("\n") == 1
    assert not re.search(r"<[A-Za-z/!?]|(?<!\\)\]\(", written)
    assert written.replace("\n", "").isprintable()
    shown, caption = html_page._markdown(written)
    flat = "".join(c if c.isprintable() else " " for c in text)
    assert shown.rows[0][0] == flat.strip()
    assert caption == f"Note on {flat}."


@pytest.mark.parametrize("text", EVIL)
def test_latex_stays_text(text: str) -> None:
    written = markup.to_latex(frame(text), f"Note on {text}.")
    rows = [line for line in written.split("\n") if line.endswith(r" \\")]
    assert len(rows) == 3
    assert not [row for row in rows if row[0] in "[*"]
    known = r"\\text(backslash|asciitilde|asciicircum)\{\}|\\[&%$#_{}]|\$[<>-]\$"
    for row in rows:
        cells = re.sub(known, "", row.removesuffix(r" \\").removeprefix("{}")).split(" & ")
        assert len(cells) == 4
        assert not re.search(r"[\\&%$#_{}~^\n]", "".join(cells))
    assert written.count(r"\end{table}") == 1


@pytest.mark.parametrize("text", EVIL)
def test_csv_has_no_formula_in_it_and_all_of_its_text(text: str) -> None:
    written = markup.to_csv(frame(text).set_axis(["task", "other", "n", "difference"], axis=1))
    (_, first, second) = list(csv.reader(io.StringIO(written, newline="")))
    said = re.sub(r"\r\n?", "\n", text)
    assert first[0] in (said, f"'{said}")
    assert first[0][0] not in "=@\t\r\n"
    assert not re.match(r"[+-].*([|!]|[A-Za-z]\()", first[0])
    assert first[2:] == ["1", "-0.5"]
    assert second == ["toy", "x", "2", "0.5"]


def test_numbers_and_arms_with_a_plus_sign_stay_as_they_are() -> None:
    table = pd.DataFrame(
        {
            "arm": ["+warmup, +reinit lr=1e-5", "-0.646 (1)", None],
            "d": [-1.5, float("nan"), 1e-9],
            "n": pd.array([1, None, -2], "Int64"),
        }
    )
    assert markup.to_csv(table) == table.to_csv(index=False, lineterminator="\n")


# --- pages and figures -----------------------------------------------------------------------------------------------------------


class Scripts(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def renamed(**names: Sequence[str]) -> Results:
    """Synthetic results whose last arms and tasks are called otherwise."""
    whole = results()
    other = {"arm": {"<EVIL>": ""}}
    for column, new in names.items():
        old = whole.runs[column].unique()[-len(new) :]
        other[column] = dict(zip(old, new, strict=True))
    return Results(*(table.replace(other) for table in (whole.runs, whole.metrics, whole.predictions)))


@pytest.mark.parametrize("names", [("<script>alert(1)</script>", "<img src=x onerror=y>"), ("$\\frac{", "{{ 7 * 7 }}{% raw %}")])
def test_a_page_and_its_figures_show_names_as_text(names: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = renamed(arm=names, task=[f"t {name}" for name in names])
    html = build(tmp_path, monkeypatch, found).read_text(encoding="utf-8")
    tags = Scripts(html).found
    assert [tag for tag, _ in tags].count("script") == 1
    assert not {"iframe", "object", "embed", "foreignobject", "base"} & {tag for tag, _ in tags}
    images = [attributes for tag, attributes in tags if tag == "img"]
    assert images
    assert all({"src", "alt"} <= set(image) <= {"src", "alt", "class", "width", "height", "loading"} for image in images)
    own = r"data:image/svg\+xml,[A-Za-z0-9 \"=:;/,%._~-]+|probe/[a-z_]+\.svg"
    assert all(re.fullmatch(own, image["src"] or "") for image in images)
    assert not [attributes for _, attributes in tags if any(name.startswith("on") for name in attributes)]
    for path in (tmp_path / "figures").rglob("*.svg"):
        kinds = {element.tag.rpartition("}")[2] for element in ElementTree.parse(path).iter()}
        assert not kinds & {"script", "a", "image", "foreignObject"}
    assert {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")} == {"results", "figures"}


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[31mred", "a\u202eb"])
def test_names_that_cannot_be_printed_are_no_results(text: str, tmp_path: Path) -> None:
    store = Store(tmp_path)
    keep(store, "laptop", "adam", renamed(arm=[text]))
    with pytest.raises(Damaged, match=r"runs\.parquet is damaged \(column arm: .* can't be printed"):
        store.load("laptop", "adam")


def test_provenance_that_cannot_be_printed_is_no_provenance(tmp_path: Path) -> None:
    store, found = Store(tmp_path), results()
    evil = json.dumps({**PROVENANCE, "hardware": {"cpu": "\x1b]0;title\x07"}})
    keep(store, "laptop", "adam", Results(found.runs.assign(provenance=evil), found.metrics, found.predictions))
    with pytest.raises(Damaged, match=r"provenance: hardware\.cpu"):
        store.load("laptop", "adam")


def test_what_a_figure_says_of_itself_leads_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = artifact_metadata.Origin("../../etc", "/etc", "x\x1b[31m", "0" * 12).to_json()
    svg = f'<svg><description xmlns="http://purl.org/dc/elements/1.1/">{said}</description></svg>'.replace('"{', "{")
    (tmp_path / "x.svg").write_text(svg)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["trace", "x.svg"])
    assert result.exit_code in (2, 4)
    assert "\x1b" not in result.stderr


# --- paths and terminals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", EVIL)
def test_own_files_stay_in_the_results_folder(text: str, tmp_path: Path) -> None:
    from experiments import adam
    from experiments.protocol import PROTOCOLS

    try:
        name = user_files.task_name("csv", Path("/data") / text.replace("/", "_"))
    except UsageError:
        return
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}\.csv", name)
    grid = on_tasks(adam.grid(PROTOCOLS["smoke"]), [name])
    assert Store(tmp_path).folder(grid.protocol.name, grid.name).resolve().parent.parent == tmp_path.resolve()


def test_messages_do_not_speak_to_the_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert printable("a\x1b[31m\tb\nc\u202e\ud800\u4e2d") == "a\\x1b[31m\\tb\nc\\u202e\\ud800\u4e2d"
    folder = tmp_path / "\x1b]0;title\x07"
    folder.mkdir()
    (folder / "my.csv").write_text("nothing")
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(app, ["data", "check", "csv:my.csv"])
    assert result.exit_code == 4
    assert "\x1b" not in result.output
    assert "\\x1b]0;title\\x07" in result.stderr


# --- code and pickles ------------------------------------------------------------------------------------------------------------


class Bomb:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def mine(tiny_encoder: Encoder, tmp_path: Path) -> Path:
    """A copy of the tiny encoder's folder."""
    return Path(shutil.copytree(tiny_encoder.folder, tmp_path / "mine"))


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


PLANTED = """
import os
os.mkdir({marker!r})
from transformers import BertConfig as Config, BertModel as Body, BertTokenizer as Tokenizer
"""


@pytest.mark.parametrize("model_type", ["bert", "of_my_own"])
def test_code_in_an_encoders_folder_is_not_run(mine: Path, model_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = mine.parent / "was_run"
    (mine / "planted.py").write_text(PLANTED.format(marker=str(marker)))
    classes = {f"Auto{name}": f"planted.{kind}" for name, kind in (("Config", "Config"), ("Model", "Body"))}
    edit(mine / "config.json", auto_map=classes, model_type=model_type)
    edit(
        mine / "tokenizer_config.json",
        auto_map={"AutoTokenizer": ["planted.Tokenizer", "planted.Tokenizer"]},
        tokenizer_class="Tokenizer",
    )
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # what a loader that asks would be told
    encoder = resolve(str(mine))
    for load in (load_tokenizer, read_settings, lambda encoder: read_body(encoder, read_settings(encoder))):
        with contextlib.suppress(MissingInput):
            load(encoder)
    if model_type != "bert":
        with pytest.raises(MissingInput, match=str(mine)):
            read_settings(encoder)
    assert not marker.exists()


def test_pickled_weights_bring_tensors_and_nothing_else(mine: Path) -> None:
    from safetensors.torch import load_file

    weights, marker = load_file(mine / "model.safetensors"), mine.parent / "was_run"
    (mine / "model.safetensors").unlink()
    torch.save(weights, mine / "pytorch_model.bin")
    encoder = resolve(str(mine))
    body, _ = read_body(encoder, read_settings(encoder))
    assert torch.equal(body.state_dict()["pooler.dense.weight"], weights["pooler.dense.weight"])
    torch.save({**weights, "bomb": Bomb(marker)}, mine / "pytorch_model.bin")
    with pytest.raises(MissingInput, match="can't be read"):
        resolve(str(mine))
    with pytest.raises(MissingInput, match="can't be read"):
        read_body(encoder, read_settings(encoder))
    (mine / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(marker)))
    with pytest.raises(MissingInput, match="can't be read"):
        read_body(encoder, read_settings(encoder))
    assert not marker.exists()


def test_cached_tokens_are_never_unpickled(tmp_path: Path) -> None:
    from tests.models.test_token_cache import example

    folder, marker = tmp_path / "tokens", tmp_path / "was_run"
    token_cache.load_or_make(folder, example)
    np.save(folder / "pieces.npy", np.array([Bomb(marker)], dtype=object), allow_pickle=True)
    names = json.loads((folder / "splits.json").read_text())["splits"]
    (folder / "splits.json").write_text(json.dumps({"splits": names, "sha256": token_cache._sha256(folder, names)}))
    splits, _ = token_cache.load_or_make(folder, example)
    assert splits["train"].ids.tolist() == list(range(6))
    assert not marker.exists()


READING = """
import sys
from pathlib import Path
from stableft.reporting import compare_results, experiment_summary
from stableft.reporting.tables import score_summary
from stableft.storage.store import Store
sys.addaudithook(lambda event, args: sys.exit(f"{event} {args}") if event == "pickle.find_class" else None)
store = Store(Path(sys.argv[1]))
results = store.load("laptop", "adam")
score_summary.table(results)
experiment_summary.summarize(results)
compare_results.compare(store, store)
print("read")
"""


def test_results_are_read_without_unpickling(tmp_path: Path) -> None:
    """In a process of its own that ends if anything is unpickled."""
    store = Store(tmp_path)
    keep(store, "laptop", "adam", results())
    done = subprocess.run([sys.executable, "-c", READING, str(tmp_path)], capture_output=True, text=True)
    assert done.stdout == "read\n", done.stderr
