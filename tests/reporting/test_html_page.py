"""The page as a parser sees it: escaped, offline, well-formed, the same bytes each time; what it can't show it says."""

import re
import shutil
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from stableft.core.errors import Damaged, MissingInput
from stableft.reporting import html_page, markup, page_images, report
from stableft.reporting.tables import arm_summary
from stableft.storage.store import Store
from tests.helpers import synthetic
from tests.helpers.pages import EVIL, JUDGEMENTS, REPORT, build, keep, register, results

NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
ENTITIES = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
BOMB = f'<!DOCTYPE svg [<!ENTITY e0 "{"x" * 100}">{ENTITIES}]><svg {NAMESPACE}><g id="&e11;"/></svg>'.encode()


class Reader(HTMLParser):
    """Elements with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return build(tmp_path_factory.mktemp("page"), patch)


@pytest.fixture(scope="module")
def html(built: Path) -> str:
    return built.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def read(html: str) -> Reader:
    return Reader(html)


def test_it_lies_beside_the_figures(built: Path) -> None:
    assert built.parts[-3:] == ("figures", "laptop", "report.html")


def test_texts_from_data_are_escaped(html: str, read: Reader) -> None:
    assert len(read.all("script")) == 1
    assert EVIL not in html
    assert "alert('1')" in read.text  # it is there, as text


def test_nothing_is_loaded_but_images_beside_it_when_a_reader_opens_them(html: str, read: Reader, built: Path) -> None:
    for tag in ("link", "iframe", "object", "embed", "base", "audio", "video"):
        assert read.all(tag) == []
    beside = []
    for tag, attributes in read.elements:
        for name in ("src", "href", "xlink:href", "action", "srcset", "poster"):
            value = attributes.get(name)
            if value is None or value.startswith("data:image/svg+xml," if tag == "img" else "#"):
                continue
            beside.append((tag, value))
            assert (tag, name) in (("img", "src"), ("a", "href")), (tag, value)
            assert (built.parent / value).is_file(), value
            assert tag == "a" or attributes.get("loading") == "lazy"
    assert ("img", "probe/train_loss.svg") in beside
    assert {value for _, value in beside} == {
        "probe/train_loss.svg", "probe/train_loss.csv", "probe/spread.svg", "probe/spread.csv", "probe/scores.csv",
    }  # fmt: skip
    page = re.sub(r"'data:[^']*'", "", html)  # an image loads nothing, and names the namespace of SVG
    assert "http:" not in page.replace("http-equiv", "")
    assert "https:" not in page
    assert "@import" not in page
    policy = next(meta for meta in read.all("meta") if meta.get("http-equiv"))
    assert policy["content"] == (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: 'self' file:"
    )


def test_images_beside_the_page_are_in_collapsed_parts(html: str) -> None:
    """So a browser asks for none of them before a reader opens one."""
    depth, lazy = 0, []
    for tag in re.findall(r"<details[^>]*>|</details>|<img[^>]*loading", html):
        assert not tag.startswith("<details") or " open" not in tag
        depth += {"<det": 1, "</de": -1}.get(tag[:4], 0)
        lazy += [depth] if tag.startswith("<img") else []
    assert lazy == [1]


def test_ids_are_unique_and_references_lead_somewhere(read: Reader) -> None:
    ids = Counter(attributes["id"] for _, attributes in read.elements if attributes.get("id"))
    assert max(ids.values()) == 1
    for _, attributes in read.elements:
        for name in ("aria-labelledby", "for"):
            assert attributes.get(name) is None or attributes[name] in ids
        href = attributes.get("href")
        assert href is None or not href.startswith("#") or href[1:] in ids


def test_it_can_be_read_and_used_without_eyes_or_mouse(read: Reader) -> None:
    assert read.all("html") == [{"lang": "en"}]
    assert any(meta.get("name") == "viewport" for meta in read.all("meta"))
    assert read.elements[[tag for tag, _ in read.elements].index("body") + 1] == ("a", {"class": "skip", "href": "#main"})
    assert {header.get("scope") for header in read.all("th")} == {"col", "rowgroup"}
    for svg in read.all("svg"):
        assert svg.get("role") == "img"
        assert svg.get("aria-label") or svg.get("aria-labelledby")
    lead = "spread: Final score of every run, on the split that the axis names."
    assert [image["alt"] for image in read.all("img")] == [
        lead,
        lead,
        "train_loss: Training loss over the steps of a run, mean over seeds.",
    ]
    for box in read.all("div"):
        if "scroll" in (box.get("class") or ""):
            assert box.get("tabindex") == "0"
            assert box.get("aria-label")
    headings = [int(tag[1]) for tag, _ in read.elements if tag in ("h1", "h2", "h3", "h4")]
    assert headings[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))


def test_claims_come_first_with_their_verdicts(html: str, read: Reader) -> None:
    verdicts = [article["data-verdict"] for article in read.all("article")]
    assert verdicts == [judged.verdict for judged in JUDGEMENTS]
    assert html.index('id="claims"') < html.index('id="experiments"') < html.index('id="failed"') < html.index('id="provenance"')
    for part in (
        "confirmed here", "hardly a zebra", "about bert-large-uncased", "neither confirm nor contradict the source",
        "at least 10 are asked for; seeds that would decide it: n < 10 cannot decide, 25 at least",
            "1 h 05 min of runs", "python -m stableft run probe",
    ):  # fmt: skip
        assert part in read.text


def test_experiments_have_question_figures_numbers_and_tables(read: Reader) -> None:
    assert "contrastively" not in read.text  # of another encoder
    for part in (
        "Question. What do starred and quoted words look like, and 2 * 3?", "Found (laptop). Nothing.", "The rest.",
        "train_loss. Training loss over the steps of a run, mean over seeds.",
        "numbers (", "Final scores over seeds", "Not shown: distances: no finished run",
    ):  # fmt: skip
        assert part in read.text, part
    assert len(read.all("figure")) == 3  # one of them on the first screen


def test_an_experiment_opens_with_its_answer_and_lead_figure(html: str) -> None:
    opening = html[html.index('id="e-probe"') :]
    parts = ("Nothing.", "<ul", "hardly a zebra", 'id="f-probe-spread"', "<details", "Question.", 'id="f-probe-train_loss"')
    places = [opening.index(part) for part in parts if part != "hardly a zebra"]
    assert places == sorted(places)


def test_claims_lead_to_figure_and_runs_and_figures_back(html: str) -> None:
    claim = html[html.index('id="c-probe-one"') : html.index('id="c-probe-two"')]
    assert 'href="#f-probe-spread"' in claim
    assert 'href="#r-probe"' in claim
    figure = html[html.index('id="f-probe-spread"') : html.index('id="r-probe"')]
    assert "#c-probe-one" in figure


def test_the_first_screen_has_the_claims_with_most_seeds_and_a_figure(html: str) -> None:
    overview = html[html.index('id="answers"') : html.index('id="claims"')]
    assert "Claim one" in overview
    assert "Claim two" in overview
    assert "Claim three" not in overview  # inconclusive, where others are decided
    assert "confirmed here" in overview
    assert "data:image/svg+xml," in overview


def test_what_several_captions_share_is_there_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    twice = {"arms": report.table(arm_summary), "again": report.table(arm_summary)}
    register(monkeypatch, one=SimpleNamespace(__doc__="One?", REPORT=twice))
    store = Store(tmp_path / "results")
    keep(store, "laptop", "one", results(2))
    report.render_all(twice, store.load("laptop", "one"), tmp_path / "figures" / "laptop" / "one")
    page = html_page.write(store, "laptop", tmp_path / "figures", html_page.judge_at(None)).read_text(encoding="utf-8")
    assert page.count("Failed runs with the 95 % Wilson interval") == 1
    assert page.count('href="#n-1"') == 2
    assert 'id="n-1"' in page


def test_the_lead_figure_is_in_the_page_and_the_others_are_not(read: Reader, built: Path) -> None:
    sources = [image["src"] or "" for image in read.all("img")]
    lead = page_images.data_url((built.parent / "probe" / "spread.svg").read_bytes())
    assert sources == [lead, lead, "probe/train_loss.svg"]


def test_lead_figures_beyond_the_size_of_a_page_lie_beside_it(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    store, figures = copy(built, tmp_path)
    monkeypatch.setattr(html_page, "MAX_EMBEDDED", 10)
    page = html_page.write(store, "laptop", figures, ("", lambda name, results: JUDGEMENTS)).read_text(encoding="utf-8")
    assert "data:image" not in page
    assert "probe/spread.svg" in page
    assert len(page) < built.stat().st_size


def test_a_script_in_a_figure_stays_within_the_image(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    store, figures = copy(built, tmp_path)
    evil = '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(2)"><script>alert(3)</script></svg>'
    (figures / "laptop" / "probe" / "spread.svg").write_text(evil)
    text = html_page.write(store, "laptop", figures, html_page.judge_at(None)).read_text(encoding="utf-8")
    assert len(Reader(text).all("script")) == 1
    assert "alert(2)" not in text
    assert "alert(3)" not in text


def test_failed_runs_and_provenance_are_there_and_no_person(html: str, read: Reader) -> None:
    assert "probe: 4 of 16 runs failed" in read.text
    assert len([svg for svg in read.all("svg") if svg.get("class") == "curve"]) == 4
    for part in ("abcabcabcabc+", "Invented CPU, 2 cores, 1000 MiB", "scipy 1.17.1", "2023-11-14", "tiny"):
        assert part in read.text
    assert "somebody" not in html


def test_tables_show_what_their_files_say(read: Reader, built: Path) -> None:
    text = markup.from_markdown((built.parent / "probe" / "scores.md").read_text(encoding="utf-8"))
    rows = [line.strip("| ").split(" | ") for line in text.split("\n\n")[0].splitlines()]
    cells = [cell for row in [rows[0], *rows[2:]] for cell in row]
    assert " ".join(" ".join(cells).split()) in read.text.replace("( ", "(")


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build(tmp_path, monkeypatch).read_bytes() == built.read_bytes()


def copy(built: Path, tmp_path: Path) -> tuple[Store, Path]:
    shutil.copytree(built.parents[2], tmp_path, dirs_exist_ok=True)
    return Store(tmp_path / "results"), tmp_path / "figures"


def test_what_is_not_drawn_yet_is_named(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    store, figures = copy(built, tmp_path)
    (figures / "laptop" / "probe" / "spread.txt").unlink()
    with pytest.raises(MissingInput, match=r"probe/spread is neither drawn nor written yet: type `make figures tables`"):
        html_page.write(store, "laptop", figures, html_page.judge_at(None))


def test_what_shows_other_runs_is_named(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)
    store, figures = copy(built, tmp_path)
    keep(store, "laptop", "probe", results(3))
    with pytest.raises(
        MissingInput, match=r"train_loss.txt shows other runs than the collected results: type `make figures tables`"
    ):
        html_page.write(store, "laptop", figures, html_page.judge_at(None))


def test_a_page_without_claims_failures_or_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = synthetic.without(synthetic.grid(2), "uncorrected", {0, 1})
    whole = replace(whole, runs=whole.runs.assign(config='{"encoder": "minilm-l6"}'))
    register(
        monkeypatch, quiet=SimpleNamespace(__doc__=None, REPORT={"scores": REPORT["scores"], "bare": lambda r: r.runs[["seed"]]})
    )
    store = Store(tmp_path / "results")
    keep(store, "own+file.csv", "quiet", whole)
    folder = tmp_path / "figures" / "own+file.csv" / "quiet"
    report.render_all({"scores": REPORT["scores"], "bare": lambda r: r.runs[["seed"]]}, store.load("own+file.csv", "quiet"), folder)
    read = Reader(
        html_page.write(store, "own+file.csv", tmp_path / "figures", html_page.judge_at(None)).read_text(encoding="utf-8")
    )
    assert "None." in read.text
    assert read.all("article") == []
    assert "MiniLM-L6 (all-MiniLM-L6-v2) was trained contrastively on sentence pairs" in read.text


def test_long_lists_of_numbers_are_cut_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_page, "MAX_ROWS", 3)
    assert "1 more rows are in the CSV file" in Reader(build(tmp_path, monkeypatch).read_text(encoding="utf-8")).text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("loss.svg", b"<svg"), ("loss.svg", b"\xff"), ("loss.svg", b'<html xmlns="http://www.w3.org/1999/xhtml"/>'),
        ("loss.svg", BOMB),
        ("loss.csv", b""), ("loss.csv", b"a,b\n1,2,3,4\n1,2\n"), ("scores.md", b"| a |\n\n"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_as_it_was_written_is_named(
    name: str, content: bytes, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch)
    shutil.copytree(built.parents[2], tmp_path, dirs_exist_ok=True)
    folder = tmp_path / "figures" / "laptop" / "probe"
    path = next(
        path
        for path in sorted(folder.iterdir())
        if path.suffix == Path(name).suffix and path.with_suffix(".md" if name.endswith("md") else ".svg").exists()
    )
    note = path.read_bytes().partition(b"\n\n")[2] if name.endswith("md") else b""
    path.write_bytes(content + note)
    with pytest.raises(Damaged, match=rf"{path.name} is damaged .*: type `make figures tables`"):
        html_page.write(Store(tmp_path / "results"), "laptop", tmp_path / "figures", ("", lambda name, results: []))
