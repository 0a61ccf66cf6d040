"""Tables: results in, frame out.

A run without a final score (it diverged, or its score is undefined or infinite) counts as failed and is scored at the task's
majority score: what anyone gets without training, on a regression task the score of the best constant. Leaving it out would flatter
the arm that diverges. Every score is higher when better (`stableft.tasks.scores`), so one rule fits classification and regression.

A kind of table is a module here with ``table(results, **options)`` and ``NOTE``, which `stableft.reporting.report.table` shows.
"""

from stableft.reporting.grid_axes import (
    final_losses,
    learning_rate_table,
    learning_rates,
    rate_pair_table,
    seed_scores,
    seed_table,
    training_lengths,
)
from stableft.reporting.run_scores import DIVERGED_RULE, both_splits, final_scores, score_table
from stableft.reporting.tables import arm_summary as arms
from stableft.reporting.tables import beside_published as published
from stableft.reporting.tables import disagreement, seeds_needed, stability, variance
from stableft.reporting.tables import published_layout as published_wide
from stableft.reporting.tables.training import bias_table, checkpoint_table, convergence_table

__all__ = [
    "DIVERGED_RULE",
    "arms",
    "bias_table",
    "both_splits",
    "checkpoint_table",
    "convergence_table",
    "disagreement",
    "final_losses",
    "final_scores",
    "learning_rate_table",
    "learning_rates",
    "published",
    "published_wide",
    "rate_pair_table",
    "score_table",
    "seed_scores",
    "seed_table",
    "seeds_needed",
    "stability",
    "training_lengths",
    "variance",
]
