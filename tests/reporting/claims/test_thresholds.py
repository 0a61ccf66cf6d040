"""Tests of claims are frozen: changing one is a visible act with a reason."""

from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments import adam
from stableft.core.errors import MissingInput
from stableft.core.experiments import all_experiments
from stableft.reporting.claims import Evidence, Setting, thresholds
from stableft.reporting.claims.hypotheses import equal, greater, narrows, none_failed, steadier, tuned
from stableft.reporting.claims.measures import train_loss
from stableft.reporting.claims.thresholds import Threshold, digest
from stableft.storage.store import Store

CLAIM = adam.CLAIMS[0]


def test_every_claim_is_judged_by_its_frozen_test() -> None:
    listed = thresholds.read_thresholds(thresholds.default_path())
    changed = [f"{name}/{claim.name}" for name, claim in thresholds.unfrozen(all_experiments(), listed)]
    assert not changed, 'freeze them with a reason: python -m stableft verify --freeze "..."'


def test_every_line_says_when_why_and_what_had_been_seen() -> None:
    listed = thresholds.read_thresholds(thresholds.default_path())
    for line in listed:
        assert all(getattr(line, field.name) for field in fields(Threshold) if field.name != "seen"), line
        assert (line.data_seen, bool(line.seen)) in {("yes", True), ("no", False)}
        assert line.set_on >= "2026-11-21"
    assert [(line.experiment, line.claim, line.set_on) for line in listed] == [
        (line.experiment, line.claim, line.set_on) for line in dict.fromkeys(listed)
    ]
    first = thresholds.current(reversed(listed))
    assert {first["adam", "uncorrected_fails"].commit, first["surface", "separate_valleys"].commit} == {"10774e7", "8b4f2d7"}


def _one(_: Any) -> Evidence:
    return Evidence("confirmed", "", 1)


def _other(_: Any) -> Evidence:
    return Evidence("confirmed", "", 2)


CHANGES: list[dict[str, Any]] = [
    {"expected": "another"},
    {"minimum_n": 7},
    {"tasks": ("rte",)},
    {"kind": "arithmetic"},
    {"setting": Setting("words", batch_sizes=(32,))},
    {"about": "any encoder"},
    {"test": greater("a", "b", margin=0.1)},
    {"test": greater("a", "c")},
    {"test": greater("a", {"paper": "b", "": "c"})},
    {"test": greater("a", "b", train_loss(1, 2))},
    {"test": greater("a", "b", train_loss(1, 3))},
    {"test": greater("a", "b", pooled=True)},
    {"test": equal("a", "b", 0.0)},
    {"test": steadier("a", "b")},
    {"test": narrows("a", "b")},
    {"test": none_failed("a", 0.1)},
    {"test": tuned("a", "b")},
    {"test": tuned("a", "b", at_rate_of="a")},
    {"test": _one},
    {"test": _other},
]


def test_all_that_decides_a_claim_is_in_its_digest() -> None:
    plain = replace(CLAIM, test=greater("a", "b"))
    digests = [digest(plain), *(digest(replace(plain, **changes)) for changes in CHANGES)]
    assert len(set(digests)) == len(digests)


def test_wording_and_unset_fields_are_not() -> None:
    assert digest(replace(CLAIM, statement="Other words.", source="Table 9", question="?")) == digest(CLAIM)
    claims = [replace(CLAIM, setting=Setting(words, batch_sizes=(32,))) for words in ("some", "other")]
    assert len(set(map(digest, claims))) == 1
    explicit = Setting("words", batch_sizes=(32,), max_epochs=None, none_failed=())
    assert digest(replace(CLAIM, setting=explicit)) == digest(claims[0])


def test_a_rule_that_decides_otherwise_changes_the_digests_of_its_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    spread, other = (replace(CLAIM, test=test) for test in (steadier("a", "b"), greater("a", "b")))
    before = digest(spread), digest(other)
    monkeypatch.setattr(thresholds, "REVISIONS", {"decision_rules.spread": 3})
    assert (digest(spread) != before[0], digest(other) == before[1]) == (True, True)


def test_freezing_adds_a_line_for_what_changed_and_nothing_else(tmp_path: Path, project: Path) -> None:
    module: Any = SimpleNamespace(CLAIMS=[CLAIM, adam.CLAIMS[1]], grid=adam.grid)
    store = Store(project / "results")
    first = thresholds.freeze({"adam": module}, [], store, "2026-12-01", "abc1234", "new")
    assert [line.claim for line in first] == [CLAIM.name, adam.CLAIMS[1].name]
    assert first[0].data_seen == "yes"
    assert "laptop 0-22" in first[0].seen, "with the seeds of equal configurations"
    assert thresholds.freeze({"adam": module}, first, store, "2026-12-02", "abc1235", "again") == first
    module.CLAIMS[0] = replace(CLAIM, minimum_n=8)
    second = thresholds.freeze({"adam": module}, first, store, "2026-12-02", "abc1235", "more seeds")
    assert second[:2] == first
    assert [(line.claim, line.reason, line.set_on) for line in second[2:]] == [(CLAIM.name, "more seeds", "2026-12-02")]
    assert thresholds.current(second)["adam", CLAIM.name] == second[2]
    # Of an experiment without results, runs of the same settings in others have been seen.
    moved = thresholds.freeze({"new": module}, [], store, "2026-12-01", "abc1234", "moved")
    assert {line.data_seen for line in moved} == {"yes"}
    assert "laptop 0-22" in moved[0].seen
    unseen = thresholds.freeze({"new": module}, [], Store(tmp_path), "2026-12-01", "abc1234", "new")
    assert {(line.data_seen, line.seen) for line in unseen} == {("no", "")}
    # As a file.
    path = tmp_path / "thresholds.csv"
    assert thresholds.read_thresholds(path) == []
    path.write_text(thresholds.to_csv(second), encoding="utf-8")
    assert thresholds.read_thresholds(path) == second
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(MissingInput, match="its columns are not experiment, claim"):
        thresholds.read_thresholds(path)


def test_the_page_says_in_a_sentence_when_they_were_set() -> None:
    line = Threshold("adam", "a", "0", "2026-11-21", "abc", "yes", "laptop 0-9", "first")
    said = thresholds.summary([line, replace(line, claim="b", data_seen="no", seen="", set_on="2026-11-30")])
    assert said.startswith("Tests and thresholds were set 2026-11-21 to 2026-11-30; 1 of 2 after results")
    assert thresholds.summary([]) == ""
