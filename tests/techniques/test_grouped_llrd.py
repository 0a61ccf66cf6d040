"""GroupedLLRD: the rates of the fine-tuning article, and the sets of encoders of other depths."""

from pathlib import Path

import pytest

from stableft.core.errors import UsageError
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.techniques.grouped_llrd import GroupedLLRD
from tests.conftest import ConfigFactory
from tests.helpers import trials

EXAMPLE = GroupedLLRD()


def test_the_rates_of_the_article(lively_encoder: Encoder, tmp_path: Path, toy_config: ConfigFactory, toy_data: Data) -> None:
    """Protocol section 7, S2; its blocks 0 to 11 are 1 to 12 here."""
    encoder = trials.deep_encoder(lively_encoder, tmp_path, 12)
    rates = trials.rates(GroupedLLRD(), toy_config({"adam.lr": 3.6e-6}), encoder, toy_data)
    expected: dict[str | int, float] = {"embeddings": 1e-6, 1: 1e-6, 2: 1e-6, 3: 1e-6, 4: 1e-6}
    expected |= {5: 1.75e-6, 6: 1.75e-6, 7: 1.75e-6, 8: 1.75e-6, 9: 3.5e-6, 10: 3.5e-6, 11: 3.5e-6, 12: 3.5e-6}
    assert rates == pytest.approx({**expected, "pooler": 3.6e-6, "head": 3.6e-6}, rel=1e-12)


@pytest.mark.parametrize(
    ("num_layers", "sets"),
    [(1, "3"), (2, "23"), (3, "123"), (4, "1233"), (5, "12233"), (6, "112233"), (24, "1" * 8 + "2" * 8 + "3" * 8)],
)
def test_the_sets_of_other_depths(
    num_layers: int, sets: str, lively_encoder: Encoder, tmp_path: Path, toy_config: ConfigFactory, toy_data: Data
) -> None:
    encoder = trials.deep_encoder(lively_encoder, tmp_path, num_layers)
    rates = trials.rates(GroupedLLRD(bottom=1, middle=2, top=3), toy_config({"adam.lr": 1.0}), encoder, toy_data)
    assert "".join(str(round(rates[block])) for block in range(1, num_layers + 1)) == sets
    assert rates["embeddings"] == rates["pooler"] == rates["head"] == 1


@pytest.mark.parametrize("field", ["bottom", "middle", "top"])
def test_settings_that_can_not_be(toy_config: ConfigFactory, field: str) -> None:
    with pytest.raises(UsageError, match=rf"grouped_llrd: {field}: "):
        toy_config(techniques=[{"name": "grouped_llrd", field: 0}])
