"""Markdown page of all verdicts, ``CLAIMS.md``: the same judgements give the same bytes."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from stableft.reporting.claims.claim import Judgement
from stableft.reporting.claims.judge import SOURCE_PROTOCOL
from stableft.reporting.claims.thresholds import Threshold, summary
from stableft.reporting.pooling import StaleRuns

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
  differences between seeds stay as they are, and in brackets the number at the ends of the effect's 95 % interval; only from four
  seeds on, as fewer estimate nothing; "-" where no number up to a million would.
- **not applicable here**: the runs are outside the setting in which the source made its claim, for the reason given.
- **holds by construction**: arithmetic, a check of the machinery; not counted as evidence.
- **not run**: there are no results, or the protocol has no task of the claim.
- **on fresh seeds**: the confirmatory verdict, where there is one: by the seeds that had not been seen when the test was set,
  looked at after every fifth one up to 60, at the level of one test for all looks. The last column is by all seeds together.

Equal configurations are one sample: runs of other experiments with the same settings, data and weights count, and are named.
Every claim is tested for itself, with no correction for their number. Cost: the sum of the experiment's runs' own times, measured.
"""

WORDINGS = ("confirmed", "contradicted", "confirmed here", "contradicted here", "inconclusive", "not applicable here", "not run")


def page(judgements: Sequence[Judgement], outdated: Sequence[StaleRuns] = (), thresholds: Sequence[Threshold] = ()) -> str:
    """Returns the page: a summary, then the claims for each protocol.

    Each claim has its source, command, cost, expected and found results, and verdict.

    Args:
        judgements: The verdicts, by protocol and experiment.
        outdated: Results with stale runs, which the page names.
        thresholds: The frozen tests; the page tells when they were set.
    """
    when = summary(thresholds)
    parts = [HEAD, *([f"{when}\n"] if when else []), _summary(judgements), *(f"Stale: {each.sentence()}.\n" for each in outdated)]
    for protocol, of_protocol in groupby(judgements, key=lambda judgement: judgement.protocol):
        parts.append(f"## {protocol}\n")
        for _, of_experiment in groupby(of_protocol, key=lambda judgement: judgement.experiment):
            parts.append(_section(list(of_experiment)))
    return "\n".join(parts)


def _summary(judgements: Sequence[Judgement]) -> str:
    wordings = [*WORDINGS, *sorted({j.wording for j in judgements} - {*WORDINGS})]
    lines = [["protocol", *wordings], ["---", *["---:"] * len(wordings)]]
    for protocol, of_protocol in groupby(judgements, key=lambda judgement: judgement.protocol):
        counts = Counter(judgement.wording for judgement in of_protocol)
        lines.append([protocol, *(str(counts[wording]) for wording in wordings)])
    return _table(lines)


def _section(judgements: Sequence[Judgement]) -> str:
    first = judgements[0]
    seconds = max((j.seconds for j in judgements if j.seconds is not None), default=None)
    cost = "not run" if seconds is None else f"{seconds / 60:.0f} min of one core"
    head = f"### {first.experiment}\n\n`{first.command}`, cost: {cost}\n"
    lines = [["claim", "source", "expected", "found", "n", "seeds", "verdict"], ["---", "---", "---", "---", "---:", "---:", "---"]]
    for j in judgements:
        setting = f" Setting: {j.claim.setting.words}." if j.claim.setting else ""
        claim = f"`{j.claim.name}` {j.claim.statement} ({j.claim.about}){setting}"
        found = f"{j.found} ({'; '.join(j.rests_on)})" if j.rests_on else j.found
        found = f"{found}; **{j.fresh}**" if j.fresh else found
        lines.append([claim, j.claim.source, j.claim.expected, found, str(j.n or ""), j.needs, f"**{j.wording}**"])
    return f"{head}\n{_table(lines)}"


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
