"""The best checkpoint: cloned, evaluated beside the last one, and no trace of it in the run."""

import pytest
import torch
from torch import nn

from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.training.best_checkpoint import BestCheckpoint
from stableft.training.evaluation import MetricRow, Scorer
from stableft.training.loop import train
from stableft.training.runtime import Runtime
from stableft.training.setup import build
from tests.conftest import ConfigFactory

NAMES = ("loss", "accuracy", "score")


def test_what_is_kept_is_no_alias_of_the_live_weights() -> None:
    p = nn.Parameter(torch.ones(2))
    best = BestCheckpoint([p])
    best.offer(3, 0.5)
    with torch.no_grad():
        p.fill_(7.0)
    with best.restored():
        assert p.tolist() == [1.0, 1.0]
    assert p.tolist() == [7.0, 7.0]


@pytest.mark.parametrize(("scores", "step"), [((0.1, 0.3, 0.2), 2), ((0.3, 0.3, 0.3), 1), ((float("-inf"), float("-inf")), 1)])
def test_the_first_of_the_greatest_is_kept(scores: tuple[float, ...], step: int) -> None:
    p = nn.Parameter(torch.zeros(1))
    best = BestCheckpoint([p])
    for number, score in enumerate(scores, start=1):
        with torch.no_grad():
            p.fill_(number)
        best.offer(number, score)
    assert best.step == step
    with best.restored():
        assert p.item() == step


def test_the_weights_come_back_after_an_error() -> None:
    p = nn.Parameter(torch.zeros(1))
    best = BestCheckpoint([p])
    best.offer(1, 0.0)
    with torch.no_grad():
        p.fill_(5.0)
    with pytest.raises(RuntimeError), best.restored():
        raise RuntimeError
    assert p.item() == 5.0


@pytest.fixture
def rows(tiny_encoder: Encoder, toy_data: Data, toy_config: ConfigFactory, monkeypatch: pytest.MonkeyPatch) -> list[MetricRow]:
    """Of a run whose validation score is made to be best at step 8 of 24, so that last and best differ."""
    real = Scorer.point

    def point(*args: object, step: int, of: str = "", **options: object) -> object:
        for item in real(*args, step=step, of=of, **options):  # type: ignore[arg-type]
            if isinstance(item, MetricRow) and (item.split, item.metric, of) == ("validation", "score", ""):
                item = item._replace(value=float(step == 8))
            yield item

    monkeypatch.setattr(Scorer, "point", point)
    config = toy_config()
    setup = build(config, toy_data, tiny_encoder, Runtime())
    return [item for item in train(setup, toy_data, Runtime()) if isinstance(item, MetricRow)]


def test_rows_of_the_best_checkpoint_are_those_it_had_when_it_was_best(rows: list[MetricRow]) -> None:
    """Restored weights give the rows of their own step again, to the bit, and not those of the last (protocol section 8, P1)."""
    assert [row.value for row in rows if row.metric == "best_step"] == [8]
    for split in ("validation", "test"):
        for name in ("loss", "accuracy"):
            then, last, best = (
                [row.value for row in rows if (row.split, row.metric, row.step, row.scope) == (split, name, step, scope)]
                for step, scope in ((8, ""), (24, ""), (24, "best"))
            )
            assert best == then
            assert name != "loss" or best != last


def test_the_best_checkpoint_is_recorded_once_at_the_end(rows: list[MetricRow]) -> None:
    best = [(row.split, row.metric, row.step) for row in rows if row.scope == "best"]
    assert best == [(split, name, 24) for split in ("validation", "test") for name in NAMES]


def test_points_on_a_subset_choose_by_the_subset(tiny_encoder: Encoder, toy_data: Data, toy_config: ConfigFactory) -> None:
    config = toy_config({"evaluation.num_examples": 10})
    setup = build(config, toy_data, tiny_encoder, Runtime())
    rows = [item for item in train(setup, toy_data, Runtime()) if isinstance(item, MetricRow)]
    curve = {row.step: row.value for row in rows if (row.split, row.metric, row.scope) == ("validation", "score", "subset")}
    step = next(row.value for row in rows if row.metric == "best_step")
    assert step == max(curve, key=lambda step: (curve[step], -step))
    assert [row.value for row in rows if (row.metric, row.scope) == ("score", "best.subset")] == [curve[int(step)]]
