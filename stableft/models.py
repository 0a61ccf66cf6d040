"""Encoder and head as one model; the only file that knows how an architecture names its parameters."""

import re
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AttentionInterface, AutoConfig, AutoModel, AutoTokenizer

from stableft.attention import PACKED_ATTENTION, first_token_attention, layout, packed_attention
from stableft.config import RunConfig
from stableft.encoders import Encoder
from stableft.errors import MissingInput, UsageError
from stableft.layers import DropoutStream, use_fast_layers, use_stream
from stableft.packing import Batch

AttentionInterface.register(PACKED_ATTENTION, packed_attention)

Role = Literal["embeddings", "encoder", "pooler", "head"]
SUPPORTED = ("bert",)


@dataclass(frozen=True)
class Place:
    """Where a parameter stands.

    Attributes:
        role: ``embeddings``, ``encoder``, ``pooler`` or ``head``.
        depth: 0 for the embeddings, 1..L for the blocks from the bottom up, L + 1 for pooler and head.
        decays: Whether weight decay applies: not to biases and LayerNorm weights (Zhang et al., Mosbach et al.).
    """

    role: Role
    depth: int
    decays: bool


class Model(nn.Module):
    """A BERT-like encoder with its pooler, dropout, and a linear head.

    Args:
        encoder: A transformers model with a pooler.
        num_labels: K; 1 for regression.
        dropout: On the pooled output.
        packed: Run batches as one row of tokens without padding; otherwise pad to the longest sequence, as the reference.
    """

    def __init__(self, encoder: Any, num_labels: int, dropout: float, *, packed: bool) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, num_labels)
        self.packed = packed
        self._stream: DropoutStream | None = None
        if packed:
            use_fast_layers(self)
        encoder.set_attn_implementation(PACKED_ATTENTION if packed else "sdpa")

    def forward(self, batch: Batch) -> Tensor:
        """Logits, (B, K), float32."""
        pooled = self._pooled_packed(batch) if self.packed else self._pooled_padded(batch)
        return self.head(self.dropout(pooled)).float()

    def draw_dropout_from(self, stream: DropoutStream) -> None:
        """From now on, where the fast layers are in use; the padded reference keeps to torch's generator."""
        self._stream = stream
        use_stream(self, stream)

    def _pooled_packed(self, batch: Batch) -> Tensor:
        """(B, H): the library's own modules on one row of tokens, the last block for the first token of each sequence only.

        Nothing but that token's state is read, so the rest of the last block (14 % of a BERT of 6 blocks) need not be computed.
        """
        plan = layout(batch.lengths, batch.ids.device, self._stream)
        states = self.encoder.embeddings(
            input_ids=batch.ids[None], token_type_ids=batch.segments[None], position_ids=plan.positions[None]
        )
        *blocks, last = self.encoder.encoder.layer
        for block in blocks:
            states = block(states, None, packed=plan)
        first = states[:, plan.starts]
        attention = last.attention.self
        mixed = first_token_attention(
            *(
                self._heads(linear(x))
                for linear, x in ((attention.query, first), (attention.key, states), (attention.value, states))
            ),
            dropout=attention.dropout.p if self.training else 0.0,
            packed=plan,
        )
        first = last.attention.output(mixed, first)
        return self.encoder.pooler(last.output(last.intermediate(first), first).transpose(0, 1))

    def _heads(self, states: Tensor) -> Tensor:
        heads = self.encoder.config.num_attention_heads
        return states.unflatten(-1, (heads, -1)).transpose(1, 2)

    def _pooled_padded(self, batch: Batch) -> Tensor:
        def pad(values: Tensor) -> Tensor:
            return nn.utils.rnn.pad_sequence(list(values.split(batch.lengths)), batch_first=True)

        mask = pad(torch.ones_like(batch.ids))
        return self.encoder(input_ids=pad(batch.ids), token_type_ids=pad(batch.segments), attention_mask=mask).pooler_output

    def place(self, name: str) -> Place:
        """Role, depth and decay of the parameter of that name (as in ``named_parameters``)."""
        decays = not (name.endswith("bias") or "LayerNorm" in name)
        top = self.encoder.config.num_hidden_layers + 1
        if name.startswith("head."):
            return Place("head", top, decays)
        if name.startswith("encoder.pooler."):
            return Place("pooler", top, decays)
        if name.startswith("encoder.embeddings."):
            return Place("embeddings", 0, decays)
        if match := re.match(r"encoder\.encoder\.layer\.(\d+)\.", name):
            return Place("encoder", int(match[1]) + 1, decays)
        raise UsageError(f"models.py does not know where parameter {name!r} stands")


