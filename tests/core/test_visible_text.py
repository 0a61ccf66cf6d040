"""Visible text: joiners belong to some words, and nothing else that is invisible does."""

import pytest

from stableft.core.visible_text import described, invisible, is_visible, with_plain_spaces

SPELLED = {
    "Persian": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "Persian with a mark": "\u062e\u0627\u0646\u0647\u0654\u200c\u0627\u0634",
    "Hindi, half form": "\u0915\u094d\u200d\u0937",
    "Hindi, explicit virama": "\u0915\u094d\u200c\u0937",
    "Bengali": "\u09b0\u200d\u09cd\u09af",
    "Malayalam, at the end of a word": "\u0d05\u0d35\u0d28\u0d4d\u200d, \u0d05",
    "family": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "skin tone and sign": "\U0001f469\U0001f3fd\u200d\u2695\ufe0f",
    "heart": "\u2764\ufe0f\u200d\U0001f525",
}


@pytest.mark.parametrize("text", SPELLED.values(), ids=SPELLED.keys())
def test_joiners_are_accepted_where_they_are_spelling(text: str) -> None:
    assert is_visible(text)
    assert is_visible(f"a {text} b")


@pytest.mark.parametrize(
    "text",
    [
        "p\u200dos",
        "pos\u200c",
        "\u200dpos",
        "\u200c",
        "\u0645\u06cc\u200c",
        "\u200c\u0645\u06cc",
        "\u0645\u200c\u200c\u06cc",
        "\u0645\u200ca",
        "1\u200d2",
        "\U0001f468\u200c\U0001f469",
        "\U0001f468\u200d",
        "\u0915\u094d\u200c",
        "a\u00adb",
        "a\u200bb",
        "\ufeffa",
        "a\u200fb",
        "a\u202eb",
        "a\tb",
        "a\x1bb",
        "a\u00a0b",
    ],
)
def test_nothing_else_that_is_invisible_is(text: str) -> None:
    assert not is_visible(text)
    assert all(text[place] == character for place, character in invisible(text))


def test_spaces_of_every_kind_become_one() -> None:
    assert with_plain_spaces("a\u00a0b\u3000c\u202fd e") == "a b c d e"
    assert described("\u200f") == "U+200F RIGHT-TO-LEFT MARK"
    assert described("\x1b") == "U+001B"
