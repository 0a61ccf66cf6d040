"""Part ``gemm``: speed of matrix products of the sizes in use, an upper bound for all variants."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import engine
from benchmarks.process import Nursery, Team, team
from benchmarks.statistic import Row, interleave
from benchmarks.subject import Spec
from benchmarks.variants import Context
from benchmarks.work import TNEWS, Size

Product = tuple[int, int, int]
# torch's own product of each kind, and oneDNN's in fp32, which torch uses only in compiled code.
KINDS = ("fp32", "fp32 oneDNN", "bf16")


@dataclass
class Gemm:
    """Subject: multiplies matrices on one thread."""

    spec: Spec

    def multiply(self, products: Sequence[Product], kind: str, seconds: float) -> float:
        """Measures floating-point operations per second of products as in a linear layer.

        Args:
            products: (rows, inner, columns) of each product, taken in turn: rows x inner times
                inner x columns.
            kind: One of ``KINDS``.
            seconds: Approximate duration of the measurement.
        """
        import torch

        torch.set_num_threads(1)
        dtype = torch.bfloat16 if kind == "bf16" else torch.float32
        product = engine.onednn_product if kind == "fp32 oneDNN" else torch.nn.functional.linear
        operands = [
            (torch.randn(rows, inner, dtype=dtype), torch.randn(columns, inner, dtype=dtype)) for rows, inner, columns in products
        ]
        operations = sum(2 * rows * inner * columns for rows, inner, columns in products)
        done = -1  # the first repetition is not timed
        started = time.perf_counter()
        with torch.inference_mode():
            while done < 1 or time.perf_counter() - started < seconds:
                for left, right in operands:
                    product(left, right)
                done += 1
                if done == 0:
                    started = time.perf_counter()
        return operations * done / (time.perf_counter() - started)


SPEC = Spec("benchmarks.gemm:Gemm", engine.encoder_folder("tiny-random"), TNEWS)


def layer_products(size: Size, tokens: int) -> list[Product]:
    """Returns the products of a feed-forward layer over a number of tokens: forward and backward."""
    return [
        (tokens, size.hidden, size.intermediate),
        (tokens, size.intermediate, size.hidden),
        (size.hidden, tokens, size.intermediate),
    ]


def rate(workers: Team, products: Sequence[Product], kind: str, seconds: float) -> float:
    """Measures GFLOP/s of all members together."""
    return sum(answer.value for answer in workers.call("multiply", products, kind, seconds)) / 1e9


def rates(nursery: Nursery, products: Sequence[Product], seconds: float) -> dict[str, float]:
    """Measures GFLOP/s of each kind, with one single-thread process per core."""
    with team(nursery, SPEC, engine.workers()) as workers:
        return {kind: rate(workers, products, kind, seconds) for kind in KINDS}


def measure(context: Context) -> list[Row]:
    """Measures the part: single products, on one thread alone and on one thread per core."""
    shapes: list[Product] = [
        (384, 384, 1536), (384, 384, 384), (384, 384, 1152), (768, 384, 1536), (2112, 384, 1536), (2112, 1536, 384),
        (384, 128, 512), (2112, 128, 512),
        (384, 768, 3072), (2112, 768, 3072),
    ]  # fmt: skip
    shapes, seconds, rounds = (shapes[:1], 0.02, 2) if context.quick else (shapes, 0.3, 5)
    nursery = context.nursery(ours=True)
    cores = engine.workers()
    with team(nursery, SPEC, 1) as alone, team(nursery, SPEC, cores) as together:
        variants = {
            (shape, kind, number): lambda _, w=workers, s=shape, k=kind: rate(w, [s], k, seconds)
            for shape in shapes
            for kind in KINDS
            for number, workers in ((1, alone), (cores, together))
        }
        values = interleave(variants, context.rounds or rounds)
    return [_row(shape, f"{kind}, {number} x 1 thread", rates) for (shape, kind, number), rates in values.items()]


def _row(shape: Product, name: str, values: list[float]) -> Row:
    return Row(f"{' x '.join(map(str, shape))} (rows x inner x columns)", name, "GFLOP/s", values, higher_is_better=True)
