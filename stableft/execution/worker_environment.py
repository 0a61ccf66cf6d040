"""Worker environment: environment variables of training processes."""

import os

# Set before a training process starts, unless the user has set them.
VARIABLES = {
    # By default glibc returns large temporaries to the system and faults them in again: 5 % of a step.
    "GLIBC_TUNABLES": ":".join(
        f"glibc.malloc.{name}={value}"
        for name, value in {"mmap_threshold": 2**32, "trim_threshold": 2**33, "top_pad": 2**28, "hugetlb": 1}.items()
    ),
    # By default oneDNN and torch's bridge to it each keep 1,024 compiled kernels, one per shape.
    # Packed batches rarely repeat a shape.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "128",
    "LRU_CACHE_CAPACITY": "128",
    "TOKENIZERS_PARALLELISM": "false",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # makes cuBLAS repeatable bit for bit
}


def prepare(threads: int) -> None:
    """Sets this process's environment for its future training processes.

    Args:
        threads: CPU threads of each process.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    os.environ["HF_HUB_OFFLINE"] = "1"  # encoders and data are resolved by now; a run never goes online
