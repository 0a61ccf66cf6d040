"""Golden values: what each named stream gives to its users, and how a short run of each kind goes.

Tolerances leave room for other processors. Where a value changes, no run that was recorded can be
repeated: a change to undo, or to answer for by raising `stableft.core.config.IDENTITY_SCHEMA`. Each
stream of a run has another seed here, so that none can stand in for another.
"""

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from experiments.protocol import SMOKE
from stableft.core.config import RunConfig, SurfaceConfig, with_overrides
from stableft.core.technique import Technique, all_techniques
from stableft.models.encoders import Encoder
from stableft.models.layers import DropoutStream, MixedLinear
from stableft.models.packed_attention import layout, packed_attention
from stableft.models.tokens import Batch, Data, encode
from stableft.storage.kept_probabilities import kept_examples
from stableft.tasks import Example, TaggedExample, clue, doccode, docread, docs, ner
from stableft.tasks.catalog import get_task
from stableft.tasks.user_splits import divide
from stableft.techniques.bitfit import BitFit
from stableft.techniques.child_tuning import ChildTuning
from stableft.techniques.freeze import Freeze
from stableft.techniques.grouped_llrd import GroupedLLRD
from stableft.techniques.head_lr import HeadLR
from stableft.techniques.intermediate import Intermediate
from stableft.techniques.llrd import LLRD
from stableft.techniques.lora import LoRA
from stableft.techniques.lr_shape import LRShape
from stableft.techniques.mixout import Mixout
from stableft.techniques.pretrained_weight_decay import PretrainedWeightDecay
from stableft.techniques.radam import RAdam
from stableft.techniques.rdrop import RDrop
from stableft.techniques.reinit import Reinit
from stableft.techniques.sam import SAM
from stableft.techniques.smart import Smart
from stableft.techniques.swa import SWA
from stableft.training.evaluation import MetricRow, evaluation_subset
from stableft.training.loop import train
from stableft.training.runtime import Runtime
from stableft.training.setup import Setup
from stableft.training.surface import Surface
from tests.helpers import trials

SEEDS = {"seed": 1, "sample_seed": 2, "init_seed": 3, "order_seed": 4, "dropout_seed": 5, "reinit_seed": 6}
SHORT = {**SEEDS, "num_train": 40, "schedule.num_epochs": None, "schedule.num_steps": 12, "evaluation.every": 12}

Prepared = Callable[..., tuple[RunConfig, Setup, Data]]


@pytest.fixture(scope="module")
def prepared(tiny_encoder: Encoder) -> Prepared:
    """A short run of the smoke protocol before its first step: 12 batches of 8 from 40 examples."""
    data: dict[str, Data] = {}

    def prepared(task: str = "toy", **changes: Any) -> tuple[RunConfig, Setup, Data]:
        config = with_overrides(SMOKE.configs[task], {**SHORT, **changes})
        if task not in data:
            data[task] = encode(get_task(task), get_task(task).load(), tiny_encoder, config.max_length)
        return config, trials.prepare(config, tiny_encoder, data[task]), data[task]

    return prepared


def first(values: Tensor) -> list[float]:
    return values.detach().flatten()[:4].tolist()


def close(values: list[float]) -> Any:
    """Up to the last bits, which a processor's logarithm and cosine decide."""
    return pytest.approx(values, rel=1e-6, abs=1e-8)


def zeros(values: Tensor) -> list[int]:
    """Where the first zeros are."""
    return (values == 0).flatten().nonzero().flatten()[:12].tolist()


# --- the streams of a run ------------------------------------------------------------------------------------------------------


def test_the_sample(prepared: Prepared) -> None:
    _, setup, _ = prepared(num_train=20)
    assert setup.train_indices.tolist() == [2, 4, 11, 12, 15, 16, 18, 19, 22, 27, 31, 32, 33, 41, 42, 44, 53, 56, 59, 60]


