"""Preload: what all training processes need, loaded once by the server that forks them.

Only the forkserver imports this module, see `stableft.execution.supervisor`. It starts no thread
and uses no GPU.
"""

from transformers.conversion_mapping import get_checkpoint_conversion_mapping
from transformers.models.bert import modeling_bert  # noqa: F401 (transformers imports it where a model is loaded)

from stableft.core.technique import all_techniques
from stableft.execution import provenance
from stableft.storage import code_state

get_checkpoint_conversion_mapping("bert")  # compiles a thousand expressions, which transformers keeps
provenance.static()  # the versions of all pinned packages
for part in (*code_state.PARTS, *(f"{code_state.TECHNIQUE}{name}" for name in all_techniques())):
    code_state.current(part)  # of the code that the forked processes have, whatever is edited later
