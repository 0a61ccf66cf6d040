"""GLUE tasks (Wang et al., 2019), in GLUE's own TSV layout or from the hub's ``nyu-mll/glue``.

GLUE's test sets are unlabelled, so, as in Zhang et al. (2021, section 3; protocol section 2.5), training uses all of ``train`` and
the labelled development set is halved into validation and test. A deviation from their Table 3: it prints 139/139 for RTE, while
their released code, which is followed here, gives 138/139.
"""

from dataclasses import dataclass
from functools import partial

from stableft.tasks import Task, TaskData, stratified_halves
from stableft.tasks.files import Fields, Source, read_train_dev, read_tsv


@dataclass(frozen=True, slots=True)
class GlueTask:
    """One row of the table: what is particular to a GLUE task.

    Attributes:
        source: Where its rows lie, and how they are named there.
        header: The columns of its TSV files.
        labels: Class names in GLUE's order, which is the order of the hub's class numbers too.
        score: The metric that Zhang et al. report (Table 3).
        summary: One line for listings.
    """

    source: Source
    header: tuple[str, ...]
    labels: tuple[str, ...]
    score: str
    summary: str


RTE_LABELS = ("entailment", "not_entailment")

GLUE = (
    GlueTask(
        source=Source(
            name="rte",
            folders=("RTE", "glue/RTE"),
            files=("train.tsv", "dev.tsv"),
            local=Fields(text="sentence1", pair="sentence2", label="label", classes=RTE_LABELS, ident="index"),
            repo="nyu-mll/glue",
            config="rte",
            hub=Fields(text="sentence1", pair="sentence2", label="label", classes=RTE_LABELS, ident="idx"),
        ),
        header=("index", "sentence1", "sentence2", "label"),
        labels=RTE_LABELS,
        score="accuracy",
        summary="GLUE RTE, textual entailment: 2,490 train, development set halved into 138 validation and 139 test",
    ),
)


def load(entry: GlueTask) -> TaskData:
    """Reads a GLUE task and halves its development set by `stratified_halves`.

    Raises:
        MissingInput: The data are nowhere to be found, or a row is malformed.
    """
    train, dev = read_train_dev(entry.source, partial(read_tsv, header=entry.header))
    validation, test = stratified_halves([example.label for example in dev])
    return TaskData(train, tuple(dev[i] for i in validation), tuple(dev[i] for i in test))


TASKS: tuple[Task, ...] = tuple(
    Task(
        name=entry.source.name,
        kind="classification",
        labels=entry.labels,
        score=entry.score,
        language="en",
        summary=entry.summary,
        load=partial(load, entry),
    )
    for entry in GLUE
)
