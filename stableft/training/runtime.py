"""Runtime of a run: device and engine, not part of its identity; arithmetic, part of it."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import Any

import torch

from stableft.core.errors import NoDevice, UsageError
from stableft.models import layers


@dataclass(frozen=True)
class Runtime:
    """Device and engine of a run; not part of the run's identity.

    Attributes:
        device: A torch device, such as ``cpu`` or ``cuda:0``.
        packed: True: without padding. False: padded, as the reference.
        evaluation_tokens: Tokens per evaluation batch; None: 2,048 on a CPU, where larger ones leave
            its cache, 65,536 on a GPU.
    """

    device: str = "cpu"
    packed: bool = True
    evaluation_tokens: int | None = None

    @property
    def on_gpu(self) -> bool:
        return torch.device(self.device).type != "cpu"

    @property
    def tokens_per_evaluation_batch(self) -> int:
        return self.evaluation_tokens or (65_536 if self.on_gpu else 2048)


def check_device(name: str) -> None:
    """Checks that torch can use a device here.

    Raises:
        NoDevice: It can't.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise NoDevice(f"device {name}: torch knows no such device; write cpu, cuda or cuda:0") from error
    if device.type == "cuda" and (device.index or 0) >= (count := torch.cuda.device_count()):
        sees = f"{count} CUDA devices" if count else "no CUDA device"
        raise NoDevice(f"device {name}: this torch ({torch.__version__}) sees {sees} here; use --device cpu")


def prepare(precision: str, runtime: Runtime) -> None:
    """Sets up torch for a run in this process: on a GPU its arithmetic and deterministic algorithms.

    Raises:
        UsageError: the device does not have that arithmetic.
    """
    if not runtime.on_gpu:
        if precision == "tf32":
            raise UsageError("precision tf32 is an arithmetic of GPUs; on a CPU use fp32 or bf16")
        return
    torch.backends.cuda.matmul.fp32_precision = "tf32" if precision == "tf32" else "ieee"
    torch.use_deterministic_algorithms(True, warn_only=True)


def arithmetic(precision: str, runtime: Runtime) -> AbstractContextManager[object]:
    """Returns the context of a forward pass: bf16 autocast (weights stay float32), or none."""
    if precision != "bf16":
        return nullcontext()
    return torch.autocast(torch.device(runtime.device).type, dtype=torch.bfloat16)


def flags(runtime: Runtime) -> dict[str, Any]:
    """Returns torch's settings that decide the last bits of a run, for provenance, as JSON values.

    ``products`` are the libraries of linear layers in packed fp32 runs on this processor.
    """
    settings: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "products": asdict(layers.PRODUCTS),
        "mkldnn": torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled,  # pyright: ignore[reportAttributeAccessIssue]
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "flush_denormal": torch.tensor([1e-40]).mul(1.0).item() == 0.0,
    }
    if runtime.on_gpu:
        device = torch.cuda.get_device_properties(torch.device(runtime.device))
        settings |= {
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "capability": f"{device.major}.{device.minor}",
            "device_memory_mb": device.total_memory // 2**20,
            "matmul_fp32_precision": torch.backends.cuda.matmul.fp32_precision,
            "cudnn_deterministic": torch.backends.cudnn.deterministic,
            "cudnn_benchmark": torch.backends.cudnn.benchmark,
        }
    return settings
