"""Markdown page of all verdicts, ``CLAIMS.md``; the same judgements give the same bytes.

One matrix per question answers first: a row per claim, a column per kind of evidence. The details
of each claim follow, by anchor.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from stableft.reporting.claims.claim import QUESTIONS, Judgement
from stableft.reporting.claims.thresholds import Threshold, current, summary
from stableft.reporting.pooling import StaleRuns
from stableft.reporting.rounding import text

HEAD = """# Claims

Does it hold, where, and how sure are we? Written by `python -m stableft verify` from the committed results; do not edit.

| sign | meaning |
| :---: | --- |
| ✔ | confirmed by the claim's test, on every task of the claim |
| ✘ | contradicted by the claim's test, on one task at least |
| ? | undecided: the seeds so far do not decide, or the claim needs more |
| n/a | not judged: these runs are outside the setting in which the source made the claim |
| = | true by construction: a check of the machinery, no evidence |
| | no runs |

The number after the sign is n, the seeds of each arm on the task with the fewest; then the effect by task, a difference of scores
or losses as the claim says. A claim links to its test, threshold and numbers. A run fails if its final score is no better than the
best constant prediction. `docs15` (15 classes) and `docpair` (pairs) are made of docstrings.

- **A column is evidence on its own.** A claim is about an encoder, and only runs of that encoder in the source's setting confirm or
  contradict it. Runs of small encoders say what holds for them ("here"): whether the effect is there at this size.
- **Thresholds** were fixed before the seeds that decide: each claim says when, and which seeds had been seen by then. A verdict "on
  fresh seeds" is of later seeds alone, looked at after every fifth one up to 60, at the level of one test for all looks.
- **Equal configurations are one sample**, whichever experiment ran them. Stale runs decide nothing and are named.
- Differences are paired by seed: a 95 % BCa interval that excludes the threshold, and a sign-flip test with p <= 0.05, for which
  six pairs are the fewest. Every claim is tested for itself, with no correction for their number.
"""

LABELS = {
    "paper": "the sources' settings",
    "small": "real data, small encoders",
    "laptop": "laptop: small encoder, small tasks",
}
SIGNS = {"confirmed": "✔", "contradicted": "✘", "inconclusive": "?", "not applicable": "n/a", "not run": ""}
SECTION_OF_OTHERS = "Other claims"

Key = tuple[str, str]  # experiment and name of a claim


def page(
    judgements: Sequence[Judgement],
    outdated: Sequence[StaleRuns] = (),
    thresholds: Sequence[Threshold] = (),
    unread: Sequence[str] = (),
) -> str:
    """Returns the page: the matrix by question, then the details of each claim.

    Args:
        judgements: The verdicts, by protocol and experiment.
        outdated: Results with stale runs, which the page names.
        thresholds: The frozen tests; the page tells when they were set.
        unread: Results that can't be read, a sentence each.
    """
    columns = _columns(judgements)
    by_claim: dict[Key, dict[str, Judgement]] = {}
    for judgement in judgements:
        by_claim.setdefault((judgement.experiment, judgement.claim.name), {})[judgement.protocol] = judgement
    ordered = sorted(by_claim.values(), key=_place)  # stable: experiments and claims in their own order
    when = summary([each for each in thresholds if (each.experiment, each.claim) in by_claim])
    set_by = current(thresholds)
    parts = [HEAD, *([f"{when}\n"] if when else []), *(f"Stale: {each.sentence()}.\n" for each in outdated)]
    parts += [f"Not read: {each}\n" for each in unread]
    labels = {j.protocol: label(j) for j in judgements}
    shown = {name: labels[name] for name in columns}
    parts += [_matrix(question, list(claims), shown) for question, claims in groupby(ordered, key=_question)]
    parts.append("## Details\n")
    parts += [_details(claim, set_by.get(key)) for key, claim in ((_key(claim), claim) for claim in ordered)]
    return "\n".join(parts)


def counted(judgements: Sequence[Judgement]) -> str:
    """Returns the counts of verdicts, such as "7 confirmed, 1 contradicted"; arithmetic ones are left out."""
    counts = Counter(j.verdict for j in judgements if j.is_evidence and j.verdict != "not run")
    order = [verdict for verdict in SIGNS if counts[verdict]]
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in order) or "nothing judged"


def label(judgement: Judgement) -> str:
    """Returns the name of a judgement's kind of evidence in headings."""
    return judgement.imported or LABELS.get(judgement.protocol, judgement.protocol)


