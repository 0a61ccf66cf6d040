"""Model: encoder and head as one module.

Only this module and `stableft.models.architectures` know the parameter names of encoders.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AttentionInterface

from stableft.core.config import RunConfig
from stableft.core.errors import MissingInput, UsageError
from stableft.models.architectures import ARCHITECTURES, OUR_POOLING, Pooling, Residual, Role, locate_parameter
from stableft.models.encoders import Encoder
from stableft.models.heads import BiLSTMCRF
from stableft.models.introspection import first_position, num_blocks, num_positions, refuse_useless, set_dropout, takes_segments
from stableft.models.layers import DropoutStream, use_fast_layers, use_stream
from stableft.models.loading import read_body, read_settings
from stableft.models.packed_attention import PACKED_ATTENTION, Layout, first_token_attention, layout, packed_attention
from stableft.models.tokens import Batch

AttentionInterface.register(PACKED_ATTENTION, packed_attention)

ACTIVATIONS = {"tanh": torch.tanh, "gelu": nn.functional.gelu, "relu": nn.functional.relu}


@dataclass(frozen=True)
class ParamPlace:
    """Place of a parameter in its model.

    Attributes:
        role: ``embeddings``, ``encoder``, ``pooler`` or ``head``.
        depth: 0 for the embeddings, 1..L for the blocks from the bottom up, L + 1 for pooler and head.
            Blocks that share their weights count once: ALBERT has L = 1.
        decays: Whether weight decay applies: not to biases and LayerNorm weights (Zhang et al., Mosbach
            et al.).
    """

    role: Role
    depth: int
    decays: bool


class Pooler(nn.Module):
    """Dense layer and activation on the first token's state.

    As in transformers' ForSequenceClassification classes.
    """

    def __init__(self, hidden: int, pooling: Pooling, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout) if pooling.dropout_before else nn.Identity()
        self.dense = nn.Linear(hidden, hidden)
        self.activation = ACTIVATIONS[pooling.activation]

    def forward(self, first: Tensor) -> Tensor:
        """Maps the first tokens' states (B, H) to pooled outputs (B, H)."""
        return self.activation(self.dense(self.dropout(first)))


