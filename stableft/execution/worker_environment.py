"""Environment variables of training processes."""

import os

# Set before a training process starts, unless the user has set them.
VARIABLES = {
    # Without these, glibc gives every large temporary back to the system and faults it in again: about 5 % of a step.
    "GLIBC_TUNABLES": ":".join(
        f"glibc.malloc.{name}={value}"
        for name, value in {"mmap_threshold": 2**32, "trim_threshold": 2**33, "top_pad": 2**28, "hugetlb": 1}.items()
    ),
    # oneDNN and torch's bridge to it each keep 1,024 compiled kernels, one for every shape; packed batches rarely repeat one.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
    "LRU_CACHE_CAPACITY": "128",
    "TOKENIZERS_PARALLELISM": "false",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it cuBLAS does not give the same bits again
}


def prepare(threads: int) -> None:
    """Sets this process's environment for the training processes that it will start.

    Args:
        threads: CPU threads of each.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    os.environ["HF_HUB_OFFLINE"] = "1"  # encoders and data are resolved by now; a run never goes online
