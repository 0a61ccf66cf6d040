"""Show: prints the configuration and provenance of a run, and commands to compute it again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import RenderableType

from stableft.cli.common import RESULTS, AsJson, ResultsFolder, show, verb
from stableft.cli.formatting import VIEW_SCHEMA, View
from stableft.cli.trace import rebuilding_lines
from stableft.execution import reproduce
from stableft.reporting import experiment_summary
from stableft.storage.store import Store


@verb
def show_run(
    run: Annotated[str, typer.Argument(metavar="RUN_ID", help="The id of a run, or its first digits.")],
    results: ResultsFolder = RESULTS,
    as_json: AsJson = False,
) -> None:
    """Show everything recorded about a run.

    Shows its configuration, fingerprints and provenance, and the commands to compute it again.
    """
    store = Store(results)
    show(shown(*experiment_summary.find_run(store, run), store), as_json)


def shown(run: Mapping[str, Any], places: Sequence[Mapping[Any, Any]], store: Store) -> View:
    """Shows the record of a run.

    Args:
        run: Its id, outcome, facts, configuration and provenance.
        places: Rows of this run in the experiments' tables of runs.
        store: The results.
    """
    rebuilt = reproduce.reproductions(places[:1], store)
    cells = [{name: place[name] for name in ("experiment", "protocol", "arm", "task", "seed")} for place in places]
    text: list[RenderableType] = [
        f"run {run['run_id']}: {run['outcome']}",
        *("  " + ", ".join(f"{name} {value}" for name, value in cell.items()) for cell in cells),
        *(f"{part}\n{_tree(run[part])}" for part in ("facts", "config", "provenance")),
        *rebuilding_lines(rebuilt, "to rebuild it"),
    ]
    if not cells:
        text.append("in no collected experiment: other runs start from its weights, or its grid is not collected yet")
    return View(text, {"schema": VIEW_SCHEMA, **run, "places": cells, "rebuild": [asdict(each) for each in rebuilt]})


def _tree(values: Mapping[str, Any], indent: str = "  ") -> str:
    """Returns a line for each name and value, with nested values indented."""
    lines = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            lines.append(f"{indent}{name}\n{_tree(value, indent + '  ')}")
        else:
            lines.append(f"{indent}{name}: {value if isinstance(value, str) else json.dumps(value)}")
    return "\n".join(lines)
