import dataclasses
import hashlib
import json
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from stableft.core.adam_bias import metered_steps
from stableft.core.config import run_id, with_overrides
from stableft.core.errors import MissingInput, NoDevice
from stableft.core.seeds import stream
from stableft.execution import run_job, worker
from stableft.execution.job import Job
from stableft.execution.run_job import run_one
from stableft.models import kernels, layers
from stableft.models.encoders import Encoder
from stableft.storage.store import Store
from tests.conftest import TOY, ConfigFactory


@pytest.fixture
def job(toy_config: ConfigFactory, tiny_encoder: Encoder, tmp_path: Path) -> Job:
    config, data = toy_config(), TOY.load()
    identity = run_id(config, data=data.fingerprint, weights=tiny_encoder.fingerprint)
    return Job(identity, config, tiny_encoder, data, tmp_path)


def test_a_record_says_everything_that_a_reader_needs(job: Job):
    told = []
    record = run_one(job, lambda *event: told.append(event))
    assert record.outcome == "ok"
    assert told
    assert told[0][1] == 24
    assert record.facts["score_split"] == "test"
    assert record.facts["majority_score"] == 0.5
    assert record.facts["num_steps"] == 24
    assert record.provenance["execution"] == {"device": "cpu", "device_name": None, "threads": 1, "packed": True}
    for key in ("git", "packages", "lock", "torch", "hardware", "seconds", "peak_memory_mb", "started"):
        assert record.provenance[key]
    assert record.provenance["attempts"] == 1
    assert "identity" not in record.provenance
    started, ended = (datetime.fromisoformat(record.provenance[f"{end}_utc"]) for end in ("started", "ended"))
    assert started.timestamp() == int(record.provenance["started"])
    assert 0 <= (ended - started).total_seconds() - record.provenance["seconds"] + 1 <= 2
    assert not {"user", "host", "hostname", "node"} & set(map(str, record.provenance["hardware"]))
    per_step = record.metrics.query("split == 'train' and scope == ''").groupby("metric")["step"].agg(list)
    assert set(per_step.index) == {"loss", "lr", "grad_norm", "update_norm", "update_bias", "update_bias_closed_form"}
    by_block = record.metrics.query("split == 'train' and scope != ''").groupby("metric")["step"].agg(set)
    assert by_block.to_dict() == {"distance": {10, 20, 24}, "block_grad_norm": {10, 20, 24}}
    assert per_step["loss"] == list(range(1, 25))
    assert per_step["update_bias"] == metered_steps(24).tolist()[1:]  # the first update is at lr 0
    assert record.predictions.groupby("split")["example"].agg("count").to_dict() == {"validation": 32, "test": 32}
    final = record.metrics.query("metric == 'score' and scope == '' and split == 'test' and step == 24")["value"].item()
    test = record.predictions.query("split == 'test'")
    assert final == np.mean(test["label"] == test["prediction"])
    for row in test.itertuples():
        probabilities = np.asarray(row.probabilities)
        assert probabilities.sum() == pytest.approx(1, abs=1e-6)
        assert int(probabilities.argmax()) == row.prediction


@pytest.mark.parametrize(
    ("precision", "flags", "forced"),
    [("bf16", "avx2 fma", True), ("bf16", "avx512f avx512_bf16", False), ("fp32", "avx2 fma", False)],
)
def test_provenance_says_where_bf16_was_forced(precision: str, flags: str, forced: bool, job: Job, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kernels, "this_processor", lambda: kernels.Processor("AuthenticAMD", frozenset(flags.split())))
    few = with_overrides(job.config, {"precision": precision, "schedule.num_epochs": None, "schedule.num_steps": 1})
    record = run_one(dataclasses.replace(job, config=few))
    assert record.provenance["execution"].get("forced_bf16", False) is forced


def test_provenance_says_which_examples_were_drawn(job: Job):
    config = job.config.model_copy(update={"num_train": 16, "sample_seed": 5})
    config = with_overrides(config, {"evaluation.num_examples": 8})
    runs = [
        run_one(dataclasses.replace(job, config=config.model_copy(update=change)))
        for change in ({}, {"seed": 9}, {"sample_seed": 6})
    ]
    first, same, other = (run.provenance["samples"] for run in runs)
    assert {name: drawn["examples"] for name, drawn in first.items()} == {"train": 16, "validation": 32, "test": 32, "subset": 8}
    assert same == first, "who draws by the same seed draws the same"
    assert other == {**first, "train": other["train"]}
    assert other["train"] != first["train"]
    shuffled = stream(5, "sample").permutation(64)[:16]
    assert first["train"]["ids_sha256"] == hashlib.sha256(np.sort(shuffled).astype("<i8").tobytes()).hexdigest()


