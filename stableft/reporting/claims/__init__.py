"""Claims of the sources, judged on collected results.

`claim` has the data classes, and `setting` the source's setting. `measures` reduces each run to the
number of a claim. `hypotheses` has the tests of claims, and `decision_rules` the comparisons of two
arrays. `judge` adds the rules that override a test, `thresholds` freezes the tests, and `markdown`
writes the page of all verdicts.
"""

from stableft.reporting.claims.claim import (
    ANY_ENCODER,
    BIAS_CORRECTION,
    CONTROLS,
    LEARNING_RATES,
    LONGER_TRAINING,
    OTHER_REMEDIES,
    QUESTIONS,
    REINITIALISATION,
    SPREAD,
    Claim,
    Evidence,
    Judgement,
    Verdict,
)
from stableft.reporting.claims.setting import Setting

__all__ = [
    "ANY_ENCODER",
    "BIAS_CORRECTION",
    "CONTROLS",
    "LEARNING_RATES",
    "LONGER_TRAINING",
    "OTHER_REMEDIES",
    "QUESTIONS",
    "REINITIALISATION",
    "SPREAD",
    "Claim",
    "Evidence",
    "Judgement",
    "Setting",
    "Verdict",
]
