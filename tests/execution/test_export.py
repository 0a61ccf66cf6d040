"""Export: what a run has learnt leaves in a folder, and says there what the run has recorded."""

import dataclasses
import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stableft.core.config import RunConfig, run_id, with_overrides
from stableft.core.errors import Damaged, MissingInput, UsageError
from stableft.execution import worker
from stableft.execution.export import export_run
from stableft.execution.inputs import Inputs
from stableft.execution.job import Job
from stableft.execution.prediction import predict, predict_tags
from stableft.execution.run_job import run_one
from stableft.models.encoders import resolve
from stableft.models.weights import read_weights
from stableft.storage import kept_weights
from stableft.storage.records import CellKey, RunRecord
from stableft.storage.run_summary import summarise_record
from stableft.storage.store import Store
from stableft.tasks import Example, Task, TaskData
from stableft.tasks.catalog import get_task
from stableft.tasks.toy import TASKS
from stableft.techniques.freeze import Freeze
from stableft.techniques.lora import LoRA
from stableft.techniques.swa import SWA
from tests.conftest import ConfigFactory


def load_pairs() -> TaskData[Example]:
    data = TASKS[0].load()
    return TaskData(
        *(tuple(Example(e.text, " ".join(e.text.split()[:2]), e.label) for e in getattr(data, split)) for split in SPLITS)
    )


SPLITS = ("train", "validation", "test")
PAIRS = dataclasses.replace(TASKS[0], name="toypairs", pairs=True, load=load_pairs)
KINDS: dict[str, dict[str, Any]] = {
    "toypairs": {},
    "toyscore": {},
    "toytag": {},
    "toytag with a CRF": {"head": "bilstm_crf"},
    "toy with SWA": {"techniques": (SWA(start_step=4),)},
    "toy in bf16": {"precision": "bf16"},
    "toy with LoRA": {"techniques": (LoRA(rank=2),), "adam.weight_decay": 1.0},
}
Kept = tuple[Store, RunRecord, Task]


def job_of(config: RunConfig, results: Path) -> Job:
    task = PAIRS if config.task == "toypairs" else get_task(config.task)
    encoder, data = Inputs().encoder("tiny-random"), task.load()
    identity = run_id(config, data=data.fingerprint, weights=encoder.fingerprint)
    return Job(identity, config, encoder, data, results, task=task, keep_weights=True)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, toy_config: ConfigFactory) -> Callable[[str], Kept]:
    """A finished run of each kind, with its weights."""
    done: dict[str, Kept] = {}

    def kept(kind: str) -> Kept:
        if kind not in done:
            store = Store(tmp_path_factory.mktemp("out"))
            job = job_of(toy_config({"task": kind.split()[0], "adam.weight_decay": 0.01, **KINDS[kind]}), store.root)
            record = run_one(job)
            store.write(record)
            assert job.task is not None
            done[kind] = store, record, job.task
        return done[kind]

    return kept


@pytest.fixture(scope="module")
def exported(kept: Callable[[str], Kept]) -> Callable[[str], Path]:
    def exported(kind: str) -> Path:
        store, record, _ = kept(kind)
        folder = store.root / "model"
        return folder if folder.exists() else export_run(store, record.run_id[:6], folder)

    return exported


@pytest.mark.parametrize("kind", KINDS)
def test_predictions_of_the_folder_are_those_that_the_run_recorded(
    kind: str, kept: Callable[[str], Kept], exported: Callable[[str], Path]
):
    _, record, task = kept(kind)
    test = record.predictions.query("split == 'test'")
    examples = task.load().test
    if task.kind == "tagging":
        tagged = predict_tags(exported(kind), [example.words for example in examples])  # pyright: ignore[reportAttributeAccessIssue]
        assert np.array_equal(np.concatenate(tagged.tags), test["prediction"])
        return
    pairs = [example.pair for example in examples] if kind == "toypairs" else None  # pyright: ignore[reportAttributeAccessIssue]
    found = predict(exported(kind), [example.text for example in examples], pairs)  # pyright: ignore[reportAttributeAccessIssue]
    if task.kind == "regression":
        np.testing.assert_allclose(found.predictions, test["prediction"], rtol=0, atol=1e-6)
        return
    assert np.array_equal(found.predictions, test["prediction"])
    np.testing.assert_allclose(found.probabilities, np.stack(list(test["probabilities"])), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["toypairs", "toyscore", "toytag"])
