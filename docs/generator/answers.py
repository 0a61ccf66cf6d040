"""Answers: the table in README.md, taken from the matrix of CLAIMS.md.

``python -m docs.generator.answers`` writes it between its two markers; a test compares.
"""

import re
from pathlib import Path

from docs.generator.matrix import CLAIMS, ROOT, read_matrix

README = ROOT / "README.md"
BEGIN, END = "<!-- answers: written by `make verify` -->", "<!-- end of answers -->"
COLUMNS = {
    "public runs, BERT-large, fp16": "public runs, BERT-large",
    "laptop: small encoder, small tasks": "ours: laptop, MiniLM-L6",
}
ANSWERS = {
    "adam-uncorrected_fails": "without the correction more runs fail",
    "adam-corrected_never_fails": "with the correction no run fails",
    "adam-corrected_scores_higher": "with the correction scores are higher",
    "few_examples-corrected_scores_higher": "the same on 1,000 examples",
    "lr_grid-better_tuned": "the same, each arm at its own best learning rate",
    "reinit-scores_higher": "re-initialised pooler and top blocks: scores are higher",
    "reinit-steadier": "re-initialised pooler and top blocks: scores spread less",
    "few_examples-reinit_scores_higher": "re-initialised on 1,000 examples: scores are higher",
    "techniques-longer_gains": "longer training raises the score",
    "techniques-llrd_little": "smaller rates for lower blocks change little",
    "head_lr-two_rates_gain": "a rate of its own for the head raises entity F1",
    "techniques-mixout_gains": "mixout raises the score",
    "article-averaged_weights_gain": "averaged weights beat the last ones",
}


def answers(claims: Path = CLAIMS) -> str:
    """Returns the table: a row per claim, a column per kind of evidence."""
    rows = read_matrix(claims)
    lines = [["claim", *COLUMNS.values()], ["---"] * (1 + len(COLUMNS))]
    for anchor, words in ANSWERS.items():
        cells = rows[anchor].cells
        lines.append([f"[{words}](CLAIMS.md#{anchor})", *(cells.get(column, "") for column in COLUMNS)])
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def with_answers(readme: str, table: str) -> str:
    """Returns the text of README.md with the table in its place.

    Raises:
        ValueError: the two markers are not there.
    """
    text, found = re.subn(rf"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: f"{BEGIN}\n{table}{END}", readme, flags=re.DOTALL)
    if found != 1:
        raise ValueError(f"{README.name}: no place for the table between {BEGIN} and {END}")
    return text


if __name__ == "__main__":
    README.write_text(with_answers(README.read_text(encoding="utf-8"), answers()), encoding="utf-8")
