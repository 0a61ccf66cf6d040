"""Preload: what all training processes need, loaded once by the server that forks them.

Only the forkserver imports it, see `stableft.execution.supervisor`. No thread is started.
"""

from transformers.conversion_mapping import get_checkpoint_conversion_mapping
from transformers.models.bert import modeling_bert  # noqa: F401 (else imported where a model is loaded)

from stableft.execution import provenance

get_checkpoint_conversion_mapping("bert")  # compiles a thousand expressions, which transformers keeps
provenance.static()  # the versions of all pinned packages
