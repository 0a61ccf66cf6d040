"""Figures on one page: their names do not clash, and they look as before."""

import re
from xml.etree import ElementTree

import pytest

from stableft.reporting import report
from stableft.reporting.figures import curves
from stableft.reporting.inline_svg import inline
from tests.helpers import synthetic


@pytest.fixture(scope="module")
def svg(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("figures")
    report.render("loss", report.figure(curves, split="train", metric="loss"), synthetic.grid(2), folder)
    return (folder / "loss.svg").read_text(encoding="utf-8")


def referred(text: str) -> set[str]:
    return {name for pair in re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text) for name in pair if name}


def test_every_reference_has_its_target_and_every_id_the_prefix(svg: str) -> None:
    text = inline(svg, "a-", "caption")
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids)) > 10
    assert set(ids) == referred(text)
    assert all(name.startswith("a-") for name in ids)
    assert not set(ids) & set(re.findall(r' id="([^"]+)"', inline(svg, "b-", "caption")))


def test_nothing_is_left_that_a_page_has_no_use_for(svg: str) -> None:
    text = inline(svg, "a-", "caption")
    assert len(text) < 0.9 * len(svg)
    assert not re.search(r"<metadata|<style|<!--|xmlns|https?:|<\?xml|DOCTYPE|xlink", text)
    assert text.startswith("<svg ")
    assert 'role="img" aria-labelledby="caption"' in text


def test_the_same_is_drawn_within_a_hundredth_of_a_point(svg: str) -> None:
    def drawn(text: str) -> list[tuple[str, list[float]]]:
        root = ElementTree.fromstring(text)
        elements = [element for element in root.iter() if element.tag.endswith(("path", "use"))]
        numbers = [" ".join(element.get(name, "") for name in ("d", "x", "y")) for element in elements]
        kinds = [element.tag.rpartition("}")[2] for element in elements]
        return [(kind, [float(n) for n in re.findall(r"-?\d[\d.]*", text)]) for kind, text in zip(kinds, numbers, strict=True)]

    before, after = drawn(svg), drawn(inline(svg, "a-", "caption"))
    assert [kind for kind, _ in before] == [kind for kind, _ in after]
    for (_, old), (_, new) in zip(before, after, strict=True):
        assert new == pytest.approx(old, abs=0.0051)


def test_data_within_a_figure_stay() -> None:
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    svg = f'<svg {names}><image xlink:href="data:image/png;base64,AA#x"/></svg>'
    assert 'href="data:image/png;base64,AA#x"' in inline(svg, "a-", "caption")


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<path onload="alert(1)"/>',
        '<a href="javascript:alert(1)"><path/></a>',
        '<use href="javascript:alert(1)"/>',
        '<use href="https://example.org/x.svg#a"/>',
        '<image href="data:image/svg+xml,x"/>',
        '<rect style="fill: url(https://example.org/x)"/>',
        '<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">x</p></foreignObject>',
        '<animate attributeName="href" to="javascript:alert(1)"/>',
    ],
)
def test_what_could_run_or_load_is_refused(inside: str) -> None:
    with pytest.raises(ValueError, match="which no figure needs"):
        inline(f'<svg xmlns="http://www.w3.org/2000/svg"><g>{inside}</g></svg>', "a-", "caption")


def test_entities_that_explode_are_refused() -> None:
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    bomb = f'<!DOCTYPE svg [<!ENTITY e0 "{"x" * 100}">{entities}]><svg xmlns="http://www.w3.org/2000/svg"><g id="&e11;"/></svg>'
    with pytest.raises(ElementTree.ParseError):
        inline(bomb, "a-", "caption")
