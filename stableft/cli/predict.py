"""Predict: adds the predictions of an exported model to a user's file."""

import os
from pathlib import Path
from typing import Annotated

import typer

from stableft.cli import own_options
from stableft.cli.common import AsJson, err, folder, option, show, verb
from stableft.cli.formatting import VIEW_SCHEMA, View
from stableft.core.errors import MissingInput, UsageError
from stableft.core.files import write_whole
from stableft.core.model_facts import ModelFacts
from stableft.core.own_data import OwnData
from stableft.execution.file_prediction import SENTENCES, PredictedFile, predict_table, predict_words, refuse_form
from stableft.models.coverage import described
from stableft.models.model_folder import read_facts
from stableft.tasks import user_files, user_tags
from stableft.tasks.readers.user_text import check_encoding

FORMS = (*user_files.FORMS, SENTENCES)


@verb
def predict(
    model: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that `export` wrote.", parser=folder)],
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="CSV, TSV, JSON lines; for tags .bio, or .txt with a sentence a line.")
    ],
    out: Annotated[Path, option("The file to write: .csv, .tsv, .jsonl or .bio.", "--out", parser=folder, metavar="FILE")],
    text: own_options.TextColumn = None,
    pair: own_options.PairColumn = None,
    label: own_options.LabelColumn = None,
    score: own_options.ScoreColumn = None,
    encoding: own_options.EncodingName = None,
    probabilities: Annotated[bool, option("A column with the probability of each class.", "--probabilities")] = False,
    device: Annotated[str, option("A torch device.", "--device")] = "cpu",
    force: Annotated[bool, option("Overwrite --out.", "--force")] = False,
    as_json: AsJson = False,
) -> None:
    """Predict a file with an exported model.

    Writes all columns of the file and the prediction of each row, in the same order. If the file has
    labels already, it also prints the score.
    """
    facts = read_facts(model)
    check_encoding(encoding)
    source = _source(file, facts)
    form = _out_form(out, facts)
    _refuse_out(out, source[1], force)
    own = OwnData(text=text, pair=pair, label=label, score=score, encoding=encoding)
    if facts.kind == "tagging":
        found = predict_words(model, facts, source, own, form, device=device)
    else:
        found = predict_table(model, facts, source, own, form, device=device, with_probabilities=probabilities)
    write_whole(out, found.content)
    show(_view(found, facts, model, out), as_json)


def _source(name: str, facts: ModelFacts) -> tuple[str, Path]:
    """Returns format and path of the file, as of a task, and `SENTENCES` for .txt."""
    form, path = user_files.parsed(name) or (SENTENCES if name.lower().endswith(".txt") else "", name)
    if name.partition(":")[0] == SENTENCES:
        form, path = SENTENCES, name.partition(":")[2]
    words = (user_tags.FORM, SENTENCES)
    wanted = words if facts.kind == "tagging" else tuple(form for form in user_files.FORMS if form != user_tags.FORM)
    if not form or form not in wanted:
        does = "tags words" if facts.kind == "tagging" else "reads tables of texts"
        raise UsageError(
            f"{name}: this model {does}: write the format before the path, {', '.join(f'{each}:PATH' for each in wanted)}"
        )
    place = Path(os.path.abspath(os.path.expanduser(path)))
    if not place.is_file():
        raise MissingInput(f"{place}: no such file")
    return form, place


def _out_form(out: Path, facts: ModelFacts) -> str:
    ending = out.suffix.removeprefix(".").lower()
    form = user_tags.FORM if facts.kind == "tagging" and ending in user_tags.ENDINGS else user_files.ENDINGS.get(ending, ending)
    refuse_form(form, facts.kind, out)
    return form


def _refuse_out(out: Path, source: Path, force: bool) -> None:
    if not out.absolute().parent.is_dir():
        raise MissingInput(f"--out {out}: its folder does not exist")
    if out.exists() and out.is_file() and os.path.samefile(out, source):
        raise UsageError(f"--out {out} is the file to predict: name another one")
    if out.is_dir() or (out.exists() and not force):
        raise UsageError(f"--out {out} already exists; --force overwrites a file")


def _view(found: PredictedFile, facts: ModelFacts, model: Path, out: Path) -> View:
    unit = "sentences" if facts.kind == "tagging" else "rows"
    lines = [*found.notes]
    if found.coverage:
        mark = "warning: " if found.coverage.is_doubtful else ""
        lines.append(mark + described(found.coverage, str(model), facts.max_length, tagged=facts.kind == "tagging"))
    for line in lines:
        err.print(line, markup=False)
    columns = f", with columns {', '.join(found.columns)}" if found.columns else ""
    text = [f"{out}: {found.number} {unit}{columns}"]
    name = facts.score.replace("_", " ")
    if found.score is not None:
        text.append(f"{name} on the {found.scored} {unit} with a label: {found.score:.4f}")
    data = {
        "schema": VIEW_SCHEMA, "out": str(out), "rows": found.number, "columns": list(found.columns),
        "score_name": facts.score, "score": found.score, "scored": found.scored,
        "coverage": found.coverage.facts if found.coverage else None, "notes": list(found.notes),
    }  # fmt: skip
    return View([*text], data)
