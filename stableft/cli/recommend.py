"""Recommend: which setting to use on a user's own data, found within a budget of minutes."""

import contextlib
import dataclasses
import shlex
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from stableft.cli.common import RESULTS, AsJson, ResultsFolder, err, folder, option, show, verb, with_options
from stableft.cli.data import SCALES
from stableft.cli.execution_options import read_execution_options
from stableft.cli.formatting import View
from stableft.cli.own_options import read_own_data
from stableft.cli.progress import live_progress
from stableft.cli.selection import with_own_tasks
from stableft.core.config import RunConfig, with_overrides
from stableft.core.errors import UsageError
from stableft.core.experiments import get_protocol
from stableft.core.grid import Grid, Override
from stableft.core.own_data import OwnData
from stableft.execution import runner
from stableft.execution.export import export_run
from stableft.execution.input_quality import qualities, refuse_unreadable
from stableft.execution.inputs import Inputs
from stableft.execution.planning import Plan
from stableft.execution.runner import ExecutionOptions
from stableft.recommend import baselines, candidates, page
from stableft.recommend.answer import Answer, answer, curve_line, lines
from stableft.recommend.candidates import DEFAULT, FEWEST_RUNS
from stableft.recommend.parts import labelled, with_test_part
from stableft.recommend.search import Budget, Found, search
from stableft.recommend.trials import ProgressSink, Trials
from stableft.storage.store import Store
from stableft.tasks import Task
from stableft.tasks.catalog import all_tasks, get_task
from stableft.tasks.settings_source import language_of

OWN_SCALES = {"en": "laptop", "zh": "small"}
BASELINE_SECONDS = 30.0  # guessed, for the smallest budget that would fit
OUT = Path("recommendations")
READ_OWN = partial(read_own_data, on_duplicates="keep", on_variants="merge")  # nothing stops at the first odd row
SAVING = 1.5  # time of a last run alone, the winner's, in runs of the default


@verb
@with_options(own=READ_OWN, execution=read_execution_options)
def recommend(
    *,
    file: Annotated[str, typer.Argument(help="Your labelled texts, such as reviews.csv; or a task that `ls tasks` lists.")],
    own: OwnData,
    minutes: Annotated[float, option("Time to spend, in minutes.", "--minutes", min=0.1)] = 20.0,
    save: Annotated[Path | None, option("Write the model to this new folder.", "--save", parser=folder, metavar="PATH")] = None,
    out: Annotated[
        Path | None, option("Folder of the page; by default recommendations/<name>.", "--out", parser=folder, metavar="PATH")
    ] = None,
    protocol: Annotated[str | None, option("Scale; by default laptop, or small for Chinese.", "--protocol")] = None,
    encoder: Annotated[str | None, option("Another encoder: a folder, a hub id or an embedded name.")] = None,
    results: ResultsFolder = RESULTS,
    execution: ExecutionOptions,
    as_json: AsJson = False,
) -> None:
    """Recommend a setting for your own labelled texts.

    Compares baselines, learning rates and the remedies of the literature within a budget of minutes,
    and answers in five lines. The test part is looked at once, at the end.
    """
    budget = Budget(60 * minutes)
    task, remark = with_test_part(get_task(file, None if file in all_tasks() else own))
    say([remark] if remark else [])
    grid, config = base_grid(task, protocol, encoder)
    inputs = Inputs([task])
    check_inputs(config, inputs, execution)
    data = inputs.data(task.name)
    parts = {split: labelled(task, data, split) for split in ("validation", "test")}
    if save is not None and save.exists() and (not save.is_dir() or any(save.iterdir())):
        raise UsageError(f"--save {save} exists already; name a new folder")

    trials = Trials(grid, parts, Store(results), inputs, execution, shown, lambda text: say([text]))
    trials.pace = expected_pace(trials, minutes, save is not None)
    say(["baselines: constant, TF-IDF with a linear model, frozen encoder with a linear model"])
    found_baselines = baselines.in_a_process(task, data, inputs.encoder(config.encoder), config.max_length)
    reserve = SAVING * runner.runs_at_a_time(execution) if save else 0.0
    found = search(config, len(data.train), trials, budget, reserve, lambda line: say([line]))
    chosen = winner_config(config, found)
    sizes = {split: len(getattr(data, split)) for split in ("train", "validation", "test")}
    judged = answer(found, trials, found_baselines, chosen, sizes, budget.spent)
    written = page.write(judged, page.errors(task, data, judged.best), out or OUT / task.name)
    if save:
        say([f"model: the run of seed {judged.best.seed}, best on validation, is repeated to keep its weights"])
        trials.keep(judged.best, overrides(config, found))
        written.append(export_run(trials.store, judged.best.record.run_id, save, encoder=config.encoder))
    show(view(judged, written, save), as_json)


