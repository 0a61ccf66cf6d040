"""Claims of the sources, judged on collected results.

`claim` has the data classes, `measures` the number of a run that a claim is about, `hypotheses` the tests that claims consist of,
`decision_rules` how two arrays decide, `judge` the rules that no test can overrule, and `markdown` the page of all verdicts.
"""

from stableft.reporting.claims.claim import ANY_ENCODER, Claim, Evidence, Judgement, Verdict

__all__ = ["ANY_ENCODER", "Claim", "Evidence", "Judgement", "Verdict"]