def test_provenance_names_the_libraries_of_the_products(job: Job):
    assert run_one(job).provenance["torch"]["products"] == dataclasses.asdict(layers.PRODUCTS)


def test_host_and_user_are_named_only_if_asked_for(job: Job, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("socket.gethostname", lambda: "lab-machine-7")
    monkeypatch.setattr("getpass.getuser", lambda: "somebody")
    assert "lab-machine-7" not in json.dumps(run_one(job).provenance)
    asked = run_one(dataclasses.replace(job, identify=True, attempts=3)).provenance
    assert asked["identity"] == {"host": "lab-machine-7", "user": "somebody"}
    assert asked["attempts"] == 3


def test_an_encoders_folder_loses_those_above_it(job: Job):
    mine = dataclasses.replace(job.encoder, name="/home/somebody/models/tiny/")
    config = job.config.model_copy(update={"encoder": mine.name})
    for identify, name in ((False, "./tiny"), (True, mine.name)):
        record = run_one(dataclasses.replace(job, config=config, encoder=mine, identify=identify))
        assert record.config == {**config.model_dump(mode="json"), "encoder": name}
    assert [dataclasses.replace(mine, name=name).anonymous_name for name in ("minilm-l6", "org/bert", "bert")] == [
        "minilm-l6",
        "org/bert",
        "bert",
    ]


def test_the_same_job_gives_the_same_record_and_survives_storage(job: Job):
    first, second = run_one(job), run_one(job)
    store = Store(job.results)
    store.write(second)
    stored = store.read(job.run_id)
    for frame in (second.metrics, stored.metrics):
        np.testing.assert_array_equal(frame["value"].to_numpy(), first.metrics["value"].to_numpy())


def test_padded_and_packed_runs_of_one_seed_agree_without_dropout(job: Job):
    config = job.config.model_copy(update={"dropout": 0.0})
    runs = [run_one(dataclasses.replace(job, config=config, packed=packed)) for packed in (True, False)]
    losses = [run.metrics.query("split == 'train' and metric == 'loss'")["value"].to_numpy() for run in runs]
    np.testing.assert_allclose(losses[0], losses[1], atol=2e-5)


def test_a_missing_device_is_refused_in_one_sentence(job: Job):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(NoDevice, match=r"cuda:0.*no CUDA device"):
        run_one(dataclasses.replace(job, device="cuda:0"))


@pytest.mark.parametrize(
    ("device", "message"),
    [("cuda:2", r"device cuda:2: this torch \(.*\) sees 2 CUDA devices here"), ("gpu", "knows no such device")],
)
def test_devices_beyond_those_that_are_there(job: Job, monkeypatch: pytest.MonkeyPatch, device: str, message: str):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(NoDevice, match=message):
        run_one(dataclasses.replace(job, device=device))


def test_seconds_are_not_of_the_wall_clock(job: Job, monkeypatch: pytest.MonkeyPatch):
    """It is set back by an hour at each look."""
    looks = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: float(next(looks)))
    assert 0 < run_one(job).provenance["seconds"] < 600


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (MissingInput("no data"), ("refused", "no data")),
        (NoDevice("no GPU"), ("device", "no GPU")),
        (OSError(28, "No space left on device"), ("io", "OSError: [Errno 28] No space left on device")),
        (OSError(5, "Input/output error"), ("crashed", "OSError: [Errno 5] Input/output error")),
        (RuntimeError("boom"), ("crashed", "RuntimeError: boom")),
    ],
)
def test_errors_become_answers(job: Job, monkeypatch: pytest.MonkeyPatch, error: Exception, answer: tuple[str, str]):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(run_job, "run_one", fail)
    assert worker._reply(job, Store(job.results), lambda *_: None) == answer


def test_output_of_a_run_goes_to_its_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    import os

    with worker.output_to(tmp_path / "logs" / "x.log"):
        os.write(1, b"from native code\n")
    os.write(1, b"outside\n")
    assert (tmp_path / "logs" / "x.log").read_text() == "from native code\n"
    assert capfd.readouterr().out == "outside\n"
