"""File prediction: reads a user's file, predicts each row or sentence, and returns the file to write.

Every row of a table is predicted, also one with an empty text; those are counted. A row without any
content is refused with its line, or left out at the end of the file. Labels that the file already
has are scored and never read by the model.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stableft.core.errors import MissingInput, UsageError, listed
from stableft.core.model_facts import ModelFacts
from stableft.core.own_data import OwnData
from stableft.execution.predicted_files import free_names, table_content, tags_content
from stableft.execution.prediction import predict, predict_tags
from stableft.models.coverage import Coverage
from stableft.tasks import scores
from stableft.tasks.readers.tag_columns import Sentence, kind_of, to_bio2
from stableft.tasks.readers.user_columns import read_tagged_file
from stableft.tasks.readers.user_text import MARKS, read_lines, short
from stableft.tasks.readers.whole_tables import WholeTable, read_whole

SENTENCES = "txt"  # format of a file with a sentence on each line, its words separated by spaces
SHOWN = 3


@dataclass(frozen=True)
class PredictedFile:
    """The content of a file with predictions.

    Attributes:
        content: The bytes to write.
        number: Rows of the table, or sentences.
        columns: Names of the new columns; none for words.
        score: The model's score on the labels of the file; None if it has none.
        scored: Number of rows or sentences of the score.
        coverage: How much of the texts the model reads; None: not measured.
        notes: Remarks for the user.
    """

    content: bytes
    number: int
    columns: Sequence[str] = ()
    score: float | None = None
    scored: int = 0
    coverage: Coverage | None = None
    notes: Sequence[str] = field(default=())


def predict_table(
    folder: Path, facts: ModelFacts, source: tuple[str, Path], own: OwnData, form: str, *, device: str, with_probabilities: bool
) -> PredictedFile:
    """Predicts the rows of a table.

    Args:
        folder: The model.
        facts: Its facts.
        source: Format and path of the table.
        own: Columns and encoding chosen by the user. Columns that the run recorded are used if they
            are there and no other is chosen.
        form: Format of the result, one of `stableft.execution.predicted_files.TABLE_FORMS`.
        device: A torch device.
        with_probabilities: True for a column with the probability of each class.

    Raises:
        MissingInput: The model or the table can't be read.
        UsageError: The table does not fit the model, or can't be written in this format.
    """
    table = _read(*source, facts, own)
    pairs = table.values.get("pair") if facts.pairs or own.pair else None
    found = predict(folder, table.values["text"], pairs, device=device)
    # The new columns.
    if facts.kind == "regression":
        (name,) = free_names(["prediction"], table.names)
        added: dict[str, Sequence[object]] = {name: [float(f"{value:.7g}") for value in found.predictions]}
    else:
        classes = [f"probability_{label}" for label in facts.labels] if with_probabilities else []
        names = free_names(["label", "probability", *classes], table.names)
        rounded = [[float(f"{value:.7g}") for value in row] for row in found.probabilities.tolist()]
        columns = [found.labels, [max(row) for row in rounded], *(zip(*rounded, strict=True) if with_probabilities else ())]
        added = dict(zip(names, columns, strict=True))
    notes = [*table.notes, *_empty(table, [role for role in ("text", "pair") if role == "text" or pairs is not None])]
    score, scored, said = _score(facts, table, found.predictions)
    content = table_content(form, table, added, marked=form == "csv" and _is_marked(source[1]))
    return PredictedFile(content, len(table.rows), tuple(added), score, scored, found.coverage, [*notes, *said])


def _read(form: str, path: Path, facts: ModelFacts, own: OwnData) -> WholeTable:
    """Reads a table by the columns of the user, else by those of the run, else by their usual names."""
    role = "score" if facts.kind == "regression" else "label"
    recorded = OwnData.model_validate(facts.config.get("own_data") or {})
    usual = own.model_copy(update={role: getattr(own, role) or role})
    of_run = {name: getattr(own, name) or getattr(recorded, name) for name in ("text", "pair", role)}
    like_run = usual.model_copy(update={name: value for name, value in of_run.items() if value is not None})
    if like_run == usual:
        return read_whole(form, path, usual)
    try:
        return read_whole(form, path, like_run)
    except MissingInput as error:
        try:
            return read_whole(form, path, usual)
        except MissingInput:
            raise error from None


def _is_marked(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4)
    return any(start.startswith(mark) for mark, _ in MARKS)


def _empty(table: WholeTable, roles: Sequence[str]) -> list[str]:
    notes = []
    for role in roles:
        if places := [place for place, value in zip(table.places, table.values[role], strict=True) if not value.strip()]:
            where = ", ".join(map(short, places[:SHOWN])) + ", ..." * (len(places) > SHOWN)
            notes.append(f"warning: {len(places)} rows have an empty {role} and are predicted nevertheless, at {where}")
    return notes


def _score(facts: ModelFacts, table: WholeTable, predictions: Any) -> tuple[float | None, int, list[str]]:
    """Returns the score on rows with a known label, their number, and remarks on other rows."""
    role = "score" if facts.kind == "regression" else "label"
    written = table.values.get(role)
    if written is None:
        return None, 0, []
    labels = np.array([_number(text) if facts.kind == "regression" else _index(text, facts) for text in written])
    known = np.isfinite(labels)
    unknown = sorted({text for text, is_known in zip(written, known, strict=True) if not is_known and text.strip()})
    said = [f"not scored: rows with {role} {listed(unknown, 5)}, which the model does not know"] if unknown else []
    if not known.any():
        return None, 0, said
    score = scores.evaluate(facts.score, labels[known], predictions[known])
    return (score if math.isfinite(score) else None), int(known.sum()), said


def _index(text: str, facts: ModelFacts) -> float:
    names: Mapping[str, int] = {name: place for place, label in enumerate(facts.labels) for name in (label, label.strip())}
    return names.get(text, names.get(text.strip(), math.nan))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def predict_words(
    folder: Path, facts: ModelFacts, source: tuple[str, Path], own: OwnData, form: str, *, device: str
) -> PredictedFile:
    """Predicts the tags of a file's words.

    Args:
        folder: The model.
        facts: Its facts.
        source: Format, `SENTENCES` or one of tagged words, and path of the file.
        own: Columns and encoding chosen by the user.
        form: Format of the result, see `stableft.execution.predicted_files.tags_content`.
        device: A torch device.

    Raises:
        MissingInput: The model or the file can't be read.
        UsageError: The model does not tag words.
    """
    sentences, notes = _sentences(*source, own)
    words = [sentence.words for sentence in sentences]
    found = predict_tags(folder, words, device=device)
    score, said = None, []
    if sentences[0].tags:
        score, said = _entity_score(facts, sentences, found.tags)
    scored = len(sentences) if score is not None else 0
    return PredictedFile(tags_content(form, words, found.labels), len(words), (), score, scored, found.coverage, [*notes, *said])


def _sentences(form: str, path: Path, own: OwnData) -> tuple[list[Sentence], list[str]]:
    if form != SENTENCES:
        sentences, notes = read_tagged_file(path, own, tagged=False)
        return sentences, notes
    rows = enumerate(read_lines(path, own.encoding), start=1)
    found = [Sentence(path, number, tuple(line.split()), ()) for number, line in rows if line.strip()]
    if not found:
        raise MissingInput(f"{path}:1: the file has no sentences")
    return found, [f"{short(path)}: each line is a sentence, its words separated by spaces"]


def _entity_score(facts: ModelFacts, sentences: Sequence[Sentence], tags: Sequence[Any]) -> tuple[float | None, list[str]]:
    ((converted,), _) = to_bio2([sentences])
    index = {label: place for place, label in enumerate(facts.labels)}
    written = [tag for sentence in converted for tag in sentence.tags]
    if unknown := sorted({kind_of(tag) for tag in written if tag not in index}):
        return None, [f"not scored: the file has entities of kind {listed(unknown, 5)}, which the model does not know"]
    offsets = np.concatenate([[0], np.cumsum([len(sentence.words) for sentence in converted])])
    labels = np.array([index[tag] for tag in written], np.float64)
    score = scores.evaluate(facts.score, labels, np.concatenate(tags), offsets=offsets, names=facts.labels)
    return (score if math.isfinite(score) else None), []


def refuse_form(form: str, kind: str, out: Path) -> None:
    """Raises `UsageError` for an ending that a model of this kind can't write."""
    forms = ("bio", "jsonl") if kind == "tagging" else ("csv", "tsv", "jsonl")
    if form not in forms:
        raise UsageError(f"--out {out}: its ending says how to write, and for this model it is one of .{', .'.join(forms)}")