def test_transformers_says_the_same(kind: str, kept: Callable[[str], Kept], exported: Callable[[str], Path]):
    from transformers import pipeline

    _, record, task = kept(kind)
    test, examples = record.predictions.query("split == 'test'"), task.load().test
    if task.kind == "tagging":
        read = pipeline("token-classification", str(exported(kind)), aggregation_strategy="none")
        for number, example in enumerate(examples[:8]):
            tags = [token["entity"] for token in read(" ".join(example.words), ignore_labels=[])]  # pyright: ignore
            assert tags == [task.labels[int(tag)] for tag in test[test["example"] == number]["prediction"]]
        return
    options: dict[str, Any] = {"function_to_apply": "none"} if task.kind == "regression" else {"top_k": None}
    read = pipeline("text-classification", str(exported(kind)), **options)
    inputs: Any = [{"text": e.text, **({"text_pair": e.pair} if e.pair else {})} for e in examples]  # pyright: ignore
    answers: list[Any] = [read(each, truncation=True) for each in inputs]
    if task.kind == "regression":
        scores = [answer["score"] if isinstance(answer, dict) else answer[0]["score"] for answer in answers]
        np.testing.assert_allclose(scores, test["prediction"], rtol=0, atol=1e-5)
        return
    for answer, row in zip(answers, test.itertuples(), strict=True):
        by_label = {each["label"]: each["score"] for each in answer}
        assert max(by_label, key=by_label.__getitem__) == task.labels[int(row.prediction)]  # pyright: ignore
        np.testing.assert_allclose([by_label[label] for label in task.labels], row.probabilities, rtol=0, atol=1e-5)  # pyright: ignore


def test_the_weights_are_the_last_ones_and_the_card_tells_them_from_their_average(
    kept: Callable[[str], Kept], exported: Callable[[str], Path]
):
    card = (exported("toy with SWA") / "README.md").read_text()
    _, record, __ = kept("toy with SWA")
    last = record.metrics.query("step == 24 and split == 'test' and metric == 'loss'").set_index("scope")["value"]
    own, _, average = card.partition("average of its weights")
    assert f"| test | loss | {last['']:.4f} |" in own
    assert f"| test | loss | {last['average']:.4f} |" in average
    assert last[""] != last["average"]


def test_the_card_says_how_it_was_made_and_used(kept: Callable[[str], Kept], exported: Callable[[str], Path]):
    _, record, __ = kept("toypairs")
    card = (exported("toypairs") / "README.md").read_text()
    for said in (record.run_id, "seed 0", record.facts["data_fingerprint"], "text_pair", "stableft predict", "64 train", "`harsh`"):
        assert said in card
    crf = (exported("toytag with a CRF") / "README.md").read_text()
    assert "transformers has no class" in crf
    assert "pipeline(" not in crf
    assert 'pipeline("token-classification"' in (exported("toytag") / "README.md").read_text()
    assert 'function_to_apply="none"' in (exported("toyscore") / "README.md").read_text()
    facts = json.loads((exported("toypairs") / "stableft.json").read_text())
    assert (facts["pairs"], facts["kind"], facts["run_id"]) == (True, "classification", record.run_id)


def test_unread_embeddings_are_restored_and_an_export_is_an_encoder(kept: Callable[[str], Kept], exported: Callable[[str], Path]):
    store, record, _ = kept("toyscore")
    table = "encoder.embeddings.word_embeddings.weight"
    assert read_weights(store.weights_path(record.run_id))[table].shape == (45, 32)
    assert resolve(str(exported("toyscore"))).fingerprint


def test_unread_embeddings_decay_only_while_embeddings_are_trained(kept: Callable[[str], Kept], tmp_path: Path, toy_config):
    """Frozen for the whole run they are the checkpoint's; if they begin after three steps of six, three decay them."""
    table = "encoder.embeddings.word_embeddings.weight"
    store, record, _ = kept("toy with LoRA")
    start = read_weights(store.weights_path(record.run_id))[table]
    settings = {"schedule.num_epochs": None, "schedule.num_steps": 6, "adam.weight_decay": 1.0}
    ends = {}
    for name, technique in (("frozen", Freeze(embeddings=True)), ("late", Freeze(thaw_steps=1)), ("plain", Freeze.null())):
        job = job_of(toy_config({**settings, "techniques": (technique,)}), tmp_path / name)
        run = run_one(job)
        weights = read_weights(Store(job.results).weights_path(job.run_id))[table]
        lrs = run.metrics.query("metric == 'lr'")["value"].to_numpy()
        ends[name] = weights, np.prod(1 - lrs), np.prod(1 - lrs[3:])
    unread = [row for row in range(45) if np.array_equal(ends["frozen"][0][row], start[row])]
    assert len(unread) == 45, "neither run trains them"
    never = [row for row in range(45) if np.allclose(ends["plain"][0][row], start[row] * ends["plain"][1], rtol=1e-6, atol=0)]
    assert never
    for row in never:
        np.testing.assert_allclose(ends["late"][0][row], start[row] * ends["late"][2], rtol=1e-6)


