"""The command line: reads options, calls one function, prints. No logic."""

from pathlib import Path
from typing import Annotated

import typer

import stableft
from stableft.cli import data_commands, report_commands, run_commands, views
from stableft.cli.common import Exit, FiguresFolder, Json, ResultsFolder, Scale, err, out, settings, show, verb
from stableft.core.experiments import all_experiments, all_protocols, get_experiment, get_protocol
from stableft.core.files import write_whole
from stableft.execution import provenance
from stableft.storage.store import Store

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Seeded grids of BERT fine-tuning runs, and the figures and tables that say what they prove.",
)
app.add_typer(data_commands.app, name="data")
app.add_typer(run_commands.app)
app.add_typer(report_commands.app)


def _version(asked: bool) -> None:
    if asked:
        out.print(f"stableft {stableft.__version__} ({provenance.commit() or 'not a git checkout'})")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)] = False,
) -> None:
    settings["debug"] = debug


@app.command()
@verb
def report(
    protocol: Scale = None,
    results: ResultsFolder = Path("results"),
    figures: FiguresFolder = Path("figures"),
    as_json: Json = False,
) -> None:
    """Writes one offline page per scale, report.html: claims, figures, tables, runs. `figures` and `tables` come before it."""
    from stableft.reporting import html_page as page
    from stableft.reporting import render as publish

    scales = dict.fromkeys(scale for scale, _ in publish.collected(Store(results), protocol))
    written = [page.write(Store(results), scale, figures, page.judge_at(all_protocols().get(scale))) for scale in scales]
    show(views.written(written), as_json)


@app.command()
@verb
def verify(
    experiments: Annotated[list[str] | None, typer.Argument(help="Only these; by default all.")] = None,
    protocol: Annotated[str | None, typer.Option(help="Only this scale; by default paper and those with results.")] = None,
    results: ResultsFolder = Path("results"),
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if a claim is contradicted, here or at all.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="Where to write the page of verdicts; by default CLAIMS.md, if nothing is left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Judges the claims of the sources on collected results: no torch, no network."""
    from stableft.reporting.claims.judge import judge_all, scales
    from stableft.reporting.claims.markdown import page

    modules = {name: get_experiment(name) for name in experiments or all_experiments()}
    store = Store(results)
    judgements = judge_all(modules, [get_protocol(protocol)] if protocol else scales(all_protocols().values(), store), store)
    if output is None and not experiments and not protocol:
        output = Path("CLAIMS.md")
    if output:
        write_whole(output, page(judgements).encode())
    show(views.verified(judgements, output), as_json)
    if strict and any(judgement.verdict == "contradicted" for judgement in judgements):
        raise typer.Exit(Exit.CONTRADICTED)


@app.command()
@verb
def ls(
    what: Annotated[str, typer.Argument(help="experiments, techniques, protocols, tasks or encoders")] = "experiments",
    as_json: Json = False,
) -> None:
    """Lists what there is, one line each."""
    show(views.listing(what, all_protocols()), as_json)


@app.command()
@verb
def doctor(
    results: ResultsFolder = Path("results"),
    determinism: Annotated[
        bool, typer.Option("--determinism", help="Do a short run in several ways, and say how far it gives the same bits again.")
    ] = False,
    protocol: Annotated[str, typer.Option(help="With --determinism: the scale of the run; laptop has real weights.")] = "smoke",
    as_json: Json = False,
) -> None:
    """Checks this installation: versions, weights, data, disk; says what to mend."""
    if determinism:
        from stableft.execution.determinism import check

        with err.status("a short run, in several ways", spinner="line"):
            comparisons = check(get_experiment("adam").grid(get_protocol(protocol)))
        return show(views.determinism(protocol, comparisons), as_json)
    view = views.doctor(results)
    show(view, as_json)
    if not view.data["ok"]:
        raise typer.Exit(Exit.MISSING_INPUT)


if __name__ == "__main__":
    app()