class Model(nn.Module):
    """A BERT-like encoder with a pooler, dropout, and a head (for tagging without a pooler).

    Args:
        encoder: A transformers model; its own pooler is used if it has one. For tagging it must have
            none.
        num_labels: K; 1 for regression.
        dropout: On the head's input: the pooled output, or the words' states.
        packed: Run batches as one row of tokens without padding; otherwise pad to the longest sequence,
            as the reference.
        pieces: (V',) piece id of each token id; None: token ids are piece ids.
        tagging: Whether it labels words, each by the state of its first piece (as in BERT; Devlin et
            al., 2019, section 5.3).
        head: See `RunConfig.head`.

    Attributes:
        architecture: The entry of the encoder in `stableft.models.architectures`; None for others,
            which run padded only.
        packed: Whether batches actually run packed: requested, and possible with this architecture.
        num_blocks: L, blocks with weights of their own.
        shares_blocks: Whether some blocks are used more than once, as in ALBERT; then none is a top
            block.
        pooler: A dense layer of ours, if the encoder has no pooler of its own.
    """

    pieces: Tensor | None

    def __init__(
        self,
        encoder: Any,
        num_labels: int,
        dropout: float,
        *,
        packed: bool,
        pieces: Tensor | None = None,
        tagging: bool = False,
        head: Literal["linear", "bilstm_crf"] = "linear",
    ) -> None:
        super().__init__()
        # Properties of the encoder.
        config = encoder.config
        self.encoder = encoder
        self.architecture = ARCHITECTURES.get(config.model_type)
        self.packed = packed and self.architecture is not None
        self.first_position = first_position(encoder)
        self.num_blocks = num_blocks(encoder)
        self.shares_blocks = getattr(config, "num_hidden_layers", self.num_blocks) > self.num_blocks
        self.register_buffer("pieces", pieces, persistent=False)

        # Pooler, dropout and head on top of it.
        ours = None if getattr(encoder, "pooler", None) is not None else OUR_POOLING
        pooling = self.architecture.pooling if self.architecture else ours
        self.tagging = tagging
        self.pooler = Pooler(config.hidden_size, pooling, dropout) if pooling and not tagging else None
        self.dropout = nn.Dropout(dropout)
        self.head: Any = (nn.Linear if head == "linear" else BiLSTMCRF)(config.hidden_size, num_labels)

        # Packed batches need our layers and our attention; unknown architectures keep transformers' choice.
        self._stream: DropoutStream | None = None
        if self.packed:
            use_fast_layers(self)
        if self.architecture:
            encoder.set_attn_implementation(PACKED_ATTENTION if self.packed else "sdpa")

    def forward(self, batch: Batch) -> Tensor:
        """Returns logits, float32: (B, K), or for tagging (W, K) with one row per word of the batch.

        A `BiLSTMCRF` returns emissions, and computes in float32 in any precision of the encoder.
        """
        if batch.words is not None and batch.word_lengths is not None:
            states = self._states_packed(batch)[0] if self.packed else self._states_padded(batch)
            read = self.dropout(states.index_select(0, batch.words))
            if isinstance(self.head, BiLSTMCRF):
                with torch.autocast(read.device.type, enabled=False):
                    return self.head(read.float(), batch.word_lengths)
        else:
            read = self.dropout(self._pooled_packed(batch) if self.packed else self._pooled_padded(batch))
        return self.head(read).float()

    def draw_dropout_from(self, stream: DropoutStream) -> None:
        """Makes the fast layers draw dropout from this stream.

        The padded reference keeps torch's generator.
        """
        self._stream = stream
        use_stream(self, stream)

    def streams(self) -> dict[str, DropoutStream]:
        """Returns all streams of its modules, each once, by the name of one module that uses it."""
        held = [("", self._stream), *((name, getattr(module, "stream", None)) for name, module in self.named_modules())]
        distinct = {id(stream): (name, stream) for name, stream in held if isinstance(stream, DropoutStream)}
        return dict(distinct.values())

    def _pooled_packed(self, batch: Batch) -> Tensor:
        """Returns (B, H), from the library's own modules on one row of tokens.

        Only the first token's state is read, so the last block runs for the first token of each
        sequence only. This saves 14 % of a BERT of 6 blocks.
        """
        assert self.architecture is not None
        names = self.architecture.block
        # All blocks but the last, for all tokens.
        states, (*blocks, last), plan = self._embed(batch)
        for block in blocks:
            states = block(states, None, packed=plan)

        # The last block: queries of the first tokens, keys and values of all.
        first = states[:, plan.starts]
        mixed = first_token_attention(
            *(
                self._heads(last.get_submodule(name)(x))
                for name, x in ((names.query, first), (names.key, states), (names.value, states))
            ),
            dropout=last.get_submodule(names.attention_dropout).p if self.training else 0.0,
            packed=plan,
        )
        first = _residual(last, names.mix, mixed, first)
        first = _residual(last, names.feed_forward, first, first)[0]
        return self.encoder.pooler(first[:, None]) if self.pooler is None else self.pooler(first)

    def _states_packed(self, batch: Batch) -> Tensor:
        """Returns (1, T, H), all blocks for all tokens."""
        states, blocks, plan = self._embed(batch)
        for block in blocks:
            states = block(states, None, packed=plan)
        return states

    def _embed(self, batch: Batch) -> tuple[Tensor, list[Any], Layout]:
        """Returns the states (1, T, H) below the first block, the blocks, and the layout of the sequences."""
        assert self.architecture is not None
        plan = layout(batch.lengths, batch.ids.device, self._stream)
        inputs = {"input_ids": batch.ids[None], "position_ids": plan.positions[None] + self.first_position}
        if self.architecture.segments:
            inputs["token_type_ids"] = batch.segments[None]
        states = self.encoder.embeddings(**inputs)
        if (projection := self.architecture.projection) and hasattr(self.encoder, projection):
            states = self.encoder.get_submodule(projection)(states)
        return states, list(self.encoder.get_submodule(self.architecture.blocks)), plan

    def _heads(self, states: Tensor) -> Tensor:
        heads = self.encoder.config.num_attention_heads
        return states.unflatten(-1, (heads, -1)).transpose(1, 2)

    def _pooled_padded(self, batch: Batch) -> Tensor:
        """Returns (B, H), through the unmodified transformers model."""
        output = self._run_padded(batch)
        return output.pooler_output if self.pooler is None else self.pooler(output.last_hidden_state[:, 0])

    def _states_padded(self, batch: Batch) -> Tensor:
        """Returns (T, H), through the unmodified transformers model, without the states of padding."""
        states = self._run_padded(batch).last_hidden_state
        return torch.cat([states[i, :length] for i, length in enumerate(batch.lengths)])

    def _run_padded(self, batch: Batch) -> Any:
        def pad(values: Tensor, value: int = 0) -> Tensor:
            return nn.utils.rnn.pad_sequence(list(values.split(batch.lengths)), batch_first=True, padding_value=value)

        if self.architecture:
            # The table of embeddings holds these pieces only; the ids in masked slots are never read.
            inputs, segments = {"input_ids": pad(batch.ids)}, self.architecture.segments
        else:
            # Other models may derive positions from ids, so they get real piece ids and real padding.
            ids = batch.ids if self.pieces is None else self.pieces[batch.ids]
            inputs, segments = {"input_ids": pad(ids, self.encoder.config.pad_token_id or 0)}, takes_segments(self.encoder)
        inputs["attention_mask"] = pad(torch.ones_like(batch.ids))
        if segments:
            inputs["token_type_ids"] = pad(batch.segments)
        if self.architecture and self.first_position:  # else derived from ids that are not piece ids
            positions = torch.arange(max(batch.lengths), device=batch.ids.device)
            inputs["position_ids"] = positions[None] + self.first_position
        return self.encoder(**inputs)

    def place(self, name: str) -> ParamPlace:
        """Returns role, depth and decay of the parameter of that name (as in ``named_parameters``).

        Raises:
            UsageError: a parameter that no rule places.
        """
        is_norm = self._belongs_to_a_norm(name)
        decays = not (name.endswith("bias") or name.rpartition(".")[2].startswith("bias_") or is_norm)  # an LSTM has bias_ih_l0
        top = self.num_blocks + 1
        part, _, inner = name.partition(".")
        if part == "head":
            return ParamPlace("head", top, decays)
        if part == "pooler":
            return ParamPlace("pooler", top, decays)
        if part == "encoder" and (located := locate_parameter(self.encoder.config.model_type, inner)):
            role, depth = located
            return ParamPlace(role, top if depth is None else depth, decays)
        if part == "encoder" and is_norm:  # outside all blocks it follows the last one (pre-norm models)
            return ParamPlace("encoder", self.num_blocks, decays)
        raise UsageError(f"architectures.py does not know where parameter {name!r} belongs")

    def _belongs_to_a_norm(self, name: str) -> bool:
        """Tells whether a parameter is of a normalisation layer, by the module's type.

        Names differ too much: LayerNorm, sa_layer_norm, full_layer_layer_norm, final_norm.
        """
        try:
            return "Norm" in type(self.get_submodule(name.rpartition(".")[0])).__name__
        except AttributeError:
            return "LayerNorm" in name