def test_weights_are_kept_on_request_only(toy_config: ConfigFactory, tmp_path: Path):
    few = with_overrides(toy_config(), {"schedule.num_epochs": None, "schedule.num_steps": 2})
    job = dataclasses.replace(job_of(few, tmp_path), keep_weights=False)
    store = Store(tmp_path)
    store.write(run_one(job))
    assert not store.weights_path(job.run_id).exists()
    assert kept_weights.is_done(store, job.run_id, keep_weights=False)
    assert not kept_weights.is_done(store, job.run_id, keep_weights=True)
    # The same run, done again for its weights: the record stays, and the bits are the same.
    before = store.path(job.run_id).read_bytes()
    again = dataclasses.replace(job, keep_weights=True)
    assert worker._reply(again, store, lambda *_: None)[:2] == ("done", "ok")
    assert store.path(job.run_id).read_bytes() == before
    facts, summary = kept_weights.read_facts(store.weights_path(job.run_id)), summarise_record(store, job.run_id)
    assert facts is not None
    assert summary is not None
    assert facts.trajectory == summary.trajectory
    assert not kept_weights.of_another_trajectory(store, job.run_id)
    written = store.weights_path(job.run_id).stat().st_mtime_ns
    assert worker._reply(again, store, lambda *_: None)[:2] == ("done", "ok")
    assert store.weights_path(job.run_id).stat().st_mtime_ns == written, "and then it is done"
    # A record of other code has other rows.
    record = store.read(job.run_id)
    store.write(dataclasses.replace(record, metrics=record.metrics.assign(value=record.metrics["value"] + 1)))
    assert kept_weights.of_another_trajectory(store, job.run_id)


def test_a_diverged_run_has_no_model_and_is_done(toy_config: ConfigFactory, tmp_path: Path):
    config = with_overrides(toy_config(), {"adam.lr": 1e30, "schedule.warmup_ratio": 0.0})
    job, store = job_of(config, tmp_path), Store(tmp_path)
    assert worker._reply(job, store, lambda *_: None)[:2] == ("done", "diverged")
    assert not store.weights_path(job.run_id).exists()
    assert kept_weights.is_done(store, job.run_id, keep_weights=True)
    with pytest.raises(MissingInput, match="diverged"):
        export_run(store, job.run_id, tmp_path / "model")


def test_errors_say_what_to_do(kept: Callable[[str], Kept], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory):
    store, record, _ = kept("toyscore")
    with pytest.raises(MissingInput, match="no run ffff in"):
        export_run(store, "ffff", tmp_path / "it")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").touch()
    with pytest.raises(UsageError, match="already exists"):
        export_run(store, record.run_id, tmp_path / "taken")
    assert os.listdir(tmp_path) == ["taken"]
    with pytest.raises(MissingInput, match="is not the one of run"):
        export_run(store, record.run_id, tmp_path / "it", encoder=str(_changed(tmp_path_factory.mktemp("e"))))
    facts = kept_weights.read_facts(store.weights_path(record.run_id))
    assert facts is not None
    # Damage is named.
    broken = Store(tmp_path / "broken")
    for source, target in ((store.path(record.run_id), broken.path(record.run_id)),):
        target.parent.mkdir(parents=True)
        target.write_bytes(source.read_bytes())
    broken.weights_path("").parent.mkdir()
    broken.weights_path(record.run_id).write_bytes(store.weights_path(record.run_id).read_bytes()[:100])
    with pytest.raises(Damaged, match="is damaged"):
        export_run(broken, record.run_id, tmp_path / "it")
    assert not kept_weights.is_done(broken, record.run_id, keep_weights=True)


def _changed(folder: Path) -> Path:
    start = Inputs().encoder("tiny-random").folder
    for file in start.iterdir():
        (folder / file.name).write_bytes(file.read_bytes() + (b"\n" if file.name == "vocab.txt" else b""))
    return folder


def test_a_run_without_weights_says_how_to_keep_them(toy_config: ConfigFactory, tmp_path: Path):
    store = Store(tmp_path / "out")
    config = with_overrides(toy_config(), {"seed": 3, "adam.lr": 1e-4, "schedule.num_epochs": None, "schedule.num_steps": 2})
    job = dataclasses.replace(job_of(config, store.root), keep_weights=False)
    store.write(run_one(job))
    with pytest.raises(MissingInput, match="repeat the command that made it, with --keep-weights"):
        export_run(store, job.run_id, tmp_path / "it")
    store.collect("smoke", "adam", [CellKey("adam", "corrected", "toy", 3, job.run_id)])
    with pytest.raises(MissingInput) as caught:
        export_run(store, job.run_id, tmp_path / "it")
    command = shlex.split(re.sub(r".*: (?=stableft run)", "", str(caught.value)))
    assert command[:4] == ["stableft", "run", "adam", "--protocol"]
    for flag, value in {"--arms": "corrected", "--tasks": "toy", "--seeds": "3", "--results": str(store.root)}.items():
        assert command[command.index(flag) + 1] == value
    assert "--keep-weights" in command
    assert "adam.lr=0.0001" in command
