"""ModelFacts: all about a trained model but its weights; kept with them, and exported as JSON."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from stableft.core.technique import Frozen

Scores = Mapping[str, Mapping[str, float]]  # split -> metric -> value


class ModelFacts(Frozen):
    """A trained model: its labels, how it reads texts, and the run that made it.

    Attributes:
        format: Version of this list.
        run_id: Identity of the run; "" for a model of another origin, of which the later fields say
            nothing.
        task: Name of the task.
        kind: See `stableft.tasks.Task.kind`.
        labels: Class names in index order; empty for regression.
        score: Name of the headline metric.
        pairs: True if it reads two texts.
        head: See `stableft.core.config.RunConfig.head`.
        max_length: Longest input in pieces.
        precision: Arithmetic of the run, see `stableft.core.config.RunConfig.precision`.
        language: ISO 639-1 code of the texts.
        layout: ``transformers``: one of its own classes has this head. ``encoder``: a class of it has
            the encoder alone, and the head's weights are beside it.
        config: The run's configuration, as in its record.
        facts: The run's facts, as in its record.
        examples: Number of examples by split; of ``train`` those that were trained on.
        scores: Metrics of the weights after the last step, by split.
        average_scores: Those of the average of the weights, if the run kept one.
        trajectory: Fingerprint of the run's rows (`stableft.storage.frames.trajectory_sha256`).
        version: Version of stableft.
    """

    format: Literal[1] = 1
    run_id: str = ""
    task: str
    kind: Literal["classification", "regression", "tagging"]
    labels: tuple[str, ...]
    score: str
    pairs: bool
    head: Literal["linear", "bilstm_crf"] = "linear"
    max_length: int
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    language: str = "und"
    layout: Literal["transformers", "encoder"] = "transformers"
    config: Mapping[str, Any] = Field(default_factory=dict)
    facts: Mapping[str, Any] = Field(default_factory=dict)
    examples: Mapping[str, int] = Field(default_factory=dict)
    scores: Scores = Field(default_factory=dict)
    average_scores: Scores = Field(default_factory=dict)
    trajectory: str = ""
    version: str = ""

    @property
    def num_outputs(self) -> int:
        """K, the width of the head; 1 for regression."""
        return max(1, len(self.labels))
