"""SVG files as data URLs: what is seen stays, nothing can end the attribute."""

from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from stableft.reporting.figures import style
from stableft.reporting.page_images import PREFIX, data_url, size

NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    figure = Figure(figsize=(3, 2))
    figure.subplots().plot([0, 1], [1, 0], label="a & 'b'")
    return next(p for p in style.save(figure, tmp_path_factory.mktemp("svg") / "x", "{}") if p.suffix == ".svg").read_bytes()


def elements(svg: bytes) -> list[tuple[str, dict[str, str], str]]:
    """All elements but those that a reader does not see, with the spaces of their attributes made alike."""
    root = ElementTree.fromstring(svg)
    for metadata in root.findall("{http://www.w3.org/2000/svg}metadata"):
        root.remove(metadata)
    return [
        (each.tag, {name: " ".join(value.split()) for name, value in each.attrib.items()}, (each.text or "").strip())
        for each in root.iter()
    ]


def test_all_that_is_seen_stays_in_less_space(drawn: bytes) -> None:
    url = data_url(drawn)
    image = unquote_to_bytes(url.removeprefix(PREFIX))
    assert elements(image) == elements(drawn)
    assert len(url) < 1.25 * len(drawn)
    assert data_url(drawn) == url


@pytest.mark.parametrize("text", ["'", "<script>", "&amp;", "\u2028", "]]&gt;"])
def test_nothing_ends_the_attribute(text: str) -> None:
    svg = f"<svg {NAMESPACE}><desc>{text}{'</script>' * (text == '<script>')}</desc></svg>".encode()
    assert not set("'<>&") & set(str(data_url(svg)))


def test_what_is_no_svg_is_refused() -> None:
    with pytest.raises(ElementTree.ParseError):
        data_url(b"<svg")
    with pytest.raises(ValueError, match="it is not SVG"):
        data_url(b"<html/>")


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [('width="475.2pt" height="183.6pt"', (475, 183)), ('width="100%" height="2pt"', (0, 0)), ("", (0, 0))],
)
def test_the_size_is_that_in_points(attributes: str, expected: tuple[int, int]) -> None:
    assert size(f"<svg {NAMESPACE} {attributes}/>".encode()) == expected
