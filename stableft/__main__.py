"""The command line: reads options, calls one function, prints. No logic."""

from pathlib import Path
from typing import Annotated, NamedTuple

import typer

import stableft
from stableft import discover, provenance, report_commands, runner, views
from stableft.board import board
from stableft.cli import Exit, FiguresFolder, Json, ResultsFolder, Scale, err, out, settings, show, verb
from stableft.errors import NothingSelected
from stableft.files import write_whole
from stableft.grid import Grid, Protocol, on_tasks, parse_seeds, select
from stableft.records import Store

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Seeded grids of BERT fine-tuning runs, and the figures and tables that say what they prove.",
)
data = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What tasks are made of.")
app.add_typer(data, name="data")
app.add_typer(report_commands.app)

Experiment = Annotated[str, typer.Argument(help="An experiment; `ls experiments` names them.")]
ProtocolName = Annotated[str, typer.Option("--protocol", help="Scale: smoke, laptop, small or paper.")]
Seeds = Annotated[str | None, typer.Option(help="Such as 0-49 or 0,3,7; the protocol's own by default.")]
Tasks = Annotated[str | None, typer.Option(help="Only these tasks, separated by commas; or own files, such as csv:PATH.")]
Arms = Annotated[str | None, typer.Option(help="Only these arms, separated by commas.")]
EncoderName = Annotated[str | None, typer.Option("--encoder", help="Another encoder: a folder, a hub id or an embedded name.")]
Precision = Annotated[str | None, typer.Option("--precision", help="fp32, bf16 or tf32 (GPU); part of a run's identity.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override a setting of every run, such as adam.lr=3e-5; repeatable.")]


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


class Request(NamedTuple):
    """What a command is about: a grid, the whole that it is a selection of, and what their runs start from."""

    grid: Grid
    whole: Grid
    inputs: runner.Inputs


def _request(
    experiment: str, protocol_name: str, seeds: str | None, tasks: str | None, arms: str | None, encoder: str | None,
    precision: str | None, overrides: list[str] | None,
) -> Request:  # fmt: skip
    whole = discover.experiment(experiment).grid(_protocol(protocol_name))
    changes = views.parse_overrides(overrides or [])
    if encoder:
        changes["encoder"] = encoder
    if precision:
        changes["precision"] = precision
    names = _names(tasks)
    if own := discover.own_tasks(names or []):
        whole, names = on_tasks(whole, [task.name for task in own]), None
    whole = select(whole, seeds=parse_seeds(seeds) if seeds else None, overrides=changes)
    return Request(select(whole, arms=_names(arms), tasks=names), whole, runner.Inputs(own))


def _protocol(name: str) -> Protocol:
    from experiments.protocol import protocol

    return protocol(name)


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] if text else None


@app.command()
@verb
def plan(
    experiment: Experiment, protocol: ProtocolName = "laptop", seeds: Seeds = None, tasks: Tasks = None, arms: Arms = None,
    encoder: EncoderName = None, precision: Precision = None, set_: Set = None, results: ResultsFolder = Path("results"),
    jobs: int | None = None, as_json: Json = False,
) -> None:  # fmt: skip
    """What a run would do: counts, what is missing, time and disk. Starts nothing."""
    asked = _request(experiment, protocol, seeds, tasks, arms, encoder, precision, set_)
    store = Store(results)
    planned = runner.plan(asked.grid, store, asked.inputs)
    workers = jobs or runner.default_workers()
    show(views.plan(planned, *runner.estimate(planned, store, workers), workers), as_json)


