"""An invented store, and its page: names in it try to break out of HTML."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from stableft.core import experiments as experiments_by_name
from stableft.reporting import html_page, report
from stableft.reporting.claims import Claim, Judgement, Verdict
from stableft.reporting.figures import curves, distances, distributions
from stableft.reporting.tables import score_summary
from stableft.storage.parquet import write_parquet
from stableft.storage.records import Results
from stableft.storage.store import Store
from tests.helpers import synthetic

EVIL = "</td><script>alert('1')</script>"
PROVENANCE = {
    "git": {"commit": "abc" * 13 + "d", "dirty": True},
    "python": "3.11.7",
    "packages": {"torch": "2.13.0", "transformers": "5.23.0", "numpy": "2.4.6", "scipy": "1.17.1"},
    "hardware": {"cpu": "Invented CPU", "cores": 2, "memory_mb": 1000, "machine": "x86_64", "system": "Linux"},
    "execution": {"device": "cpu", "device_name": None, "packed": True, "threads": 1},
    "started": 1_700_000_000.0,
}
DOC = f"""Is {EVIL} escaped?

Question: what do *starred* and `quoted` words look like, and 2 * 3?

Found (laptop): nothing.

The rest.
"""
REPORT: report.Report = {
    "train_loss": report.figure(curves, split="train", metric="loss"),
    "spread": report.figure(distributions),
    "scores": report.table(score_summary),
    "distances": report.figure(distances),
}


def keep(store: Store, protocol: str, experiment: str, results: Results) -> None:
    """Writes collected tables, as `Store.collect` leaves them."""
    for name in ("runs", "metrics", "predictions"):
        frame = getattr(results, name)
        frame = frame.assign(experiment=experiment, **({"protocol": protocol} if name == "runs" else {})) if len(frame) else frame
        path = store.folder(protocol, experiment) / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(pa.Table.from_pandas(frame, preserve_index=False), path)


def results(seeds: int = 4) -> Results:
    """A grid with an evil arm, of an encoder in a folder with a person's name, with provenance."""
    whole = synthetic.grid(seeds)
    runs, metrics = (frame.replace({"arm": {"uncorrected": EVIL}}) for frame in (whole.runs, whole.metrics))
    configs = [json.dumps({**json.loads(text), "encoder": "/home/somebody/models/tiny"}) for text in runs["config"]]
    days = [json.dumps({**PROVENANCE, "started": 1_700_000_000 + 86400.0 * number}) for number in range(len(runs))]
    return Results(runs.assign(config=configs, provenance=days), metrics, whole.predictions)


def judgement(name: str, verdict: Verdict, found: str) -> Judgement:
    """Of an invented claim."""
    claim = Claim(
        name=name, statement=f"Claim {name} {EVIL}.", source=f"Source {EVIL}", expected=f"p < 0.05 {EVIL}",
        about="bert-large-uncased", minimum_n=10, test=lambda results: pytest.fail("a page tests nothing"),
    )  # fmt: skip
    none = verdict == "not run"
    return Judgement(
        claim=claim, experiment="probe", protocol="laptop", verdict=verdict, found=found, n=0 if none else 4,
        seeds_needed=25 if verdict == "inconclusive" else None, own_evidence=True, command="python -m stableft run probe",
        seconds=None if none else 3900.0,
    )  # fmt: skip


JUDGEMENTS = (
    judgement("one", "confirmed", "0.663 against 0.067"),
    judgement("two", "contradicted", f"found {EVIL}"),
    judgement("three", "inconclusive", "hardly a zebra"),
    judgement("four", "not run", "no results"),
)


def register(patch: pytest.MonkeyPatch, **experiments: Any) -> None:
    """Makes these the only experiments that there are; by default ``probe``."""
    known = experiments or {"probe": SimpleNamespace(__doc__=DOC, REPORT=REPORT, LEAD="spread")}
    for module in (experiments_by_name, html_page):
        patch.setattr(module, "all_experiments", lambda: known)


def build(folder: Path, patch: pytest.MonkeyPatch, found: Results | None = None) -> Path:
    """Store, figures and tables, and the page, all of which lie below the folder."""
    register(patch)
    store = Store(folder / "results")
    keep(store, "laptop", "probe", results() if found is None else found)
    report.render_all(REPORT, store.load("laptop", "probe"), folder / "figures" / "laptop" / "probe")
    return html_page.write(store, "laptop", folder / "figures", (f"small {EVIL}", lambda name, results: JUDGEMENTS))