def say(lines_: list[str]) -> None:
    """Prints lines about the search to stderr."""
    for line in lines_:
        err.print(line)


def base_grid(task: Task, protocol: str | None, encoder: str | None) -> tuple[Grid, RunConfig]:
    """Returns a grid whose protocol holds the task's configuration, and that configuration.

    Raises:
        UsageError: the scale has no such task, or the encoder's settings are impossible.
    """
    scale = get_protocol(protocol or usual_scale(task))
    grid = Grid("recommend", scale, {DEFAULT: {}}, scale.tasks, [0])
    if task.own is not None:
        grid = with_own_tasks(grid, [task])
    elif task.name not in scale.configs:
        raise UsageError(f"{task.name} is no task of protocol {scale.name}; it has: {', '.join(scale.configs)}")
    else:
        grid = dataclasses.replace(grid, tasks=[task.name])
    # All examples of train are used, and nothing between start and end is needed.
    points = {"every": None, "num_points": 1, "start_epoch": None, "num_examples": None, "test_points": "last"}
    changes: dict[str, Any] = {"num_train": None, "sample_seed": None, **{f"evaluation.{name}": v for name, v in points.items()}}
    if encoder:
        changes["encoder"] = str(Path(encoder).expanduser()) if encoder.startswith("~") else encoder
    config = with_overrides(grid.protocol.configs[task.name], changes)
    say([grid.protocol.summary] if task.own is not None else [])
    return dataclasses.replace(grid, protocol=dataclasses.replace(grid.protocol, configs={task.name: config})), config


def usual_scale(task: Task) -> str:
    """Returns the scale of a task: the first that has it, or for own files that of their language."""
    if task.own is not None:
        return OWN_SCALES[language_of(task.load())]
    return next((name for name in SCALES if task.name in get_protocol(name).configs), SCALES[0])


def check_inputs(config: RunConfig, inputs: Inputs, execution: ExecutionOptions) -> None:
    """Says how well the encoder reads the data, and refuses data that it does not know."""
    inputs.check(config)
    found = qualities([config], inputs)
    say([line for each in found for line in each.lines])
    if not execution.allow_unknown:
        refuse_unreadable(found)


def expected_pace(trials: Trials, minutes: float, saves: bool) -> float:
    """Returns the expected wall seconds of a run.

    Raises:
        UsageError: The budget is too small for the baselines and a few runs; says what would fit.
    """
    with err.status("measuring how fast this machine is", spinner="line"):
        pace = trials.forecast()
    if pace != pace:
        return pace
    needed = (BASELINE_SECONDS + (FEWEST_RUNS + saves) * pace) / 60
    if minutes < needed:
        raise UsageError(f"--minutes {minutes:g} is too short: baselines and {FEWEST_RUNS:.0f} runs take about {needed:.1f} here")
    say([f"a run of the default takes about {pace:.0f} s of the {minutes:g} minutes"])
    return pace


@contextlib.contextmanager
def shown(planned: Plan) -> Iterator[ProgressSink]:
    """Shows the progress of a plan."""
    with live_progress(err, planned) as progress:
        yield ProgressSink(progress.step, progress.end)


def winner_config(config: RunConfig, found: Found) -> RunConfig:
    """Returns the winner's configuration."""
    return with_overrides(config, overrides(config, found))


def overrides(config: RunConfig, found: Found) -> Override:
    """Returns what the winner changes in the default's configuration."""
    return {"adam.lr": found.rate, **({} if found.winner == DEFAULT else candidates.remedy(found.winner, config))}


def view(judged: Answer, written: list[Path], model: Path | None) -> View:
    """Shows an answer, the files written, and how to use the model."""
    text = [*lines(judged), curve_line(judged), f"written: {', '.join(map(str, written))}"]
    if model:
        text.append(f"next: python -m stableft predict {shlex.quote(str(model))} NEW_FILE --out PREDICTIONS")
    return View([line for line in text if line], {**page.as_json(judged), "files": [str(path) for path in written]})
