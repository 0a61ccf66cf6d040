"""The 24 pitfalls of the reference codes and papers (protocol section 8), one test for each; `docs/pitfalls.md` is the table.

Z: Zhang et al. (2021). M: Mosbach et al. (2021). D: Dodge et al. (2020). JM: the independent replication of Z.
"""

import dataclasses
import importlib.metadata
import math
import re
from collections.abc import Mapping
from functools import reduce
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from experiments.protocol import GLUE_1K, GLUE_DEV, GLUE_SMALL, LAPTOP, MOSBACH, PAPER, RTE, SMALL, TNEWS
from stableft import statistics
from stableft.core.config import RunConfig, field_names, run_id
from stableft.core.experiments import all_grids
from stableft.core.grid import Grid, select
from stableft.core.schedule import evaluation_steps, schedule_steps
from stableft.core.seeds import stream
from stableft.models import token_cache
from stableft.models.encoders import Encoder
from stableft.models.layers import DropoutStream, MixedLinear
from stableft.models.model import Model
from stableft.models.tokens import Data, Tokens, encode, epochs
from stableft.reporting import run_scores
from stableft.reporting.tables import checkpoint_scores, score_summary
from stableft.storage.records import Results
from stableft.tasks import Example, TaskData, glue, stratified_halves
from stableft.tasks.scores import SCORES
from stableft.techniques.mixout import Mixout
from stableft.techniques.pretrained_weight_decay import PretrainedWeightDecay
from stableft.techniques.reinit import Reinit
from stableft.training import loop
from stableft.training.best_checkpoint import BestCheckpoint
from stableft.training.evaluation import MetricRow, Predictions, Scorer
from stableft.training.optimizer import AdamW
from stableft.training.runtime import Runtime
from stableft.training.setup import build
from tests.conftest import TOY, ConfigFactory
from tests.helpers import synthetic, trials
from tests.suite.test_import_rules import imports, sources

STEPS = "schedule.num_steps"
FOUR_STEPS = {"schedule.num_epochs": None, "schedule.num_steps": 4, "schedule.warmup_ratio": 0.0, "evaluation.every": 4}
GLUE = {task.name: task for task in glue.TASKS}


class Watched(AdamW):
    """Notes at each step what it is given: the rate of each group, and the gradient's norm, whole and of each tensor."""

    seen: ClassVar[list["Watched"]] = []

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.rates: list[set[float]] = []
        self.norms: list[tuple[float, list[float]]] = []
        self.seen.append(self)

    def step(self, closure: Any = None) -> Any:
        self.rates.append({group["lr"] for group in self.param_groups})
        norms = [float(p.grad.norm()) for group in self.param_groups for p in group["params"] if p.grad is not None]
        self.norms.append((math.hypot(*norms), norms))
        return super().step(closure)


@dataclasses.dataclass
class Watcher:
    """Runs the toy task, and keeps what the run leaves."""

    config: ConfigFactory
    encoder: Encoder
    data: Data

    def __call__(self, overrides: Mapping[str, Any] | None = None, /, **top: Any) -> trials.Trial:
        config = self.config(overrides, **top)
        self.setup = trials.prepare(config, self.encoder, self.data)
        self.start = trials.state(self.setup)
        found = trials.run(self.setup, self.data)
        self.optimizer = Watched.seen[-1]
        return found


@pytest.fixture
def watch(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data, monkeypatch: pytest.MonkeyPatch) -> Watcher:
    monkeypatch.setattr(loop, "AdamW", Watched)
    monkeypatch.setattr(Watched, "seen", [])
    return Watcher(toy_config, lively_encoder, toy_data)


def series(trial: trials.Trial, metric: str, split: str = "train", scope: str = "") -> list[float]:
    return [row.value for row in trial.rows if (row.metric, row.split, row.scope) == (metric, split, scope)]


@pytest.fixture(scope="module")
def package(project: Path) -> dict[str, str]:
    return sources(project, "stableft", "experiments")


# --- reference code of Z -------------------------------------------------------------------------------------------------------


