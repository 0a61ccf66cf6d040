"""What a training process does about earlier attempts at its run."""

import sys
from typing import TYPE_CHECKING

from stableft.core.errors import Damaged
from stableft.execution import provenance
from stableft.storage.store import Store

if TYPE_CHECKING:
    from stableft.execution.worker import Job
    from stableft.training.checkpointing import Checkpointer


def keeper_of(job: "Job", device_name: str | None, began: float) -> "Checkpointer":
    """What keeps the run's state, and has found what an earlier attempt left; a checkpoint that is damaged is set aside.

    Args:
        job: The run.
        device_name: Of its device, if that is no CPU.
        began: When this attempt began, by `time.monotonic`.
    """
    import torch

    from stableft.training.checkpointing import Checkpointer

    static, store = provenance.static(), Store(job.results)
    identity = {
        "run": job.run_id,
        "code": provenance.code_sha256(),
        **{name: static[name] for name in ("python", "packages")},
        **{name: static["hardware"][name] for name in ("machine", "cpu")},
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "environment": provenance.environment(provenance.ARITHMETIC),
        "device": [job.device, device_name],
        "threads": job.threads,
        "packed": job.packed,
    }

    def told(message: str) -> None:
        print(message, file=sys.stderr)

    keeper = Checkpointer(store.checkpoint_path(job.run_id), identity, 60 * job.checkpoint_minutes or None, began, told)
    try:
        keeper.load()
    except Damaged as error:
        told(f"{error} It was set aside as {store.set_aside(error.path)}, and the run starts anew.")
    return keeper
