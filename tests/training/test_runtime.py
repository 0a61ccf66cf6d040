"""Device and arithmetic; what needs a GPU is checked where there is one."""

import pytest
import torch

from stableft.core.errors import UsageError
from stableft.models.encoders import Encoder
from stableft.models.tokens import Data
from stableft.training.runtime import Runtime, arithmetic, prepare
from stableft.training.setup import build
from tests.conftest import ConfigFactory


def test_evaluation_batches_suit_the_device() -> None:
    assert Runtime().tokens_per_evaluation_batch == 2048
    assert Runtime(device="cuda:1").tokens_per_evaluation_batch == 65_536
    assert Runtime(device="cuda:1", evaluation_tokens=7).tokens_per_evaluation_batch == 7


@pytest.mark.parametrize(("precision", "expected"), [("fp32", torch.float32), ("tf32", torch.float32), ("bf16", torch.bfloat16)])
def test_only_bf16_changes_the_type_of_a_product(precision: str, expected: torch.dtype) -> None:
    with arithmetic(precision, Runtime()):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected


@pytest.fixture
def settings() -> object:
    """Torch's global settings, put back afterwards."""
    before = torch.backends.cuda.matmul.fp32_precision
    yield
    torch.backends.cuda.matmul.fp32_precision = before
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(("precision", "expected"), [("fp32", "ieee"), ("tf32", "tf32"), ("bf16", "ieee")])
def test_a_gpu_is_set_up_for_the_arithmetic_and_the_same_bits(precision: str, expected: str, settings: object) -> None:
    torch.backends.cuda.matmul.fp32_precision = "tf32" if expected == "ieee" else "ieee"
    prepare(precision, Runtime(device="cuda:0"))
    assert torch.backends.cuda.matmul.fp32_precision == expected
    assert torch.are_deterministic_algorithms_enabled()


def test_tf32_on_a_cpu_is_refused(toy_config: ConfigFactory, toy_data: Data, tiny_encoder: Encoder) -> None:
    with pytest.raises(UsageError, match="tf32 is an arithmetic of GPUs"):
        build(toy_config(precision="tf32"), toy_data, tiny_encoder, Runtime())


@pytest.mark.gpu
def test_the_engine_on_a_gpu_says_what_it_says_on_a_cpu(toy_config: ConfigFactory, toy_data: Data, tiny_encoder: Encoder) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    logits = []
    for device in ("cpu", "cuda:0"):
        model = build(toy_config(), toy_data, tiny_encoder, Runtime(device=device)).model.eval()
        with torch.inference_mode():
            logits.append(model(toy_data.splits["train"].batch(range(16), device)).cpu())
    torch.testing.assert_close(logits[0], logits[1], rtol=0, atol=1e-5)
