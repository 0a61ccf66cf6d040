"""Same figure, same bytes; legends inside it."""

from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from stableft.reporting.figures import style


def figure() -> Figure:
    with style.context():
        drawn, (axes,) = style.panels(1)
        axes.plot([1, 2, 3], [1, 3, 2], marker="o", label="line")
        axes.fill_between([1, 2, 3], [0, 2, 1], [2, 4, 3], alpha=0.2)
        style.legend(drawn)
    return drawn


def test_text_is_legible_in_print() -> None:
    assert min(float(text.get_fontsize()) for text in figure().findobj(Text) if isinstance(text, Text)) >= 7


def test_the_style_leaves_no_setting_behind() -> None:
    before = dict(matplotlib.rcParams)
    figure()
    assert dict(matplotlib.rcParams) == before


def test_two_saves_give_the_same_bytes_whatever_the_users_own_settings(tmp_path: Path) -> None:
    drawn = figure()
    style.save(drawn, tmp_path / "a")
    style.save(drawn, tmp_path / "b")
    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "pdf.compression": 0, "figure.dpi": 50}):
        style.save(figure(), tmp_path / "c")
    for suffix in ("pdf", "png", "svg"):
        first, *others = [(tmp_path / f"{name}.{suffix}").read_bytes() for name in "abc"]
        assert all(other == first for other in others), suffix


def test_save_returns_what_it_wrote_and_leaves_nothing_else(tmp_path: Path) -> None:
    written = style.save(figure(), tmp_path / "lr=1e-5.v2")
    assert [path.name for path in written] == ["lr=1e-5.v2.pdf", "lr=1e-5.v2.png", "lr=1e-5.v2.svg"]
    assert sorted(tmp_path.iterdir()) == sorted(written)


def test_pdf_embeds_outlines_not_bitmaps_of_text(tmp_path: Path) -> None:
    pdf, *_ = style.save(figure(), tmp_path / "figure")
    content = pdf.read_bytes()
    assert b"/Type3" not in content
    assert b"CreationDate" not in content


def test_legend_lists_a_label_once() -> None:
    with style.context():
        drawn, panels = style.panels(3)
        for axes in panels:
            axes.plot([1, 2], label="corrected")
        style.legend(drawn)
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["corrected"]


def test_a_legend_lists_no_line_outside_its_panel() -> None:
    with style.context():
        drawn, (axes,) = style.panels(1)
        axes.plot([1, 2], [1, 2], label="line")
        axes.plot([], [], label="of others")
        style.majority_line(axes, 0.1)
        axes.set_ylim(0.5, 2.5)
        style.legend(drawn)
        assert [text.get_text() for text in drawn.legends[0].get_texts()] == ["line", "of others"]
        axes.set_ylim(0.0, 2.5)
        style.legend(drawn)
        assert [text.get_text() for text in drawn.legends[1].get_texts()] == ["line", "of others", "majority score"]


def test_a_legend_stays_inside_the_figure() -> None:
    names = ["corrected", "uncorrected", "uncorrected, failed run", "corrected multiplied", "corrected multiplied, failed run"]
    with style.context():
        drawn, panels = style.panels(2)
        for name in [*names, "uncorrected divided"]:
            panels[0].plot([1, 2], label=name)
        style.legend(drawn)
        drawn.draw_without_rendering()
        box = drawn.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= drawn.bbox.x1


def test_a_label_longer_than_the_figure_is_broken_into_lines() -> None:
    with style.context():
        drawn, (axes,) = style.panels(1)
        axes.plot([1, 2], label="an independent replication of the source, results of 50 seeds, a large encoder: mean and std")
        axes.plot([1, 2], label="corrected")
        style.legend(drawn)
        drawn.draw_without_rendering()
        box = drawn.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= drawn.bbox.x1
    panel = axes.get_tightbbox()
    assert panel is not None
    assert box.y0 >= panel.y1


def test_a_figure_without_entries_has_no_legend() -> None:
    with style.context():
        drawn, (axes,) = style.panels(1)
        axes.plot([1, 2])
        style.legend(drawn)
    assert not drawn.legends
    assert drawn.get_figheight() == pytest.approx(style.PANEL[1])