def test_the_head(prepared: Prepared) -> None:
    _, setup, _ = prepared()
    assert first(setup.model.head.weight) == close([0.0147103555, -0.0401190892, 0.0100798886, 0.00107219303])


def test_the_head_of_a_tagger(prepared: Prepared) -> None:
    head = prepared("toytag")[1].model.head
    assert first(head.forwards.weight_ih_l0) == close([-0.0192292482, 0.0615699664, 0.00790949166, -0.0496620834])
    assert first(head.crf.transitions) == close([-0.0874268040, 0.0774163753, 0.0830735341, -0.0961089059])


def test_the_order_and_the_dropout_masks(prepared: Prepared) -> None:
    """As the modules of the model see them: nothing of the loop is replaced."""
    _config, setup, data = prepared()
    tokens = data.splits["train"]
    numbers = {tuple(ids): number for number, ids in enumerate(np.split(tokens.ids, tokens.offsets[1:-1]))}
    batches: list[list[int]] = []
    dropped: dict[str, list[int]] = {}

    def see_batch(model: nn.Module, inputs: tuple[Batch]) -> None:
        if model.training:
            (batch,) = inputs
            batches.append([numbers[tuple(ids.tolist())] for ids in batch.ids.split(batch.lengths)])

    def see_mask(dropout: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        dropped.setdefault(names[dropout], zeros(output))

    setup.model.register_forward_pre_hook(see_batch)
    names: dict[nn.Module, str] = {module: name for name, module in setup.model.named_modules() if isinstance(module, nn.Dropout)}
    for dropout in names:
        dropout.register_forward_hook(see_mask)
    trials.run(setup, data)
    assert batches[:6] == [
        [36, 13, 16, 18, 49, 34, 38, 57],
        [19, 50, 4, 12, 44, 35, 24, 33],
        [21, 11, 15, 27, 60, 26, 55, 2],
        [28, 22, 6, 56, 20, 5, 53, 59],
        [9, 32, 8, 31, 17, 41, 42, 48],
        [48, 20, 12, 31, 57, 60, 28, 50],
    ]
    assert dropped == {
        "encoder.embeddings.dropout": [5, 11, 16, 23, 45, 48, 86, 100, 108, 123, 128, 146],
        "encoder.encoder.layer.0.attention.output.dropout": [3, 8, 12, 29, 51, 54, 65, 81, 87, 91, 97, 110],
        "encoder.encoder.layer.0.output.dropout": [24, 31, 36, 41, 51, 62, 75, 102, 115, 127, 138, 167],
        "encoder.encoder.layer.1.attention.output.dropout": [2, 10, 12, 13, 14, 32, 44, 81, 84, 94, 106, 128],
        "encoder.encoder.layer.1.output.dropout": [4, 22, 35, 39, 42, 52, 60, 62, 66, 72, 78, 95],
        "dropout": [7, 28, 33, 46, 60, 62, 71, 78, 97, 103, 121, 159],
    }
    (stream,) = setup.model.streams().values()
    assert stream.get_state().tolist() == [233596000216454908, 4690917417509325671, -6056868611974541015, 50389]


def test_the_dropout_masks_of_attention() -> None:
    """How many of the tokens that each token reads are kept, in two groups of sequences."""
    lengths = [4, 80, 6, 100]
    plan = layout(lengths, stream=DropoutStream(0))
    same, ones = torch.zeros(1, 1, sum(lengths), 4), torch.ones(1, 1, sum(lengths), 4)
    mixed, _ = packed_attention(nn.Identity(), same, same, ones, None, dropout=0.5, packed=plan)
    parts = zip(mixed[0, :, 0, 0].split(lengths), lengths, strict=True)
    kept = [(part * length / 2).round().int().tolist() for part, length in parts]
    assert len(plan.groups) == 2
    assert kept[0] == [1, 2, 2, 3]
    assert kept[1][:12] == [35, 40, 38, 51, 41, 39, 42, 37, 38, 42, 42, 45]
    assert kept[2] == [1, 3, 3, 3, 5, 2]
    assert kept[3][:12] == [51, 45, 51, 45, 53, 47, 50, 61, 49, 55, 45, 53]


def test_the_seed_of_torchs_generator(prepared: Prepared) -> None:
    """From which the padded engine and GPUs draw; what it gives differs between devices."""
    _config, setup, data = prepared()
    next(train(setup, data, Runtime()))
    assert torch.initial_seed() == 2021452666412278086


def test_weights_drawn_anew(prepared: Prepared) -> None:
    _, setup, _ = prepared(techniques=(Reinit(num_layers=1),))
    weights = trials.state(setup)
    assert first(weights["encoder.pooler.dense.weight"]) == close([-0.00528302416, 0.0286892242, -0.0298929009, -0.0183800571])
    block = first(weights["encoder.encoder.layer.1.attention.self.query.weight"])
    assert block == close([0.0372651145, 0.0350492634, 0.0133963246, 0.000613932265])


def test_masks_of_mixout(prepared: Prepared) -> None:
    _, setup, _ = prepared(techniques=(Mixout(p=0.5),))
    layers = {name: layer for name, layer in setup.model.named_modules() if isinstance(layer, MixedLinear)}
    masks = {}
    with torch.no_grad():
        for name, layer in layers.items():
            layer.weight.add_(1)
            masks[name] = zeros((layer.mixed() - layer.target)[0])
    assert len(masks) == 13
    assert masks["encoder.encoder.layer.0.attention.self.query"] == [0, 4, 5, 6, 8, 9, 10, 11, 14, 19, 22, 24]
    assert masks["encoder.encoder.layer.1.output.dense"] == [1, 8, 11, 12, 13, 14, 15, 18, 19, 20, 24, 29]
    assert masks["encoder.pooler.dense"] == [0, 4, 5, 8, 12, 15, 16, 18, 20, 21, 22, 25]


def test_streams_of_techniques(prepared: Prepared) -> None:
    _, setup, _ = prepared(techniques=(ChildTuning(p=0.3), LoRA(rank=2), Smart()))
    masks, noise = setup.streams["child_tuning"], setup.streams["smart"]
    assert isinstance(masks, DropoutStream)
    assert isinstance(noise, torch.Generator)
    assert zeros(masks.mask(torch.Size([40]), 0.7)) == [4, 5, 6, 7, 9, 10, 13, 14, 15, 16, 17, 18]
    assert first(torch.randn(4, generator=noise)) == close([0.427637190, 1.06632841, -0.599611878, 0.666668236])
    drawn = setup.model.get_parameter("encoder.encoder.layer.1.attention.self.query.lora_a")
    assert first(drawn) == close([-0.151723579, -0.0669013783, 0.0444283634, -0.0389469117])


# --- the streams that are the same for every run -------------------------------------------------------------------------------


def test_the_examples_of_frequent_points(prepared: Prepared) -> None:
    classes, scores = (evaluation_subset(prepared(task)[2], 12) for task in ("toy", "toyscore"))
    assert classes is not None
    assert scores is not None
    assert classes.tolist() == [2, 5, 7, 12, 15, 16, 21, 22, 27, 28, 29, 30]
    assert scores.tolist() == [2, 5, 7, 12, 16, 21, 22, 26, 27, 28, 29, 30]


def test_the_examples_of_a_surface(prepared: Prepared) -> None:
    settings = SurfaceConfig(bias_correction=False, num_examples=12)
    _, setup, _ = prepared(surface=settings.model_dump())
    examples = Surface(setup.model, settings, setup.train_indices, setup.sources["surface"]).examples
    assert examples.tolist() == [5, 6, 11, 19, 21, 27, 28, 35, 36, 48, 53, 57]


def test_the_examples_of_kept_probabilities() -> None:
    assert np.flatnonzero(kept_examples(10_000))[:12].tolist() == [1, 3, 16, 18, 25, 27, 28, 29, 33, 34, 35, 38]


def test_the_splits_of_an_own_file() -> None:
    validation, test = ([i for i, split in enumerate(divide(None, 40)) if split == name] for name in ("validation", "test"))
    assert validation == [19, 24, 27, 32]
    assert test == [1, 10, 21, 28]


def test_the_training_titles_of_tnews() -> None:
    titles = [Example(str(i), None, 0) for i in range(1012)]
    left = [int(example.text) for example in clue.draw(titles)[1]]
    assert left == [42, 82, 206, 492, 526, 602, 625, 765, 791, 817, 848, 977]


def test_the_halves_of_cluener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STABLEFT_DATA", str(tmp_path))
    (tmp_path / "cluener").mkdir()
    for name in ("train", "dev"):
        lines = [json.dumps({"text": str(i), "label": {}}) for i in range(20)]
        (tmp_path / "cluener" / f"{name}.json").write_text("\n".join(lines), encoding="utf-8")
    half = [int("".join(example.words)) for example in ner.load_cluener().validation]
    assert half == [0, 1, 3, 4, 11, 12, 14, 15, 16, 19]


def test_the_texts_of_the_tasks_from_docstrings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of what was found: the packages are not read."""
    monkeypatch.setattr(docs, "DOCS15_TRAIN", 15)
    monkeypatch.setattr(docs, "VALIDATION_PER_TOPIC", 1)
    monkeypatch.setattr(docs, "_topic_pools", lambda: {topic: list("abcdef") for topic in docs.TOPICS})
    monkeypatch.setattr(docs, "DOCPAIR_SIZES", (8, 4, 4))
    monkeypatch.setattr(docs, "_pair_groups", lambda: [[(f"{i} {j}", f"of {i} {j}!") for j in "abcd"] for i in range(10)])
    for module in (docread, doccode):
        monkeypatch.setattr(module, "SIZES", (12, 4, 4))
    monkeypatch.setattr(docread, "read_paragraphs", lambda sources: [f"{i}." for i in range(20)])
    monkeypatch.setattr(doccode, "read_sentences", lambda sources: [TaggedExample((str(i),), (0,)) for i in range(20)])
    assert "".join(example.text for example in docs.load_docs15().train) == "affaaddbcfedcca"
    assert [(example.text, example.pair) for example in docs.load_docpair().train[:4]] == [
        ("of 4 c!", "4 a"),
        ("of 4 b!", "4 b"),
        ("of 3 b!", "3 c"),
        ("of 8 a!", "8 a"),
    ]
    assert [int(example.text[:-1]) for example in docread.load_docread().train] == [4, 12, 13, 0, 3, 16, 11, 1, 9, 17, 19, 8]
    assert [int(example.words[0]) for example in doccode.load_doccode().train] == [8, 2, 18, 9, 7, 4, 13, 0, 1, 5, 19, 15]


# --- short runs ----------------------------------------------------------------------------------------------------------------

TECHNIQUES: Sequence[Technique] = (
    Intermediate(task="toyscore", num_steps=4),
    Reinit(num_layers=1),
    Mixout(p=0.5),
    GroupedLLRD(),
    HeadLR(scale=2.0),
    LLRD(decay=0.5),
    PretrainedWeightDecay(weight_decay=1.0),
    SWA(start_step=2, scale=0.5),
    BitFit(),
    Freeze(thaw_steps=3),
    LoRA(rank=2),
    RDrop(alpha=1.0),
    Smart(),
    ChildTuning(p=0.3),
    SAM(rho=0.05),
    RAdam(),
    LRShape(shape="cosine"),
)
RUNS: Mapping[str, Mapping[str, Any]] = {
    "corrected": {},
    "uncorrected": {"adam.bias_correction": False},
    "weight decay": {"adam.weight_decay": 1.0},
    "regression": {"task": "toyscore"},
    "tagging": {"task": "toytag", "schedule.num_steps": 24, "evaluation.every": 24},
    **{technique.name: {"techniques": (technique,)} for technique in TECHNIQUES},
}
STEPS = (2, 4, 8, 12)
# Training losses of these steps, then loss and score on the validation split at the end: of the
# averaged weights, where there are any.
TRAJECTORIES: Mapping[str, Sequence[float]] = {
    "corrected": [0.692211, 0.682574, 0.713097, 0.644641, 0.695541, 0.5],
    "uncorrected": [0.692211, 0.707685, 0.731286, 0.655447, 0.695065, 0.5],
    "weight decay": [0.692211, 0.682659, 0.712677, 0.645682, 0.695436, 0.5],
    "regression": [9.622647, 4.640084, 4.251408, 4.489358, 4.538035, 0.258141],
    "tagging": [19.484663, 17.270222, 14.556681, 12.327325, 6.261964, 0.857143],
    "intermediate": [0.684529, 0.674784, 0.721615, 0.628333, 0.69718, 0.5],
    "reinit": [0.691683, 0.683371, 0.706703, 0.649973, 0.694978, 0.5],
    "mixout": [0.692211, 0.684545, 0.712501, 0.648444, 0.695092, 0.5],
    "grouped_llrd": [0.692211, 0.682863, 0.713735, 0.643778, 0.695779, 0.5],
    "head_lr": [0.692211, 0.682258, 0.715056, 0.641133, 0.69596, 0.5],
    "llrd": [0.692211, 0.6831, 0.713664, 0.644109, 0.69583, 0.5],
    "pretrained_weight_decay": [0.692211, 0.682586, 0.713042, 0.644804, 0.695525, 0.5],
    "swa": [0.692211, 0.682574, 0.714543, 0.64032, 0.695362, 0.5],
    "bitfit": [0.692211, 0.68792, 0.704445, 0.668294, 0.693834, 0.5],
    "freeze": [0.692211, 0.683465, 0.713842, 0.640172, 0.696377, 0.5],
    "lora": [0.692211, 0.688343, 0.703546, 0.670766, 0.693712, 0.5],
    "rdrop": [0.692667, 0.681482, 0.713238, 0.646847, 0.695439, 0.5],
    "smart": [0.68973, 0.681218, 0.705944, 0.646653, 0.695484, 0.5],
    "child_tuning": [0.692211, 0.686798, 0.70611, 0.66142, 0.694162, 0.5],
    "sam": [0.692211, 0.685314, 0.702152, 0.673351, 0.693505, 0.5],
    "radam": [0.692211, 0.691125, 0.698195, 0.686328, 0.693205, 0.5],
    "lr_shape": [0.692211, 0.682702, 0.713642, 0.643945, 0.695502, 0.5],
}
# Relative. Instruction sets of one processor differ by up to 3e-7; what is written above is
# rounded by up to 8e-7.
TOLERANCE = 2e-5


def summary(rows: Sequence[MetricRow]) -> list[float]:
    found = {(row.step, row.split, row.metric, row.scope): row.value for row in rows}
    last = rows[-1].step
    scope = "average" if (last, "validation", "loss", "average") in found else ""
    losses = [found[step, "train", "loss", ""] for step in STEPS]
    return [*losses, found[last, "validation", "loss", scope], found[last, "validation", "score", scope]]


@pytest.mark.parametrize("name", RUNS)
def test_a_short_run(prepared: Prepared, name: str) -> None:
    _config, setup, data = prepared(**RUNS[name])
    *losses, score = summary(trials.run(setup, data).rows)
    assert losses == pytest.approx(TRAJECTORIES[name][:-1], rel=TOLERANCE)
    assert score == pytest.approx(TRAJECTORIES[name][-1], abs=0.01)  # ranks of predictions that nearly tie may change


def test_each_technique_has_a_short_run() -> None:
    assert {technique.name for technique in TECHNIQUES} == set(all_techniques())


def test_no_short_run_passes_for_another() -> None:
    for one, other in itertools.combinations(TRAJECTORIES.values(), 2):
        assert np.abs(np.subtract(one, other)[:-1] / one[:-1]).max() > 5 * TOLERANCE
