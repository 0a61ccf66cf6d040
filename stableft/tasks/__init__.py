"""Tasks: sources of texts and labels, each with the score that judges a run on them.

One file per family; each exports ``TASKS``, a tuple of `Task`, and the folder is the registry.
Loading needs no torch, so that planning and reporting stay light.
"""

from stableft.tasks.task import (
    TAGGING_METRICS,
    Example,
    TaggedExample,
    Task,
    TaskData,
    bio_labels,
    cut,
    stratified_halves,
)

__all__ = ["TAGGING_METRICS", "Example", "TaggedExample", "Task", "TaskData", "bio_labels", "cut", "stratified_halves"]
