"""Tables: results in, frame out.

A run without a final score (it diverged, or its score is undefined or infinite) counts as failed and is scored at the task's
majority score: what anyone gets without training, on a regression task the score of the best constant. Leaving it out would flatter
the arm that diverges. Every score is higher when better (`stableft.scores`), so one rule fits classification and regression.
"""

from stableft.tables.grids import (
    final_losses,
    learning_rate_table,
    learning_rates,
    rate_pair_table,
    seed_scores,
    seed_table,
    training_lengths,
)
from stableft.tables.scores import DIVERGED_RULE, both_splits, final_scores, score_table
from stableft.tables.training import bias_table, checkpoint_table, convergence_table

__all__ = [
    "DIVERGED_RULE",
    "bias_table",
    "both_splits",
    "checkpoint_table",
    "convergence_table",
    "final_losses",
    "final_scores",
    "learning_rate_table",
    "learning_rates",
    "rate_pair_table",
    "score_table",
    "seed_scores",
    "seed_table",
    "training_lengths",
]