def _columns(judgements: Sequence[Judgement]) -> list[str]:
    """Returns the protocols with judged runs: imported ones first, then from large to small."""
    judged = dict.fromkeys(j.protocol for j in judgements if j.verdict != "not run")
    return [name for name in judged if name not in LABELS] + [name for name in LABELS if name in judged]


def _first(claim: Mapping[str, Judgement]) -> Judgement:
    return next(iter(claim.values()))


def _question(claim: Mapping[str, Judgement]) -> str:
    return _first(claim).claim.question or SECTION_OF_OTHERS


def _place(claim: Mapping[str, Judgement]) -> int:
    question = _question(claim)
    return QUESTIONS.index(question) if question in QUESTIONS else len(QUESTIONS)


def _matrix(question: str, claims: Sequence[Mapping[str, Judgement]], columns: Mapping[str, str]) -> str:
    """Returns a question's table, under a sentence with the counts of each kind of evidence."""
    counts = [f"{shown}: {counted([claim[name] for claim in claims if name in claim])}" for name, shown in columns.items()]
    lines = [["claim", *columns.values()], ["---"] * (1 + len(columns))]
    for claim in claims:
        first = _first(claim)
        statement = first.claim.statement.rstrip(".")
        lines.append([f"[{statement}](#{_anchor(first)})", *(_cell(claim.get(name)) for name in columns)])
    return f"## {question}\n\n{'; '.join(counts)}.\n\n{_table(lines)}"


def _cell(judgement: Judgement | None) -> str:
    if judgement is None or judgement.verdict in ("not run", "not applicable"):
        return "" if judgement is None else SIGNS[judgement.verdict]
    sign = SIGNS[judgement.verdict] if judgement.is_evidence else "="
    return f"{sign} {judgement.n}" + (f": {judgement.effect}" if judgement.effect else "")


def _key(claim: Mapping[str, Judgement]) -> Key:
    return _first(claim).experiment, _first(claim).claim.name


def _anchor(judgement: Judgement) -> str:
    return f"{judgement.experiment}-{judgement.claim.name}"


def _details(claim: Mapping[str, Judgement], threshold: Threshold | None) -> str:
    """Returns a claim's test, source and setting, and the verdict of each kind of evidence."""
    first = _first(claim)
    tested = first.claim
    facts = {
        "Source": tested.source,
        "Test": tested.expected,
        "About": tested.about,
        "Setting": tested.setting.words if tested.setting else "any",
        **({"Threshold": _when(threshold)} if threshold else {}),
    }
    head = f"### {first.experiment} {tested.name}\n\n{tested.statement}\n\n" + "".join(f"- {k}: {v}\n" for k, v in facts.items())
    run = [j for j in claim.values() if j.verdict != "not run"]
    head += "".join(f"- Not run at {j.protocol} (`{j.command}`): {j.found}\n" for j in claim.values() if j not in run)
    head += "".join(f"- Run at {j.protocol}: `{j.command}`{_cost(j)}\n" for j in run)
    if not run:
        return head
    lines = [["evidence", "verdict", "n", "found", "seeds to decide", "runs"], ["---", "---", "---:", "---", "---", "---"]]
    for j in run:
        rests = f"{j.runs}: {'; '.join(j.rests_on)}" if j.runs else ""
        fresh = f"; **{j.fresh}**" if j.fresh else ""
        lines.append([j.protocol, f"**{j.wording}**", str(j.n or ""), j.found + fresh, j.needs, rests])
    return f"{head}\n{_table(lines)}"


def _when(threshold: Threshold) -> str:
    """Returns when a test was set, and the seeds whose results had been seen by then."""
    return f"set on {threshold.set_on} ({threshold.reason}); seen by then: {threshold.seen or 'none'}"


def _cost(judgement: Judgement) -> str:
    return "" if judgement.seconds is None else f", {text(judgement.seconds / 60, '.0f')} min of one core"


def _table(lines: Sequence[Sequence[str]]) -> str:
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
