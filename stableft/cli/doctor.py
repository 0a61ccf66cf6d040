"""Doctor: checks the installation, and how far repeated runs are equal bit for bit."""

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from stableft.cli.common import RESULTS, AsJson, Exit, ResultsFolder, err, option, show, verb
from stableft.cli.formatting import VIEW_SCHEMA, View, bare_table
from stableft.core.errors import MissingInput, StableftError, Unwritable
from stableft.core.experiments import get_experiment, get_protocol
from stableft.core.files import cache_folder
from stableft.execution import provenance
from stableft.execution.backends.base import default_workers
from stableft.execution.determinism import LEVELS, RepeatCheck, level
from stableft.models import kernels
from stableft.models.encoders import resolve
from stableft.tasks.catalog import get_task

PACKAGES = ("torch", "transformers", "pandas", "pyarrow", "matplotlib", "joblib")
TRIED_BYTES = 2**20
TASKS = ("docs15", "docpair", "docread", "doccode")


@verb
def doctor(
    results: ResultsFolder = RESULTS,
    determinism: Annotated[
        bool, option("Repeat a short run in several ways, and compare the results bit for bit.", "--determinism")
    ] = False,
    protocol: Annotated[str, option("With --determinism: the scale of the run; laptop has real weights.")] = "smoke",
    as_json: AsJson = False,
) -> None:
    """Check the installation.

    Checks versions, weights, data, and the folders that a run writes to. Prints how to repair each
    problem.
    """
    if determinism:
        from stableft.execution.determinism import check

        with err.status("repeating a short run in several ways", spinner="line"):
            comparisons = check(get_experiment("adam").grid(get_protocol(protocol)))
        return show(determinism_view(protocol, comparisons), as_json)
    view = checks_view(list(checks(results)))
    show(view, as_json)
    if not view.data["ok"]:
        raise typer.Exit(Exit.MISSING_INPUT)


class Check(NamedTuple):
    """A check of the installation. ``detail`` is a fact if it is ok, else the repair."""

    check: str
    ok: bool
    detail: str


def checks(results: Path) -> Iterator[Check]:
    """Yields the checks in the order of output."""
    yield Check("python", sys.version_info >= (3, 11), f"{sys.version.split()[0]} (3.11 or newer is needed)")
    for package in PACKAGES:
        try:
            yield Check(package, True, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            yield Check(package, False, "not installed: type `make setup`")
    try:
        yield Check("weights minilm-l6", True, str(resolve("minilm-l6").folder))
    except StableftError as error:
        yield Check("weights minilm-l6", False, str(error))
    for name in TASKS:
        try:
            data = get_task(name).load()
            sizes = f"{len(data.train)}/{len(data.validation)}/{len(data.test)} examples"
            yield Check(f"task {name}", True, f"{sizes}, fingerprint {data.fingerprint[:12]}")
        except MissingInput as error:
            yield Check(f"task {name}", False, str(error))
    # What a run writes to, and how to name another place.
    try:
        yield tried("cache", cache_folder(), "set XDG_CACHE_HOME to a folder with space")
    except Unwritable as error:
        yield Check("cache", False, str(error))
    yield tried("results", results, "name another folder by --results")
    yield tried("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to a folder with space")
    existing = next(folder for folder in (results.resolve(), *results.resolve().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    yield Check("disk", free > 2**30, f"{free / 2**30:.0f} GiB free at {existing}")
    hardware = provenance.static()["hardware"]
    cores = f"{hardware['cores']} cores, {default_workers()} of them usable: so many runs at a time"
    yield Check("machine", True, f"{hardware['cpu']}, {cores}; {hardware['memory_mb']} MiB")
    yield Check("kernels", True, str(kernels.chosen()))


def tried(name: str, folder: Path, repair: str) -> Check:
    """Writes to a folder as a run does, or to the one that it would be made in; nothing stays."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(place))
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(bytes(TRIED_BYTES))
    except OSError as error:
        return Check(name, False, f"{folder} can't be written ({error.strerror}): {repair}")
    return Check(name, True, str(folder))


def checks_view(installation: Sequence[Check]) -> View:
    """Shows one line for each check."""
    table = bare_table(("ok" if each.ok else "MISSING", each.check, each.detail) for each in installation)
    ok = all(each.ok for each in installation)
    return View([table], {"schema": VIEW_SCHEMA, "ok": ok, "checks": [each._asdict() for each in installation]})


def determinism_view(protocol: str, comparisons: Sequence[RepeatCheck]) -> View:
    """Shows the comparison of each repeated run with the first, and the level of determinism."""
    reached = level(comparisons)
    table = bare_table(("same" if c.equal else "DIFFERS", c.way, c.difference) for c in comparisons)
    rows = [{"way": c.way, "equal": c.equal, "difference": c.difference} for c in comparisons]
    data = {"schema": VIEW_SCHEMA, "protocol": protocol, "level": reached, "meaning": LEVELS[reached], "comparisons": rows}
    return View([table, f"{reached}: {LEVELS[reached]}"], data)
