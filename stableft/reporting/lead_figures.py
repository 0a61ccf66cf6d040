"""Lead figures: the figure that answers an experiment's question, and the one that shows a claim."""

from collections.abc import Collection, Iterable, Mapping
from types import ModuleType

from stableft.reporting.claims import Claim

USUAL = "score_distribution"
SCORES = ("training_length", "training_size", "learning_rates", USUAL)
# Figures and tables that show a measure or a test, the better ones first; the lead figure shows all others.
SHOWN_IN: Mapping[str, tuple[str, ...]] = {
    "score": SCORES,
    "failed": SCORES,
    "ShareBelow": SCORES,
    "validation": ("validation_distribution", *SCORES),
    "TunedScore": ("rate_choice", "learning_rates"),
    "FewerTrials": ("best_of",),
    "StoppingPays": ("early_stopping",),
    "EarlyPredictsLate": ("score", "early_stopping"),
    "average_gain": ("checkpoints",),
    "best_validation": ("checkpoints",),
    "TrainLoss": ("train_loss", "loss_and_accuracy"),
    "roughness": ("loss_and_accuracy", "train_loss"),
    "loss_fall": ("loss_by_outcome", "train_loss"),
    "low_gradients": ("block_gradients", "run_gradients"),
    "BlockDistance": ("distances",),
}


def lead(module: ModuleType, figures: Iterable[str]) -> str:
    """Returns the name of an experiment's most telling figure; empty if there is none.

    It is the one that the module names as its ``LEAD``, or else the distribution of final scores,
    or else the first.

    Args:
        module: The experiment.
        figures: Names of the figures at hand, in the order of its report.
    """
    drawn = list(figures)
    wanted = (getattr(module, "LEAD", USUAL), USUAL, *drawn)
    return next((name for name in wanted if name in drawn), "")


def figure_of(claim: Claim, names: Collection[str], lead_figure: str) -> str:
    """Returns the name of the figure or table that shows a claim; empty if none does.

    Args:
        claim: The claim.
        names: Names of the figures and tables of its experiment.
        lead_figure: Name of the lead figure among them, or empty.
    """
    measure = getattr(claim.test, "measure", claim.test)
    measure = getattr(measure, "measure", measure)  # of pairs with a failed run
    kind = getattr(measure, "__name__", type(measure).__name__)
    if kind not in SHOWN_IN:
        return lead_figure
    return next((name for name in SHOWN_IN[kind] if name in names), "")
