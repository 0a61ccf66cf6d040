"""Kinds of processor, and the sentence about a mixture."""

import json
from dataclasses import replace

from stableft.reporting import captions, experiment_summary, processors
from tests.helpers import synthetic

EPYC = {"hardware": {"cpu": "AMD EPYC"}, "torch": {"cpu_capability": "AVX512"}, "execution": {"device": "cpu", "device_name": None}}
OLD = {"hardware": {"cpu": "AMD EPYC"}}
CARD = {"hardware": {"cpu": "AMD EPYC"}, "execution": {"device": "cuda", "device_name": "H0"}}


def test_runs_are_counted_by_kind() -> None:
    results = synthetic.grid(2)
    texts = [json.dumps(each) for each in (EPYC, EPYC, EPYC, CARD, CARD, OLD, {}, {})]
    mixed = replace(results, runs=results.runs.assign(provenance=texts))
    assert processors.kinds(mixed.runs) == {"AMD EPYC AVX512": 3, "H0": 2, "AMD EPYC": 1}
    sentence = "Processors: AMD EPYC AVX512 (3 runs), H0 (2 runs), AMD EPYC (1 run)."
    assert processors.mixture(mixed.runs) == sentence
    assert sentence in captions.describe(mixed)
    total = experiment_summary.page_totals([experiment_summary.summarize(mixed)])
    assert total["processors"] == ["AMD EPYC", "AMD EPYC AVX512", "H0"]


def test_one_kind_is_no_mixture() -> None:
    results = synthetic.grid(2)
    for provenance in (EPYC, {}):
        alike = replace(results, runs=results.runs.assign(provenance=json.dumps(provenance)))
        assert not processors.mixture(alike.runs)
        assert "Processors" not in captions.describe(alike)