@app.command()
@verb
def run(
    experiment: Experiment, protocol: ProtocolName = "laptop", seeds: Seeds = None, tasks: Tasks = None, arms: Arms = None,
    encoder: EncoderName = None, precision: Precision = None, set_: Set = None, results: ResultsFolder = Path("results"),
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs at a time; by default one per core.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of each run; other than 1 changes the last bits.")] = 1,
    device: Annotated[str, typer.Option(help="A torch device.")] = "cpu",
    backend: Annotated[str, typer.Option(help="threads (a process each), serial, loky or dask (docs/clusters.md).")] = "threads",
    scheduler: Annotated[str | None, typer.Option(help="Dask: the scheduler's address, or its file.")] = None,
    local_cluster: Annotated[int | None, typer.Option(min=1, help="Dask: that many workers here, on loopback.")] = None,
    gather: Annotated[bool, typer.Option("--gather", help="Dask: records come back over it; workers need no shared disk.")] = False,
    tls_ca: Annotated[Path | None, typer.Option(help="Dask: the authority that both sides trust.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Dask: this command's certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Dask: its key.")] = None,
    max_retries: Annotated[int, typer.Option(min=0, help="Further tries for a run whose process dies.")] = 1,
    timeout: Annotated[float | None, typer.Option(min=1, help="Seconds that a run may take.")] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast/--keep-going", help="Stop at the first failed run.")] = False,
    padded: Annotated[bool, typer.Option("--padded", help="Run padded batches, as the reference implementation.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan.")] = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Runs what is missing of a grid, then collects. Interrupt it as you like; the same command goes on."""
    grid, whole, inputs = _request(experiment, protocol, seeds, tasks, arms, encoder, precision, set_)
    store = Store(results)
    if not dry_run:
        runner.set_aside_cut_short(store, err.print)
    planned = runner.plan(grid, store, inputs)
    if dry_run:
        return show(views.plan(planned, *runner.estimate(planned, store, jobs or runner.default_workers()), jobs or 0), as_json)
    if not planned.cells:
        raise NothingSelected(f"no run of {experiment} is selected")
    cluster = runner.Cluster(scheduler, local_cluster, gather, tls_ca, tls_cert, tls_key)
    execution = runner.Execution(backend, jobs, threads, device, not padded, max_retries, timeout, fail_fast, cluster)
    failures = []
    try:
        with board(err, planned) as shown:
            for status in runner.run_grid(planned, store, inputs, execution, shown.progress, err.print):
                shown.ended(status)
                if status.state not in ("done", "stopped"):
                    failures.append(status)
    except KeyboardInterrupt:
        err.print("interrupted; finished runs are kept. Issue the same command to go on.")
        raise typer.Exit(Exit.INTERRUPTED) from None
    damaged: list[str] = []
    collected = runner.collect(whole, store, inputs, damaged.append)
    show(views.finished(grid, store, collected, failures), as_json)
    if damaged:
        err.print(*damaged, "The same command does these runs again.", sep="\n", markup=False)
        raise typer.Exit(Exit.RUNS_FAILED)
    if failures:
        codes = {"refused": Exit.MISSING_INPUT, "device": Exit.NO_DEVICE, "io": Exit.IO}
        raise typer.Exit(max(codes.get(failure.state, Exit.RUNS_FAILED) for failure in failures))


@app.command()
@verb
def status(
    experiment: Experiment, protocol: ProtocolName = "laptop", seeds: Seeds = None, tasks: Tasks = None, arms: Arms = None,
    encoder: EncoderName = None, precision: Precision = None, set_: Set = None, results: ResultsFolder = Path("results"),
    as_json: Json = False,
) -> None:  # fmt: skip
    """Which cells of a grid are done, missing or failed."""
    asked = _request(experiment, protocol, seeds, tasks, arms, encoder, precision, set_)
    store = Store(results)
    show(views.status(runner.plan(asked.grid, store, asked.inputs), store), as_json)


@app.command()
@verb
def report(
    protocol: Scale = None,
    results: ResultsFolder = Path("results"),
    figures: FiguresFolder = Path("figures"),
    as_json: Json = False,
) -> None:
    """Writes one offline page per scale, report.html: claims, figures, tables, runs. `figures` and `tables` come before it."""
    from experiments.protocol import PROTOCOLS
    from stableft import page, publish

    scales = dict.fromkeys(scale for scale, _ in publish.collected(Store(results), protocol))
    written = [page.write(Store(results), scale, figures, page.judge_at(PROTOCOLS.get(scale))) for scale in scales]
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
    from experiments.protocol import PROTOCOLS
    from stableft.claims.document import page
    from stableft.claims.judging import judge_all, scales

    modules = {name: discover.experiment(name) for name in experiments or discover.experiments()}
    store = Store(results)
    judgements = judge_all(modules, [_protocol(protocol)] if protocol else scales(PROTOCOLS.values(), store), store)
    if output is None and not experiments and not protocol:
        output = Path("CLAIMS.md")
    if output:
        write_whole(output, page(judgements).encode())
    show(views.verified(judgements, output), as_json)
    if strict and any(judgement.verdict == "contradicted" for judgement in judgements):
        raise typer.Exit(Exit.CONTRADICTED)


@data.command("check")
@verb
def data_check(
    task: Annotated[str, typer.Argument(help="A task, as `ls tasks` names it, or own files, such as csv:PATH.")],
    as_json: Json = False,
) -> None:
    """Reads a task's data and says what they are: sizes, labels, lengths, repeats, fingerprint."""
    show(views.data_check(discover.task(task)), as_json)


@app.command()
@verb
def ls(
    what: Annotated[str, typer.Argument(help="experiments, techniques, protocols, tasks or encoders")] = "experiments",
    as_json: Json = False,
) -> None:
    """Lists what there is, one line each."""
    from experiments.protocol import PROTOCOLS

    show(views.listing(what, PROTOCOLS), as_json)


@app.command()
@verb
def doctor(results: ResultsFolder = Path("results"), as_json: Json = False) -> None:
    """Checks this installation: versions, weights, data, disk; says what to mend."""
    view = views.doctor(results)
    show(view, as_json)
    if not view.data["ok"]:
        raise typer.Exit(Exit.MISSING_INPUT)


if __name__ == "__main__":
    app()
