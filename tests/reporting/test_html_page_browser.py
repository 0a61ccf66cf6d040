"""The page in headless Chromium: no error, no request, sorting, searching, keyboard, phone, dark and print."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.chromium import Page, browser, find
from tests.helpers.pages import build

PROGRAM = find()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium here: `make setup-browser` installs one, CHROMIUM=/path names one"),
]
SCORES = "document.querySelector('#e-probe [aria-label^=\"Table scores\"] table')"
COLUMN = "Array.from({table}.tBodies[0].rows, row => row.cells[{column}].textContent)"


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return build(tmp_path_factory.mktemp("page"), patch)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    assert PROGRAM
    with browser(PROGRAM, tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture
def page(chromium: Page, html: Path) -> Page:
    """The page as just opened, in a wide window."""
    chromium.problems.clear()
    chromium.requests.clear()
    chromium.look(1280)
    chromium.open(html)
    return chromium


def visible(page: Page, selector: str) -> int:
    return page.evaluate(f"Array.from(document.querySelectorAll('{selector}')).filter(e => e.checkVisibility()).length")


def search(page: Page, words: str) -> str:
    page.evaluate(f"query.value = '{words}'; query.dispatchEvent(new Event('input'))")
    return page.evaluate("matches.textContent")


def column(page: Page, number: int) -> list[str]:
    return page.evaluate(COLUMN.format(table=SCORES, column=number))


def open_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")


def loaded(page: Page) -> list[str]:
    """All addresses but those of images that hold their own content."""
    return [address for address in page.requests if not address.startswith("data:image/svg+xml,")]


def test_it_opens_without_an_error_and_asks_for_nothing(page: Page, html: Path) -> None:
    assert page.problems == []
    assert [address for address in page.requests if not address.startswith("data:image/svg+xml,")] == [html.resolve().as_uri()]
    assert page.evaluate("document.title") == "stableft at laptop"


def test_it_opens_at_once(page: Page, html: Path) -> None:
    """The page of the fixtures is small; what is measured is that nothing in it waits."""
    page.open(html)
    assert page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd") < 2000


def test_a_figure_beside_the_page_is_loaded_when_a_reader_opens_it(page: Page, html: Path) -> None:
    figure = "document.getElementById('f-probe-train_loss')"
    assert page.evaluate(f"{figure}.querySelector('img').naturalWidth") == 0
    page.evaluate(f"{figure}.querySelector('summary').click()")
    page.evaluate(f"{figure}.querySelector('img').decode().then(() => true)")
    assert page.evaluate(f"{figure}.querySelector('img').naturalWidth") > 100
    assert loaded(page) == [html.resolve().as_uri(), (html.parent / "probe" / "train_loss.svg").resolve().as_uri()]
    assert page.problems == []


def test_the_first_screen_has_the_answers_and_a_figure(page: Page) -> None:
    page.look(1280, 800)
    for selector in ("h1", "#answers .answers", "#answers img"):
        box = page.evaluate(f"document.querySelector('{selector}').getBoundingClientRect().toJSON()")
        assert box["top"] >= 0, selector
        assert box["bottom"] <= 800, selector
        assert box["width"] > 100, selector


def test_links_open_what_they_lead_to(page: Page) -> None:
    page.evaluate("document.querySelector('#c-probe-one .see a[href=\"#r-probe\"]').click()")
    page.evaluate("new Promise(done => setTimeout(done, 200))")
    assert page.evaluate("document.getElementById('r-probe').open") is True
    page.evaluate("document.querySelector('#answers a[href=\"#c-probe-two\"]').click()")
    page.evaluate("new Promise(done => setTimeout(done, 200))")
    assert page.evaluate("document.querySelector('#c-probe-two details').open") is True
    assert 0 <= page.evaluate("document.getElementById('c-probe-two').getBoundingClientRect().top") < 800


def test_a_request_and_an_error_would_be_noticed(page: Page) -> None:
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'http://127.0.0.1:9/x.png'})); console.error('oh')")
    page.evaluate("new Promise(done => setTimeout(done, 200))")
    assert len(page.problems) == 2  # the console's, and that of the security policy, which stopped the request
    assert len(loaded(page)) <= 2


def test_tables_are_sorted_by_mouse_and_keyboard(page: Page) -> None:
    open_all(page)
    header = f"{SCORES}.tHead.rows[0].cells[3]"
    unsorted = [float(cell) for cell in column(page, 3)]
    page.evaluate(f"{header}.querySelector('button').click()")
    assert [float(cell) for cell in column(page, 3)] == sorted(unsorted) != unsorted
    assert page.evaluate(f"{header}.getAttribute('aria-sort')") == "ascending"
    page.evaluate(f"{header}.querySelector('button').focus()")
    page.press("Enter", 13, "\r")
    assert [float(cell) for cell in column(page, 3)] == sorted(unsorted, reverse=True)
    assert page.evaluate(f"{header}.getAttribute('aria-sort')") == "descending"
    page.evaluate(f"{SCORES}.tHead.rows[0].cells[0].querySelector('button').click()")
    assert page.evaluate(f"{header}.getAttribute('aria-sort')") is None
    assert page.evaluate(f"{SCORES}.querySelectorAll('[aria-sort]').length") == 1


def test_what_is_absent_comes_last_either_way(page: Page) -> None:
    number = page.evaluate(f"Array.from({SCORES}.tHead.rows[0].cells, c => c.textContent).indexOf('difference')")
    for _ in range(2):
        page.evaluate(f"{SCORES}.tHead.rows[0].cells[{number}].querySelector('button').click()")
        assert column(page, number)[2:] == ["\u2013", "\u2013"]


def test_search_finds_claims_experiments_and_runs(page: Page) -> None:
    assert visible(page, ".claim") == 4
    assert search(page, "Zebra hardly") == "1 of 4 claims, 0 of 1 experiments, 0 of 4 failed runs, 0 of 1 sources"
    assert (visible(page, ".claim"), visible(page, ".experiment")) == (1, 0)
    assert search(page, "invented cpu").endswith("0 of 4 failed runs")
    assert search(page, "diverged rte").startswith("0 of 4 claims")
    assert search(page, "") == ""
    assert (visible(page, ".claim"), visible(page, ".experiment")) == (4, 1)


def test_verdicts_are_buttons(page: Page) -> None:
    page.evaluate("document.querySelector('[data-show=contradicted]').focus()")
    page.press(" ", 32, " ")
    assert page.evaluate("document.querySelector('[data-show=contradicted]').getAttribute('aria-pressed')") == "true"
    assert (visible(page, ".claim"), visible(page, ".experiment")) == (1, 1)
    page.evaluate("document.querySelector('[data-show=\"not run\"]').click()")
    assert visible(page, ".claim") == 2
    assert page.evaluate("matches.textContent") == "2 of 4 claims"


def test_the_first_stop_of_the_keyboard_skips_to_the_results(page: Page) -> None:
    page.press("Tab", 9)
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.press("Enter", 13, "\r")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("width", [360, 700, 1120, 1600])
def test_nothing_but_boxes_scrolls_sideways(page: Page, width: int) -> None:
    page.look(width)
    open_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_no_figure_is_cut_on_a_phone(page: Page) -> None:
    """A figure fits its box, or its box scrolls and says so."""
    page.look(390, 844)
    open_all(page)
    figures = page.evaluate("""Array.from(document.querySelectorAll('img'), image => {
      const box = image.closest('.scroll');
      const cue = box ? getComputedStyle(box, '::before').content : '';
      return [image.getBoundingClientRect().width, box ? box.clientWidth : innerWidth, box && getComputedStyle(box).overflowX, cue];
    })""")
    assert len(figures) == 3
    for width, room, overflow, cue in figures:
        assert width <= room or (overflow == "auto" and "swipe" in cue)
    assert any("swipe" in cue for *_, cue in figures)


def test_a_small_screen_and_a_dark_one_look_right(page: Page, tmp_path: Path) -> None:
    """What a test can hold of a look: contrast of text, figures on white; the screenshots are for people."""
    ratio = """(() => {
      const light = c => c.match(/\\d+/g).slice(0, 3).map(v => v / 255)
        .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
      const paper = light(getComputedStyle(document.body).backgroundColor);
      const texts = ['body', '.note', 'figcaption', 'nav a', '.confirmed', '.contradicted', '.inconclusive', '.not-run', 'summary'];
      return Math.min(...texts.map(s => light(getComputedStyle(document.querySelector(s)).color))
        .map(ink => (Math.max(ink, paper) + .05) / (Math.min(ink, paper) + .05)));
    })()"""
    for dark in (False, True):
        page.look(360, dark=dark)
        page.evaluate("document.querySelector('figure').scrollIntoView()")
        assert page.evaluate(ratio) >= 4.5
        assert page.evaluate("getComputedStyle(document.querySelector('.plot')).backgroundColor") == "rgb(255, 255, 255)"
        picture = page.screenshot()
        (tmp_path / f"{'dark' if dark else 'light'}.png").write_bytes(picture)
        assert picture.startswith(b"\x89PNG")
        assert len(picture) > 5000
    assert page.evaluate("document.querySelector('.plot img').naturalWidth") > 100
    assert page.evaluate("document.querySelector('.plot img').getBoundingClientRect().width") > 100


def test_in_print_there_are_results_and_no_controls(page: Page) -> None:
    page.look(700, media="print")
    for selector in ("nav", ".search", ".verdicts"):
        assert visible(page, selector) == 0
    assert visible(page, ".claim") == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= 700


def test_in_print_collapsed_parts_stay_collapsed(page: Page) -> None:
    page.look(700, media="print")
    assert visible(page, "figure") == 2  # that of the first screen, and the lead figure
    assert visible(page, ".more table") == 0
    assert visible(page, ".claim dl") == 0
    page.evaluate("document.getElementById('r-probe').open = true")
    assert visible(page, ".more table") == 1


def test_without_scripts_everything_can_be_read(page: Page, html: Path) -> None:
    page.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        page.open(html)
        assert visible(page, ".claim") == 4
        assert visible(page, "form.search") == 0
        assert visible(page, "#failed summary") == 1
        open_all(page)  # as clicks do, which need no script
        assert visible(page, ".curve") == 4
    finally:
        page.send("Emulation.setScriptExecutionDisabled", value=False)
