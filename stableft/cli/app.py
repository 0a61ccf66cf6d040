"""Application: all commands, in the order of ``--help``."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

import stableft
from stableft.cli import (
    compare,
    data,
    doctor,
    draw,
    export_model,
    failures,
    gc,
    import_results,
    logs,
    ls,
    new,
    plan,
    predict,
    recommend,
    report_page,
    retry,
    run,
    show_run,
    status,
    trace,
    try_setting,
    verify,
)
from stableft.cli.common import option, out, settings
from stableft.cli.examples import epilog
from stableft.cli.terminal import clean_streams
from stableft.execution import provenance


class GroupedCommand(TyperCommand):
    """A command with a plain-text ``--help`` that groups options by panel."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            default = "Arguments" if parameter.param_type_name == "argument" else "Options"
            if record := parameter.get_help_record(ctx):
                groups.setdefault(getattr(parameter, "rich_help_panel", None) or default, []).append(record)
        for heading in sorted(groups, key=lambda heading: heading == "Options"):
            with formatter.section(heading):
                formatter.write_dl(groups[heading])


class CleanApp(typer.Typer):
    """An application that lets nothing raw reach the terminal, not even a traceback of Python."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        clean_streams()
        return super().__call__(*args, **kwargs)


# Without markup, the brackets in help texts are shown as they are.
app = CleanApp(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Seeded grids of BERT fine-tuning runs, their figures and tables, and verdicts on published claims.",
)
COMMANDS: Mapping[str, Callable[..., Any]] = {
    "plan": plan.plan,
    "run": run.run,
    "try": try_setting.try_setting,
    "new": new.new,
    "retry": retry.retry,
    "status": status.status,
    "failures": failures.failures,
    "logs": logs.logs,
    "gc": gc.gc,
    "recommend": recommend.recommend,
    "figures": draw.figures,
    "tables": draw.tables,
    "report": report_page.report,
    "trace": trace.trace,
    "show": show_run.show_run,
    "export": export_model.export,
    "predict": predict.predict,
    "compare": compare.compare,
    "import": import_results.import_results,
    "verify": verify.verify,
    "ls": ls.ls,
    "doctor": doctor.doctor,
}
for name, command in COMMANDS.items():
    app.command(name, cls=GroupedCommand, epilog=epilog(name))(command)

data_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check and fetch the data of tasks.")
for name, command in {"check": data.check, "fetch": data.fetch}.items():
    data_app.command(name, cls=GroupedCommand, epilog=epilog(f"data {name}"))(command)
app.add_typer(data_app, name="data")


def _version(asked: bool) -> None:
    if asked:
        out.print(f"stableft {stableft.__version__} ({provenance.commit() or 'not a git checkout'})")
        raise typer.Exit


@app.callback()
def main(
    debug: Annotated[bool, option("Show tracebacks of errors.", "--debug")] = False,
    version: Annotated[bool, option("Print the version.", "--version", is_eager=True, callback=_version)] = False,
) -> None:
    settings["debug"] = debug