def test_p01_the_best_checkpoint_is_evaluated_with_its_own_weights(
    toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data
) -> None:
    """Apex evaluated stale fp16 copies after the best weights were loaded. Also in bf16 restored weights say what they said."""
    config = toy_config(precision="bf16")
    model = trials.prepare(config, lively_encoder, toy_data).model
    best = BestCheckpoint(model.parameters())

    def outputs() -> np.ndarray:
        return Scorer(config, toy_data, Runtime()).evaluate(model, "validation", np.arange(32))[1]

    then = outputs()
    best.offer(1, 0.5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    last = outputs()
    with best.restored():
        np.testing.assert_array_equal(outputs(), then)
    np.testing.assert_array_equal(outputs(), last)
    assert (last != then).any()


def test_p02_plain_weight_decay_is_applied(watch: Watcher) -> None:
    """The wrapper set every group's decay to 0. A weight that no text reads shrinks here by lr lambda at each step."""
    unread = "encoder.embeddings.token_type_embeddings.weight"  # its second row: single texts have one segment
    watch({**FOUR_STEPS, "adam.lr": 0.1, "adam.weight_decay": 0.5})
    factor = math.prod(1 - 0.5 * 0.1 * share for share in (1, 0.75, 0.5, 0.25))
    torch.testing.assert_close(watch.setup.model.get_parameter(unread)[1].detach(), watch.start[unread][1] * factor)


def test_p03_fresh_weights_do_not_decay_toward_their_random_start(watch: Watcher) -> None:
    """A comparison that was never true left the classifier in. Here what has no pre-trained value has nothing to decay toward."""
    watch(FOUR_STEPS, techniques=(PretrainedWeightDecay(weight_decay=1.0), Reinit(num_layers=1)))
    anchored = {p for group in watch.setup.groups if group.decay_to for p in group.params}
    fresh = {watch.setup.model.get_parameter(name) for name in watch.setup.fresh}
    assert anchored
    assert not anchored & fresh
    assert {*watch.setup.model.head.parameters()} <= fresh


def test_p04_the_best_weights_are_copies() -> None:
    """``.cpu().detach()`` is no copy on a CPU, so that best was last. Here they are cloned."""
    parameter = nn.Parameter(torch.ones(3))
    best = BestCheckpoint([parameter])
    best.offer(1, 0.5)
    with torch.no_grad():
        parameter.fill_(7.0)
    with best.restored():
        assert parameter.tolist() == [1.0] * 3
    assert parameter.tolist() == [7.0] * 3


def test_p05_a_run_has_the_steps_it_says(watch: Watcher) -> None:
    """``--max_steps`` ran one step more, at rate 0; ten loggings were eleven. Here T steps are T; points are T's tenths and T."""
    trial = watch({**FOUR_STEPS, "evaluation.every": None, "evaluation.num_points": 3})
    assert len(watch.optimizer.rates) == len(trial.losses) == 4
    assert min(series(trial, "lr")) > 0
    ten = watch.config({"evaluation.every": None, "evaluation.num_points": 10})
    assert evaluation_steps(ten, 234, 2490) == (*range(23, 231, 23), 234), "eleven, as the source's logs have, none twice"
    assert len(evaluation_steps(ten, 540, 5749)) == 10


def test_p06_what_is_random_has_a_stream_of_its_own(watch: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """One generator served all, so that evaluating or redrawing a block changed the data's order. Here it changes nothing."""
    order: list[list[int]] = []
    batch = Tokens.batch

    def spy(self: Tokens, indices: Any, device: str = "cpu") -> Any:
        if len(self) == 64:  # the training split
            order.append(np.asarray(indices).tolist())
        return batch(self, indices, device)

    monkeypatch.setattr(Tokens, "batch", spy)
    ten_steps = {**FOUR_STEPS, "schedule.num_steps": 10}  # into the second epoch
    rare, often = (watch({**ten_steps, "evaluation.every": every}, dropout=0.1) for every in (10, 1))
    assert [row for row in rare.rows if row.split == "train"] == [row for row in often.rows if row.split == "train"]
    for technique in (Reinit(num_layers=1), Mixout(p=0.5)):
        watch(ten_steps, techniques=(technique,))
    assert len(order) == 40
    assert order[:10] == order[10:20] == order[20:30] == order[30:]


def test_p07_no_step_is_skipped(watch: Watcher, package: Mapping[str, str]) -> None:
    """With fp16 the first steps overflowed: the schedule went on and Adam's t did not. bf16 needs no scaling of the loss."""
    assert get_args(RunConfig.model_fields["precision"].annotation) == ("fp32", "tf32", "bf16")
    for name, text in package.items():
        assert not re.search("GradScaler|float16(?<!bfloat16)|half\\(\\)", text), name
    watch(FOUR_STEPS, precision="bf16")
    assert {int(state["step"]) for state in watch.optimizer.state.values()} == {4}


def test_p08_a_smaller_training_set_leaves_the_other_splits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags that cut the training set also changed the scored examples, on STS-B into the training examples. Here they can't."""

    def examples(split: str, n: int, number: float) -> tuple[Example, ...]:
        return tuple(Example(f"{split} {i}", None, i % 2 * number) for i in range(n))

    monkeypatch.setattr(glue, "NUM_TRAIN", 6)
    monkeypatch.setattr(glue, "_read", lambda entry: (examples("train", 20, 1), examples("dev", 10, 1)))
    for name in ("rte", "mrpc", "stsb", "cola"):
        whole, cut = GLUE[name].load(), GLUE[f"{name}_1k"].load()
        assert (cut.validation, cut.test) == (whole.validation, whole.test)
        assert len(cut.train) == 6
    for name in ("sst2_1k", "qnli_1k", "stsb_1k"):
        cut = GLUE[name].load()
        splits = [{example.text for example in split} for split in (cut.train, cut.validation, cut.test)]
        assert len(set().union(*splits)) == sum(map(len, splits)), "no example is in two splits"
    parts = {"task": "rte", "weights": "w", "max_length": 128}  # and cached tokens are named by the data they are of
    assert token_cache.key(**parts, data="all") != token_cache.key(**parts, data="cut")


def test_p09_a_batch_is_one_update(watch: Watcher) -> None:
    """An odd micro-batch left its gradient to the next epoch, and T was 801 for 804. Here nothing is accumulated."""
    assert not [name for name in field_names() if "accum" in name]
    cola = watch.config(batch_size=32)
    assert schedule_steps(cola, 8551) == (804, 80)
    watch(FOUR_STEPS, batch_size=48)  # the second batch of each epoch has 16
    assert all(p.grad is None for p in watch.setup.model.parameters())
    assert len(watch.optimizer.rates) == 4


def test_p10_checkpoints_are_chosen_by_the_score_that_is_reported(watch: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """MRPC's were chosen by accuracy and reported by F1, and a constant's correlation was NaN. Here one score is both, NaN is 0."""
    offered: list[float] = []
    monkeypatch.setattr(BestCheckpoint, "offer", lambda self, step, score: offered.append(score))
    watch.data = dataclasses.replace(watch.data, task=dataclasses.replace(TOY, score="f1", metrics=("accuracy",)))
    trial = watch({**FOUR_STEPS, "evaluation.every": 1})
    assert offered == series(trial, "f1", "validation") == series(trial, "score", "validation")
    assert offered != series(trial, "accuracy", "validation")
    assert (GLUE["mrpc"].score, GLUE["mrpc"].metrics) == ("f1", ("accuracy",))
    for name in ("spearman", "pearson"):
        assert SCORES[name].compute([0.0, 1.0, 2.0], [3.0, 3.0, 3.0]) == 0
        assert SCORES[name].compute([0.0, 1.0, 2.0], [3.0, math.nan, 2.0]) == 0


def test_p11_mixouts_gradient_is_the_derivative_and_its_target_moves_along(watch: Watcher) -> None:
    """Backward left out 1 / (1 - p), and the target stayed on the CPU. Here it is the derivative, and the target a buffer."""
    torch.manual_seed(0)
    layer = nn.Linear(6, 3, dtype=torch.float64)
    mixed = MixedLinear(layer, 0.5, DropoutStream(3))
    mask = DropoutStream(3).mask((6,), 0.5).double()
    x, c = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 3, dtype=torch.float64)
    (mixed(x) * c).sum().backward()
    assert set(mask.tolist()) == {0.0, 2.0}, "1 / (1 - p) where the learnt weight stays"
    torch.testing.assert_close(mixed.weight.grad, c.T @ x * mask)
    assert mixed.to("meta").get_buffer("target").device.type == "meta"
    assert "the same for all outputs" in Mixout.card()["Definition"], "the mask is of inputs, and the card says so"


def test_p12_a_loss_is_the_mean_over_examples(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """It was the mean over batches, the last and smaller one weighing as much. Here batches play no part."""
    config = toy_config({**FOUR_STEPS, "dropout": 0.0})
    found = []
    for tokens in (50, 4096):
        runtime = Runtime(evaluation_tokens=tokens)
        items = list(loop.train(build(config, toy_data, lively_encoder, runtime), toy_data, runtime))
        (loss,) = (i.value for i in items if isinstance(i, MetricRow) and i[1:4] == ("validation", "loss", ""))
        (said,) = (i for i in items if isinstance(i, Predictions) and i.split == "validation")
        assert loss == pytest.approx(-np.log(said.probabilities[np.arange(32), said.labels.astype(int)]).mean(), abs=1e-5)
        found.append(loss)
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_p13_nothing_relies_on_what_upstream_removed(package: Mapping[str, str], project: Path) -> None:
    """Two files named two versions of transformers, and apex and its AdamW are gone. Here one lock pins what is installed."""
    gone = {"apex", "transformers.AdamW", "transformers.BertAdam", "transformers.glue_processors", "torch.cuda.amp"}
    for name, text in package.items():
        assert not {target for target in imports(text) if target in gone or target.split(".")[0] == "apex"}, name
        assert "BertLayerNorm" not in text
    pins = [line for line in (project / "requirements.lock").read_text(encoding="utf-8").splitlines() if line.startswith("transf")]
    assert pins == [f"transformers=={importlib.metadata.version('transformers')}"]


# --- the papers ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "sizes"),
    [
        ((146, 131), (138, 139)),  # RTE
        ((279, 129), (203, 205)),  # MRPC
        ((721, 322), (521, 522)),  # CoLA
        ((*[1] * 31, *[3] * 24, 7, *[62] * 21, 88), (722, 778)),  # STS-B: 78 distinct scores, 31 of them once
    ],
    ids=["rte", "mrpc", "cola", "stsb"],
)
def test_p14_sizes_are_those_of_the_rule_not_of_the_table(counts: tuple[int, ...], sizes: tuple[int, int]) -> None:
    """Tables of Z contradict each other and the code, as 690 + 690 for STS-B's 1,500. Here the code's rule gives the splits."""
    labels = [label for label, n in enumerate(counts) for _ in range(n)]
    assert tuple(map(len, stratified_halves(labels))) == sizes
    assert "/".join(map(str, sizes)) in (glue.__doc__ or "").replace("\n", " "), "and the deviation is written down"


def test_p15_arms_are_compared_seed_by_seed() -> None:
    """A spread over seeds is no sampling error, and the split is the same for all. What a seed does to both arms cancels here."""
    results = synthetic.grid(diverged=False)
    shifted = results.metrics.assign(value=results.metrics["value"] + 0.2 * results.metrics["seed"])
    one, other = (
        score_summary.table(Results(results.runs, metrics, results.predictions)).query("arm == 'uncorrected'")
        for metrics in (results.metrics, shifted)
    )
    for column in ("difference", "low", "high", "p"):
        np.testing.assert_allclose(other[column], one[column], atol=1e-12)
    assert (other["std"] > 2 * one["std"]).all()


def setting(config: RunConfig, name: str) -> object:
    return reduce(getattr, name.split("."), config)


@pytest.mark.parametrize("grid", list(all_grids()), ids=lambda grid: f"{grid.name}-{grid.protocol.name}")
def test_p16_no_arm_is_tuned_to_a_task(grid: Grid) -> None:
    """Re-init's depth was chosen for each task on validation, nothing of Standard was. Here an arm is the same on all tasks.

    What an arm sets has one value, and all else is the task's baseline. Only a number of steps may follow from a task's size.
    """
    values: dict[str, set[str]] = {}
    for cell in select(grid, seeds=None if grid.square else grid.seeds[:1]).cells():
        of_arm = [name for name in grid.arms[cell.arm] if name != STEPS]
        values.setdefault(cell.arm, set()).add(repr([setting(cell.config, name) for name in of_arm]))
        base = grid.protocol.configs[cell.task]
        changed = {name for name in field_names() if setting(cell.config, name) != setting(base, name)}
        assert changed <= {*of_arm, "seed", STEPS}, cell.arm
    assert all(len(of_arm) == 1 for of_arm in values.values())


def test_baselines_are_their_sources_but_for_the_learning_rate() -> None:
    """The exception: at laptop and small the rate is the corrected arm's best for each task. `docs/pitfalls.md` says so."""
    for names, source in ((GLUE_SMALL, RTE), (GLUE_1K, RTE), (GLUE_DEV, MOSBACH)):
        assert all(PAPER.configs[name] == source.model_copy(update={"task": name}) for name in names)
    smaller = {
        "task",
        "encoder",
        "num_train",
        "sample_seed",
        "evaluation.num_points",
        "evaluation.every",
        "evaluation.num_examples",
    }
    smaller |= {"evaluation.test_points", "schedule.num_epochs"}
    for config, source in ((LAPTOP.configs["docpair"], RTE), (LAPTOP.configs["docs15"], TNEWS), (SMALL.configs["rte"], RTE)):
        changed = {name for name in field_names() if setting(config, name) != setting(source, name)}
        assert changed - smaller == {"adam.lr"}


# --- reference code of M -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_p17_the_second_text_has_its_own_segment(packed: bool, toy_config: ConfigFactory, lively_encoder: Encoder) -> None:
    """A name that was compared exactly left all segment ids 0. Here they are 1 for the second text, and the model reads them."""
    pair = (Example("bral dep", "lumi cug", 0), Example("wug", "dorn", 1))
    data = encode(TOY, TaskData(pair, pair), lively_encoder, max_length=32)
    model = trials.prepare(toy_config(), lively_encoder, data, packed=packed).model.eval()
    batch = data.splits["train"].batch([0, 1])
    assert batch.segments.tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1]
    blind = dataclasses.replace(batch, segments=torch.zeros_like(batch.segments))
    with torch.inference_mode():
        assert not torch.allclose(model(batch), model(blind), atol=1e-3)


def test_p18_the_last_weights_and_the_best_have_names_of_their_own(watch: Watcher) -> None:
    """``early_stopping`` stopped nothing; its last row was the best checkpoint's. Here tables take the last, and show the best."""
    rows = watch({"evaluation.every": 8}, dropout=0.3).rows
    assert [row.step for row in rows if row[1:4] == ("validation", "score", "")] == [8, 16, 24]
    assert [row.step for row in rows if row[1:4] == ("validation", "score", "best")] == [24]
    results = synthetic.grid(2, subset=False, diverged=False)
    ends = results.metrics.merge(results.runs[["run_id", "num_steps"]], on="run_id").query(
        "metric == 'score' and step == num_steps"
    )
    both = synthetic.with_rows(results, results.metrics, ends.assign(scope="best", value=0.99).drop(columns="num_steps"))
    assert run_scores.final_scores(both).equals(run_scores.final_scores(results))
    table = checkpoint_scores.table(both)
    assert set(table["best"]) == {0.99}
    assert (table["last"] < 0.9).all()


def test_p19_where_epsilon_stands_is_a_setting() -> None:
    """The flag chose another place for epsilon beside the correction, and ``step()`` returned a tuple. Both places, by hand."""
    root = 0.001**0.5 * 0.5  # of the second moment after one step, before correction
    for placement, update in (("v_hat", 0.5 / (0.5 + 1)), ("v", 0.001**0.5 / 0.1 * 0.05 / (root + 1))):
        parameter = nn.Parameter(torch.ones(1))
        parameter.grad = torch.full((1,), 0.5)
        optimizer = AdamW([parameter], lr=0.1, eps=1.0, eps_placement=placement)
        assert optimizer.step() is None
        assert parameter.item() == pytest.approx(1 - 0.1 * update, abs=1e-6)


def test_p20_a_drawn_training_set_can_be_drawn_again(toy_config: ConfigFactory, lively_encoder: Encoder, toy_data: Data) -> None:
    """Sampled files were not shipped, nor one configuration. Here a draw is a rule with a seed, a run its whole configuration."""
    one, again = (trials.prepare(toy_config(num_train=20), lively_encoder, toy_data).train_indices for _ in range(2))
    assert one.tolist() == again.tolist()
    assert one.tolist() == np.sort(stream(0, "sample").permutation(64)[:20]).tolist()
    assert glue.draw([0, 1] * 10, 3) == glue.draw([0, 1] * 10, 3)
    missing = toy_config({"schedule.num_epochs": 20, "adam.bias_correction": False})
    ids = {run_id(config, data="d", weights="w") for config in (missing, toy_config({"schedule.num_epochs": 20}))}
    assert len(ids) == 2


# --- reference code of D -------------------------------------------------------------------------------------------------------


def test_p21_dropout_is_on_again_after_an_evaluation(watch: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first evaluation switched dropout off for good. Here every training pass has it, every evaluation has not."""
    passes: list[tuple[bool, bool]] = []
    forward = Model.forward

    def spy(self: Any, batch: Any) -> Tensor:
        modes = {module.training for module in self.modules()}
        assert len(modes) == 1
        passes.append((torch.is_grad_enabled() and not torch.is_inference_mode_enabled(), modes.pop()))
        return forward(self, batch)

    monkeypatch.setattr(Model, "forward", spy)
    watch({**FOUR_STEPS, "evaluation.every": 1})
    assert [learns for learns, _ in passes].count(True) == 4
    assert all(learns == training for learns, training in passes)


def test_p22_the_schedule_is_applied_once_over_the_whole_run(watch: Watcher) -> None:
    """It was applied twice, one of them anew in each epoch, with a jump after warm-up. Here the rate is one line up, one down."""
    trial = watch()
    expected = [3e-3 * (done / 2 if done < 2 else (24 - done) / 22) for done in range(24)]  # three epochs of 8 steps
    assert series(trial, "lr") == pytest.approx(expected)
    assert [rate for rates in watch.optimizer.rates for rate in rates] == pytest.approx(expected)


def test_p23_order_and_clipping_are_explicit(watch: Watcher, package: Mapping[str, str]) -> None:
    """The order hung on a sampler's eagerness, clipping was per tensor, a debugger was left in. Here none of them."""
    first = np.concatenate(list(islice(epochs(64, 8, stream(5, "order")), 8)))
    np.testing.assert_array_equal(first, stream(5, "order").permutation(64))
    trial = watch({**FOUR_STEPS, "max_grad_norm": 1e-3})
    for before, (whole, parts) in zip(series(trial, "grad_norm"), watch.optimizer.norms, strict=True):
        assert before > 1e-3
        assert whole == pytest.approx(1e-3, rel=1e-3)
        assert max(parts) < 0.99e-3
    for name, text in package.items():
        assert not {"pdb", "torch.utils.data"} & imports(text), name
        assert "breakpoint()" not in text, name


# --- JM ------------------------------------------------------------------------------------------------------------------------


def test_p24_tables_are_of_the_papers_score_and_of_all_seeds() -> None:
    """JM has Pearson for STS-B, a population's deviation, 20 of 50 seeds. Here Spearman, n - 1, every seed that was run."""
    assert (GLUE["stsb"].score, GLUE["stsb"].metrics) == ("spearman", ("pearson",))
    assert statistics.summary([0.0, 1.0]).std == pytest.approx(0.5**0.5)
    assert set(score_summary.table(synthetic.grid(7))["n"]) == {7}


# --- the table -----------------------------------------------------------------------------------------------------------------


def test_the_table_names_these_tests(project: Path) -> None:
    text = (project / "docs" / "pitfalls.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| P(\d+) \| .{20,} \| .{20,} \| `(test_\w+)` \|$", text, flags=re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 25))
    tests = {name: test for name, test in globals().items() if re.match(r"test_p\d\d_", name)}
    assert [name for _, name in rows] == list(tests)
    for number, name in rows:
        assert name.startswith(f"test_p{int(number):02d}_")
        assert tests[name].__doc__
