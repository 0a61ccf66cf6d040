"""Every coordinate in a file is rounded, whatever is drawn; and what is drawn looks as before."""

import re
import zlib
from io import BytesIO

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patheffects import withStroke

from stableft.reporting.figures import style
from stableft.reporting.rounding_renderer import rounded_coordinates

METADATA = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
LONG = re.compile(rb"\d\.\d{4,}")


def everything(shift: float = 0.0) -> Figure:
    """A figure with each kind of artist that figures here have, its axes at an odd place."""
    with style.context():
        figure = Figure(figsize=(3, 2))
        axes = figure.add_axes((1 / 7 + shift, 1 / 6 + shift, 2 / 3, 3 / 5))
        x = np.linspace(0, 1, 7)
        axes.plot(x, np.sqrt(x), marker="o", markevery=2, label="line")
        axes.plot(np.linspace(0, 1, 500), np.sin(np.linspace(0, 60, 500)) / 9)
        axes.fill_between(x, x / 3, x, alpha=0.3)
        axes.vlines(x, 0, x / 7)
        axes.scatter(x, x**2, s=np.linspace(3, 9, 7))
        axes.add_collection(LineCollection([[(0, 0), (1, 1 / 3)]], linestyles="--"))
        axes.pcolormesh(x, x, np.outer(x, x), alpha=0.5)
        axes.contourf(x, x, np.outer(x, x[::-1]), alpha=0.5)
        axes.annotate("name", (1 / 3, 1 / 3), rotation=45, path_effects=[withStroke(linewidth=2, foreground="white")])
        axes.legend()
    return figure


def saved(figure: Figure, form: str) -> bytes:
    buffer = BytesIO()
    with style.context(), rounded_coordinates(figure):
        figure.savefig(buffer, format=form, metadata=METADATA[form])
    return buffer.getvalue()


@pytest.mark.parametrize("form", METADATA)
def test_a_place_that_is_off_by_a_rounding_error_changes_no_byte(form: str) -> None:
    assert saved(everything(), form) == saved(everything(3e-15), form)


def test_an_svg_has_three_decimals_outside_its_letters() -> None:
    body = saved(everything(), "svg").split(b"</metadata>")[1]
    of_letters = rb"<(use|g|path) [^>]*(href=\"#DejaVu|id=\"DejaVu|transform=)[^>]*>"
    assert not LONG.search(re.sub(of_letters, b"", body))
    assert LONG.search(body)


def test_a_pdf_has_three_decimals() -> None:
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", saved(everything(), "pdf"), re.DOTALL)
    pages = [text for text in map(zlib.decompress, streams) if b" cm\n" in text and b" rg" in text]
    assert pages
    # Colours have more, and the curves of letters: the format divides them by three.
    lines = [line for page in pages for line in page.splitlines() if line.endswith((b" l", b" m", b" re"))]
    assert len(lines) > 500
    assert not [line for line in lines if LONG.search(line)]


def test_an_image_looks_as_without_rounding() -> None:
    plain = BytesIO()
    with style.context():
        everything().savefig(plain, format="png")
    images = [np.asarray(imread(BytesIO(content)), dtype=float) for content in (plain.getvalue(), saved(everything(), "png"))]
    assert images[0].shape == images[1].shape
    assert np.abs(images[0] - images[1]).max() < 0.1


def test_drawing_afterwards_is_as_before() -> None:
    figure = everything()
    saved(figure, "svg")
    assert "draw" not in vars(figure)
