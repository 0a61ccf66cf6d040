"""Export: writes the kept weights of a run as a model folder."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from stableft.cli.common import RESULTS, AsJson, ResultsFolder, folder, option, show, verb
from stableft.cli.formatting import VIEW_SCHEMA, View
from stableft.execution.export import export_run
from stableft.storage.store import Store


@verb
def export(
    run: Annotated[str, typer.Argument(metavar="RUN_ID", help="The id of a run, or its first digits.")],
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or empty folder.", parser=folder)],
    encoder: Annotated[
        str | None, option("The encoder that the run started from, if it was a folder: its place is not recorded.", "--encoder")
    ] = None,
    results: ResultsFolder = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Write a run's model as a folder.

    The run must have been done with `run --keep-weights`. The folder is for transformers and for
    `predict`: weights, tokenizer, names of the classes, and a model card with setting and scores.
    """
    written = export_run(Store(results), run, target, encoder=encoder)
    size = sum(file.stat().st_size for file in written.iterdir())
    text = [
        f"{written}: {size / 1e6:.1f} MB, described in {written / 'README.md'}",
        f"next: `stableft predict {shlex.quote(str(target))} FILE --out FILE`",
    ]
    show(View([*text], {"schema": VIEW_SCHEMA, "folder": str(written), "bytes": size}), as_json)