def _residual(block: nn.Module, names: Residual, states: Tensor, residual: Tensor) -> Tensor:
    for name in names.parts:
        states = block.get_submodule(name)(states)
    return block.get_submodule(names.norm)(states + residual)


def load_model(
    encoder: Encoder,
    config: RunConfig,
    num_labels: int,
    init: torch.Generator,
    *,
    pieces: NDArray[np.int64],
    packed: bool,
    tagging: bool = False,
) -> tuple[Model, frozenset[str]]:
    """Loads the model at the start of a run.

    Weights that the checkpoint lacks (always the head's, sometimes the pooler's) are drawn as BERT's
    are: weights from N(0, initializer_range), biases 0. The head comes first, so that it does not
    depend on the other fresh parameters; they follow by name. A `BiLSTMCRF` is drawn by its own rule,
    also first. For tagging no pooler is loaded.

    Args:
        encoder: Weights come from its folder, never from code in it.
        config: Gives dropout, and the kind of head.
        num_labels: K.
        init: The init stream.
        pieces: (V',) sorted piece ids that occur in the data. Embeddings of all others are left out:
            they are never read, so neither the loss nor any gradient depends on them. Token ids must be
            positions in this array. The table is left whole for architectures that run padded only.
        packed: See `Model`.
        tagging: See `Model`.

    Returns:
        The model, and the names of its fresh parameters, which have no pre-trained value.

    Raises:
        UsageError: no encoder of texts, such as a decoder, or inputs longer than its positions.
        MissingInput: a folder that can't be read, or a tokenizer that does not fit the weights.
    """
    # Fresh are all parameters outside the encoder and all that the folder lacks.
    body, absent = read_encoder(encoder, dropout=config.dropout, max_length=config.max_length, tagging=tagging)
    _refuse_pieces(encoder, body, pieces)
    model = Model(
        body, num_labels, config.dropout, packed=packed, pieces=torch.from_numpy(pieces), tagging=tagging, head=config.head
    )
    missing = {f"encoder.{key}" for key in absent}
    fresh = frozenset({name for name, _ in model.named_parameters() if not name.startswith("encoder.")} | missing)
    _draw(model, fresh, getattr(body.config, "initializer_range", 0.02), init)

    # Drop the embeddings of pieces that do not occur.
    if model.architecture:
        _keep_embeddings(body, pieces)
    return model, fresh


