"""Claims of the sources, judged on collected results: what was claimed, what these runs show, and what that is worth.

`shapes` has the dataclasses, `evidence` the tests that claims are made of, `judging` the rules that no test can overrule, and
`document` the page of all verdicts.
"""

from stableft.reporting.claims.claim import ANY_ENCODER, Claim, Evidence, Judgement, Verdict

__all__ = ["ANY_ENCODER", "Claim", "Evidence", "Judgement", "Verdict"]
