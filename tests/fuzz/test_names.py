"""Any text as a name: it stays text in tables, and stays in its folder; and how many inputs all areas get."""

import re
from pathlib import Path

from hypothesis import strategies as st

from tests.fuzz.inputs import NASTY, SHARES, fuzz
from tests.suite import test_injection as injection


def test_any_text_stays_text(tmp_path: Path) -> None:
    def show(text: str) -> None:
        injection.test_markdown_stays_a_table(text)
        injection.test_latex_stays_text(text)
        injection.test_csv_has_no_formula_in_it_and_all_of_its_text(text)
        injection.test_own_files_stay_in_the_results_folder(text, tmp_path)

    pieces = st.sampled_from([*injection.EVIL, *(token.decode("utf-8", "replace")[:200] for token in NASTY)])
    text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    fuzz("names", show, st.lists(st.one_of(pieces, text), min_size=1, max_size=3).map("".join).filter(bool))


def test_there_are_ten_thousand_inputs(project: Path) -> None:
    """`fuzz` fails where an area gets fewer than its share."""
    texts = [path.read_text("utf-8") for path in (project / "tests" / "fuzz").glob("test_*.py")]
    used = re.findall(r'fuzz\(\s*"([a-z_ ]+)"', "".join(texts))
    assert sorted(used) == sorted(SHARES)
    assert sum(SHARES.values()) >= 10_000