def load_tokenizer(encoder: Encoder) -> Any:
    """The encoder's tokenizer, from its folder only."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(encoder.folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise MissingInput(f"no tokenizer can be read from {encoder.folder}: {_first_line(error)}") from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):  # transformers makes up an empty one, which knows no word
        raise MissingInput(f"no tokenizer can be read from {encoder.folder}: it has no vocabulary (tokenizer.json or vocab.txt)")
    return tokenizer


def load_model(
    encoder: Encoder, config: RunConfig, num_labels: int, init: torch.Generator, *, pieces: NDArray[np.int64], packed: bool
) -> tuple[Model, frozenset[str]]:
    """The model at the start of a run.

    Weights that the checkpoint lacks (always the head's, sometimes the pooler's) are drawn as BERT's are: weights from
    N(0, initializer_range), biases 0; the head first, so that it is the same whatever else is fresh.

    Args:
        encoder: Weights come from its folder, never from code in it.
        config: Gives dropout.
        num_labels: K.
        init: The init stream.
        pieces: (V',) sorted piece ids that occur in the data. Embeddings of all others are left out: they are never read, so
            neither the loss nor any gradient depends on them. Token ids must be positions in this array.
        packed: See `Model`.

    Returns:
        The model, and the names of its fresh parameters, which have no pre-trained value.

    Raises:
        UsageError: an architecture that this file does not know, or inputs longer than the encoder's positions.
        MissingInput: a folder that can't be read, or a tokenizer that does not fit the weights.
    """
    try:
        settings = AutoConfig.from_pretrained(encoder.folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise MissingInput(f"no model configuration can be read from {encoder.folder}: {_first_line(error)}") from error
    if settings.model_type not in SUPPORTED:
        raise UsageError(
            f"encoder {encoder.name} is a {settings.model_type!r}; stableft/models.py knows {', '.join(SUPPORTED)}. "
            "To add an architecture, teach it there how parameters are named and whether it can run packed."
        )
    if config.max_length > settings.max_position_embeddings:
        raise UsageError(
            f"max_length {config.max_length} is more than the {settings.max_position_embeddings} positions of {encoder.name}"
        )
    settings.hidden_dropout_prob = settings.attention_probs_dropout_prob = config.dropout
    try:
        body, info = AutoModel.from_pretrained(
            encoder.folder, config=settings, local_files_only=True, trust_remote_code=False, output_loading_info=True,
            dtype=torch.float32,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError, EOFError, SafetensorError, UnpicklingError) as error:
        raise MissingInput(f"the weights in {encoder.folder} can't be read: {_first_line(error)}") from error
    model = Model(body, num_labels, config.dropout, packed=packed)
    fresh = frozenset({"head.weight", "head.bias"} | {f"encoder.{key}" for key in info["missing_keys"]})
    _refuse_fresh_blocks(encoder, fresh)
    table = body.get_input_embeddings()
    if pieces[-1] >= len(table.weight):
        raise MissingInput(
            f"the tokenizer in {encoder.folder} knows piece {pieces[-1]}, its weights only {len(table.weight)} pieces"
        )
    with torch.no_grad():
        for name in sorted(fresh, key=lambda name: (not name.startswith("head."), name)):
            parameter = model.get_parameter(name)
            if name.endswith("bias"):
                parameter.zero_()
            else:
                parameter.normal_(0.0, settings.initializer_range, generator=init)
        body.set_input_embeddings(nn.Embedding.from_pretrained(table.weight[torch.from_numpy(pieces)], freeze=False))
    return model, fresh


def _refuse_fresh_blocks(encoder: Encoder, fresh: frozenset[str]) -> None:
    lacking = sorted(name for name in fresh if not name.startswith(("head.", "encoder.pooler.")))
    if lacking:
        raise MissingInput(
            f"the weights in {encoder.folder} lack {', '.join(lacking[:3])} (of {len(lacking)}): not a whole encoder"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
