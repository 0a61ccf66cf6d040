"""Claims of the sources, judged on collected results.

`claim` has the data classes. `measures` reduces each run to the number of a claim. `hypotheses` has
the tests of claims, and `decision_rules` the comparisons of two arrays. `judge` adds the rules that
override a test, and `markdown` writes the page of all verdicts.
"""

from stableft.reporting.claims.claim import ANY_ENCODER, Claim, Evidence, Judgement, Verdict

__all__ = ["ANY_ENCODER", "Claim", "Evidence", "Judgement", "Verdict"]
