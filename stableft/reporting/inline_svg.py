"""A figure's SVG as part of a page: no names that clash with another figure's, nothing that a page has no use for."""

import re
from xml.etree import ElementTree

from stableft.core.errors import quoted

SVG, XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
LEFT_OUT = ("metadata", "style")  # the page says what metadata say; matplotlib's one style rule is in the page's style sheet
LONG = re.compile(r"-?\d+\.\d{3,}")
REFERENCE = re.compile(r"#([\w.-]+)")
COORDINATES = ("d", "x", "y", "points")
# What a figure consists of. A page runs its own script, so nothing may come in that could bring another.
ELEMENTS = frozenset(
    (
        "svg", "g", "defs", "use", "path", "rect", "circle", "ellipse", "line", "polyline", "polygon", "image", "text", "tspan",
        "clipPath", "mask", "pattern", "linearGradient", "radialGradient", "stop", "title", "desc",
    )
)  # fmt: skip
EMBEDDED = re.compile(r"#|data:image/png[;,]")


def inline(svg: str, prefix: str, labelled_by: str) -> str:
    """The ``svg`` element for a page of HTML; the same text each time.

    Identifiers get the prefix, and those that nothing refers to are dropped. Coordinates are rounded to a hundredth of a point.
    Comments, in which matplotlib repeats the texts that it draws as outlines, are left out.

    Args:
        svg: As matplotlib writes it.
        prefix: Unique on the page.
        labelled_by: The id of the element that says what is shown.

    Raises:
        ElementTree.ParseError: it isn't XML.
        ValueError: it holds what no figure needs, such as a script or a link.
    """
    root = ElementTree.fromstring(svg)
    referred = set(REFERENCE.findall(" ".join(_references(root))))
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag.removeprefix(SVG) in LEFT_OUT]:
            parent.remove(child)
    for element in root.iter():
        _refuse_foreign(element)
        element.tag = element.tag.removeprefix(SVG)
        element.text = element.tail = None
        for name, value in list(element.attrib.items()):
            del element.attrib[name]
            if name != "id" or value in referred:
                element.set(name.removeprefix(XLINK), _attribute(name, value, prefix))
    root.attrib |= {"role": "img", "aria-labelledby": labelled_by, "focusable": "false"}
    return ElementTree.tostring(root, encoding="unicode")


def _refuse_foreign(element: ElementTree.Element) -> None:
    if element.tag.removeprefix(SVG) not in ELEMENTS:
        raise ValueError(f"it holds <{element.tag.removeprefix(SVG)[:40]}>, which no figure needs")
    for name, value in element.attrib.items():
        plain = name.removeprefix(XLINK)
        link = plain == "href" and not EMBEDDED.match(value)
        outside = "url(" in value.replace("url(#", "")
        if link or outside or not plain.isascii() or not plain.replace("-", "").isalnum() or plain.lower().startswith("on"):
            raise ValueError(f"it holds {plain[:40]}={quoted(value)}, which no figure needs")


def _references(root: ElementTree.Element) -> list[str]:
    return [value for element in root.iter() for name, value in element.attrib.items() if _refers(name, value)]


def _refers(name: str, value: str) -> bool:
    return (name in ("href", XLINK + "href") and value.startswith("#")) or "url(#" in value


def _attribute(name: str, value: str, prefix: str) -> str:
    if name == "id":
        return prefix + value
    if _refers(name, value):
        return value.replace("#", f"#{prefix}") if name.endswith("href") else value.replace("url(#", f"url(#{prefix}")
    if name in COORDINATES:
        return " ".join(LONG.sub(_rounded, value).split())
    return value


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
