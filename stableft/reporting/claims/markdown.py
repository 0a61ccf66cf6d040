"""Markdown page of all verdicts, ``CLAIMS.md``: the same judgements give the same bytes."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from stableft.reporting.claims.claim import Judgement
from stableft.reporting.claims.judge import SOURCE_PROTOCOL
from stableft.reporting.rounding import text

HEAD = f"""# Claims

Every claim of the sources that an experiment here can test, as a test with a threshold, and what the collected results say.
Written by `python -m stableft verify`; do not edit.

**What a verdict is worth.** A claim is about an encoder, and only runs of that encoder at protocol `{SOURCE_PROTOCOL}`, which has
the sources' data and settings, can confirm or contradict it. Verdicts that end in "here" are of other runs, mostly of small
encoders on small tasks: they are evidence of their own, about these runs alone, and neither confirm nor contradict what a source
found with its encoder. Claims about any encoder (arithmetic of the optimizer) are judged by every run.

- **confirmed**, **contradicted**: the test says so. A claim on several tasks is confirmed if it is on each of them, contradicted
  if it is on one.
- **inconclusive**: neither, or fewer seeds than the claim needs. *seeds*: how many would decide it with a probability of 80 %, if
  differences between seeds stay as they are; "-" where no number up to a million would.
- **not run**: there are no results, or the protocol has no task of the claim.

Every claim is tested for itself, with no correction for their number. Cost: the sum of the experiment's runs' own times, measured.
"""


def page(judgements: Sequence[Judgement]) -> str:
    """Returns the page: a summary, then the claims for each protocol.

    Each claim has its source, command, cost, expected and found results, and verdict.
    """
    parts = [HEAD, _summary(judgements)]
    for protocol, of_protocol in groupby(judgements, key=lambda judgement: judgement.protocol):
        parts.append(f"## {protocol}\n")
        for _, of_experiment in groupby(of_protocol, key=lambda judgement: judgement.experiment):
            parts.append(_section(list(of_experiment)))
    return "\n".join(parts)


def _summary(judgements: Sequence[Judgement]) -> str:
    wordings = ["confirmed", "contradicted", "confirmed here", "contradicted here", "inconclusive", "not run"]
    lines = [["protocol", *wordings], ["---", *["---:"] * len(wordings)]]
    for protocol, of_protocol in groupby(judgements, key=lambda judgement: judgement.protocol):
        counts = Counter(judgement.wording for judgement in of_protocol)
        lines.append([protocol, *(str(counts[wording]) for wording in wordings)])
    return _table(lines)


def _section(judgements: Sequence[Judgement]) -> str:
    first = judgements[0]
    seconds = max((j.seconds for j in judgements if j.seconds is not None), default=None)
    cost = "not run" if seconds is None else f"{text(seconds / 60, '.0f')} min of one core"
    head = f"### {first.experiment}\n\n`{first.command}`, cost: {cost}\n"
    lines = [["claim", "source", "expected", "found", "n", "seeds", "verdict"], ["---", "---", "---", "---", "---:", "---:", "---"]]
    for j in judgements:
        needed = str(j.seeds_needed) if j.seeds_needed is not None else "-" if j.verdict == "inconclusive" else ""
        claim = f"`{j.claim.name}` {j.claim.statement} ({j.claim.about})"
        lines.append([claim, j.claim.source, j.claim.expected, j.found, str(j.n or ""), needed, f"**{j.wording}**"])
    return f"{head}\n{_table(lines)}"


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
