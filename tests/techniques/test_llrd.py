"""LLRD: the rates of Zhang et al. and of the fine-tuning article, by hand; what is refused."""

from pathlib import Path

import pytest

from stableft.core.errors import UsageError
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.techniques.llrd import LLRD
from tests.conftest import ConfigFactory
from tests.helpers import trials

EXAMPLE = LLRD(decay=0.5)


@pytest.fixture(scope="module", params=[12, 24])
def deep(request: pytest.FixtureRequest, lively_encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Encoder]:
    return request.param, trials.deep_encoder(lively_encoder, tmp_path_factory.mktemp("deep"), request.param)


@pytest.mark.parametrize("decay", [0.9, 0.95])
def test_the_rates_of_zhang(deep: tuple[int, Encoder], decay: float, toy_config: ConfigFactory, toy_data: Data) -> None:
    """Protocol section 2.4: head and pooler lr, block L lr d, block k lr d^(L + 1 - k), embeddings lr d^(L + 1)."""
    num_layers, encoder = deep
    rates = trials.rates(LLRD(decay=decay), toy_config({"adam.lr": 2e-5}), encoder, toy_data)
    expected: dict[str | int, float] = {"head": 2e-5, "pooler": 2e-5}
    rate = 2e-5
    for block in range(num_layers, 0, -1):
        rate *= decay
        expected[block] = rate
    expected["embeddings"] = rate * decay
    assert rates == pytest.approx(expected, rel=1e-12)
    if num_layers == 24:  # the numbers printed there
        printed = {0.95: (0.292, 0.277), 0.9: (0.080, 0.072)}[decay]
        assert (rates[1] / 2e-5, rates["embeddings"] / 2e-5) == pytest.approx(printed, abs=5e-4)


def test_the_rates_of_the_article(lively_encoder: Encoder, tmp_path: Path, toy_config: ConfigFactory, toy_data: Data) -> None:
    """Protocol section 7, S2, for 12 blocks: head and pooler 3.6e-6, the top block 3.5e-6, times 0.9 down to 0.99e-6."""
    encoder = trials.deep_encoder(lively_encoder, tmp_path, 12)
    rates = trials.rates(LLRD(decay=0.9, top=3.5 / 3.6), toy_config({"adam.lr": 3.6e-6}), encoder, toy_data)
    # Written out, in 1e-6, from block 12 down.
    blocks = [3.5, 3.15, 2.835, 2.5515, 2.29635, 2.066715, 1.8600435, 1.67403915, 1.506635235, 1.3559717115]
    blocks += [1.22037454035, 1.098337086315]
    expected: dict[str | int, float] = {12 - i: rate * 1e-6 for i, rate in enumerate(blocks)}
    assert rates == pytest.approx({"head": 3.6e-6, "pooler": 3.6e-6, "embeddings": 0.9885033776835e-6, **expected}, rel=1e-12)
    assert rates["embeddings"] == pytest.approx(0.99e-6, abs=0.005e-6)


@pytest.mark.parametrize("fields", [{}, {"decay": 0}, {"decay": 1.1}, {"decay": 0.9, "top": 0}], ids=str)
def test_settings_that_can_not_be(toy_config: ConfigFactory, fields: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"impossible configuration: techniques\.0: Value error, llrd: "):
        toy_config(techniques=[{"name": "llrd", **fields}])


def test_grouped_rates_contradict_it(toy_config: ConfigFactory) -> None:
    with pytest.raises(UsageError, match=r"llrd and grouped_llrd exclude each other: both set the learning rates of embeddings"):
        toy_config(techniques=[{"name": "grouped_llrd"}, {"name": "llrd", "decay": 0.9}])
