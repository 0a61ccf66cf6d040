"""Page images: SVG files as data URLs."""

import re
from urllib.parse import quote
from xml.etree import ElementTree

from markupsafe import Markup

SVG_ROOT = "{http://www.w3.org/2000/svg}svg"
PREFIX = "data:image/svg+xml,"
# Characters that stay as they are within a value in single quotes. All that could end it or be markup is encoded.
PLAIN = ' "=:;/,'
UNSEEN = ((rb"<metadata>.*?</metadata>", b""), (rb"<!--.*?-->", b""), (rb"\s*\n\s*", b"\n"), (rb">\n<", b"><"))


def data_url(svg: bytes) -> Markup:
    """Returns an image as a data URL, which is safe in an attribute in single quotes.

    It is without what a reader does not see: metadata, comments, and indentation.

    Args:
        svg: Content of an SVG file.

    Raises:
        ElementTree.ParseError: it is not XML.
        ValueError: it is not SVG.
    """
    if ElementTree.fromstring(svg).tag != SVG_ROOT:
        raise ValueError("it is not SVG")
    for pattern, shorter in UNSEEN:
        svg = re.sub(pattern, shorter, svg, flags=re.DOTALL)
    return Markup(PREFIX + quote(svg, safe=PLAIN))


def size(svg: bytes) -> tuple[int, int]:
    """Returns width and height of an image in points; 0 if it does not have them in points."""
    root = ElementTree.fromstring(svg)
    width, height = (re.fullmatch(r"(\d{1,4})(?:\.\d*)?pt", root.get(name, "")) for name in ("width", "height"))
    return (int(width[1]), int(height[1])) if width and height else (0, 0)