def read_encoder(encoder: Encoder, *, dropout: float, max_length: int, tagging: bool) -> tuple[Any, list[str]]:
    """Returns the transformers model below a head, without unused poolers, and its missing parameters.

    Raises:
        UsageError: no encoder of texts, such as a decoder, or inputs longer than its positions.
        MissingInput: a folder that can't be read.
    """
    settings = read_settings(encoder)
    set_dropout(settings, dropout)
    architecture = ARCHITECTURES.get(settings.model_type)
    # transformers' own pooler is unused if its ForSequenceClassification class adds another one.
    options = {"add_pooling_layer": False} if architecture and architecture.idle_pooler else {}
    body, absent = read_body(encoder, settings, **options)
    if tagging and hasattr(body, "pooler"):
        body.pooler = None
    if architecture is None:
        refuse_useless(encoder.name, body)
    limit = num_positions(body)
    if limit is not None and max_length > limit:
        raise UsageError(f"max_length {max_length} is more than the {limit} positions of {encoder.name}")
    return body, [key for key in absent if not (tagging and key.startswith("pooler."))]


def _refuse_pieces(encoder: Encoder, body: Any, pieces: NDArray[np.int64]) -> None:
    known = len(body.get_input_embeddings().weight)
    if pieces[-1] >= known:
        raise MissingInput(f"the tokenizer in {encoder.folder} knows piece {pieces[-1]}, its weights only {known} pieces")


@torch.no_grad()
def _draw(model: Model, fresh: Collection[str], spread: float, init: torch.Generator) -> None:
    """Draws fresh parameters: the head first, then the others by name.

    So the head does not depend on the other fresh parameters.
    """
    names = sorted(fresh, key=lambda name: (not name.startswith("head."), name))
    if isinstance(model.head, BiLSTMCRF):
        model.head.draw(init)
        names = [name for name in names if not name.startswith("head.")]
    for name in names:
        parameter = model.get_parameter(name)
        if name.endswith("bias"):
            parameter.zero_()
        else:
            parameter.normal_(0.0, spread, generator=init)


@torch.no_grad()
def _keep_embeddings(body: Any, pieces: NDArray[np.int64]) -> None:
    """Replaces the encoder's table of embeddings by its rows for ``pieces``.

    As in transformers, the embedding of the padding piece never learns, even if a text contains it.
    """
    table = body.get_input_embeddings()
    padding = np.flatnonzero(pieces == (-1 if table.padding_idx is None else table.padding_idx))
    padding_idx = int(padding[0]) if len(padding) else None
    kept = nn.Embedding.from_pretrained(table.weight[torch.from_numpy(pieces)], freeze=False, padding_idx=padding_idx)
    body.set_input_embeddings(kept)
