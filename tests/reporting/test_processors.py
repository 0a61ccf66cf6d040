"""Kinds of processor, and the sentence about a mixture."""

import json
from dataclasses import replace
from typing import Any

from stableft.reporting import captions, experiment_summary, processors
from stableft.storage.records import Results
from tests.helpers import synthetic

EPYC = {"hardware": {"cpu": "AMD EPYC"}, "torch": {"cpu_capability": "AVX512"}, "execution": {"device": "cpu", "device_name": None}}
OTHER = EPYC | {"torch": {"cpu_capability": "AVX2"}}
OLD = {"hardware": {"cpu": "AMD EPYC"}}
CARD = {"hardware": {"cpu": "AMD EPYC"}, "execution": {"device": "cuda", "device_name": "H0"}}


def computed_on(*provenances: dict[str, Any]) -> Results:
    results = synthetic.grid(2)
    return replace(results, runs=results.runs.assign(provenance=[json.dumps(each) for each in provenances]))


def test_runs_are_counted_by_kind() -> None:
    mixed = computed_on(EPYC, EPYC, EPYC, EPYC, CARD, OLD, {}, {})
    assert processors.kinds(mixed.runs) == {"AMD EPYC": 5, "H0": 1}
    sentence = "Processors: AMD EPYC (5 runs), H0 (1 run)."
    assert processors.mixture(mixed.runs) == sentence
    assert sentence in captions.describe(mixed)
    total = experiment_summary.page_totals([experiment_summary.summarize(mixed)])
    assert total["processors"] == ["AMD EPYC", "H0"]


def test_one_name_with_several_sets_of_instructions_is_several_kinds() -> None:
    assert processors.kinds(computed_on(EPYC, EPYC, EPYC, OTHER, OTHER, OLD, {}, {}).runs) == {
        "AMD EPYC AVX512": 3, "AMD EPYC AVX2": 2, "AMD EPYC (unknown instructions)": 1,
    }  # fmt: skip


def test_two_generations_of_one_name_and_one_set_of_instructions_are_two_kinds() -> None:
    zen4, zen5 = (
        EPYC | {"hardware": {"cpu": "AMD EPYC", "processor": f"AuthenticAMD family {family}, AVX512"}} for family in (25, 26)
    )
    assert processors.kinds(computed_on(*[zen4] * 5, *[zen5] * 3).runs) == {
        "AMD EPYC AuthenticAMD family 25, AVX512": 5, "AMD EPYC AuthenticAMD family 26, AVX512": 3,
    }  # fmt: skip


def test_one_kind_is_no_mixture() -> None:
    for provenance in (EPYC, {}):
        alike = computed_on(*[provenance] * 8)
        assert not processors.mixture(alike.runs)
        assert "Processors" not in captions.describe(alike)
