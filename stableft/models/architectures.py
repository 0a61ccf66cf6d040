"""Architectures: the names of an encoder's parts in transformers, as data. Needs no torch.

Architectures named here run packed as well as padded; every other encoder runs padded only
(`stableft.models.model.Model.packed` tells which). The first position is not listed, because
RoBERTa-like models show it by the padding row of their position embeddings.
"""

import re
from dataclasses import dataclass
from typing import Literal

Role = Literal["embeddings", "encoder", "pooler", "head"]


@dataclass(frozen=True)
class Residual:
    """A residual connection of a block, ``norm(last(... first(x)) + input)``.

    Attributes:
        parts: Modules that x passes, in order.
        norm: The LayerNorm over the sum.
    """

    parts: tuple[str, ...]
    norm: str


@dataclass(frozen=True)
class Block:
    """Dotted names of a block's modules, relative to the block.

    Attributes:
        query, key, value: Linear layers.
        attention_dropout: Its rate applies to the attention weights.
        mix: From the attention's result to the middle of the block.
        feed_forward: From there to the block's result.
    """

    query: str
    key: str
    value: str
    attention_dropout: str
    mix: Residual
    feed_forward: Residual


@dataclass(frozen=True)
class Pooling:
    """A dense layer on the first token's state, between encoder and head; freshly drawn (role ``pooler``).

    Attributes:
        activation: After the dense layer.
        dropout_before: Dropout before the dense layer too, not only between it and the head.
        saved_as: Its name in transformers' ForSequenceClassification class, if that has one.
    """

    activation: Literal["tanh", "gelu", "relu"]
    dropout_before: bool
    saved_as: str = ""


@dataclass(frozen=True)
class Architecture:
    """The names and properties of an encoder that packed execution and saving need.

    Attributes:
        block: Parts of a block.
        pooling: The layers below the last one in transformers' ForSequenceClassification class; None:
            the encoder's own pooler.
        saved_head: The last layer's name in that class.
        blocks: The list of blocks within the encoder.
        projection: From embeddings to states, if the checkpoint has one.
        idle_pooler: Whether transformers' encoder class has an own pooler that this class does not use.
        segments: Whether pieces get token types. RoBERTa has a token type table of one row, but its
            tokenizer gives no token types.
    """

    block: Block
    pooling: Pooling | None
    saved_head: str
    blocks: str = "encoder.layer"
    projection: str = ""
    idle_pooler: bool = False
    segments: bool = True


_BERT_BLOCK = Block(
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_dropout="attention.self.dropout",
    mix=Residual(("attention.output.dense", "attention.output.dropout"), "attention.output.LayerNorm"),
    feed_forward=Residual(("intermediate", "output.dense", "output.dropout"), "output.LayerNorm"),
)
_BERT = Architecture(_BERT_BLOCK, pooling=None, saved_head="classifier")
_ROBERTA = Architecture(
    _BERT_BLOCK,
    pooling=Pooling("tanh", dropout_before=True, saved_as="classifier.dense"),
    saved_head="classifier.out_proj",
    idle_pooler=True,
    segments=False,
)
_ELECTRA = Architecture(
    _BERT_BLOCK,
    pooling=Pooling("gelu", dropout_before=True, saved_as="classifier.dense"),
    saved_head="classifier.out_proj",
    projection="embeddings_project",
)
_DISTILBERT = Architecture(
    Block(
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        attention_dropout="attention.dropout",
        mix=Residual(("attention.out_lin",), "sa_layer_norm"),
        feed_forward=Residual(("ffn",), "output_layer_norm"),
    ),
    pooling=Pooling("relu", dropout_before=False, saved_as="pre_classifier"),
    saved_head="classifier",
    blocks="transformer.layer",
    segments=False,
)

ARCHITECTURES = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "electra": _ELECTRA,
    "distilbert": _DISTILBERT,
}
# For encoders without a pooler and without an entry above.
OUR_POOLING = Pooling("tanh", dropout_before=False)

# ALBERT's groups are its blocks: one group, applied repeatedly, is one block of depth 1.
_BLOCK = re.compile(r"(?:^|.*?\.)(?:layers?|blocks?|h|albert_layer_groups)\.(?P<index>\d+)\.")
# Relative position tables (shared by all blocks) and projections from embeddings to states count as
# embeddings.
_EMBEDDINGS = re.compile(r"(?:^|\.)(?:\w*embed\w*|relative_attention_bias|wte|wpe)\.")
# Parameters that the rules would place wrongly or not at all: prefix of the name -> role and depth.
_EXCEPTIONS: dict[str, dict[str, tuple[Role, int]]] = {
    # The norm of the table of relative positions, and a convolution parallel to the first block.
    "deberta-v2": {"encoder.LayerNorm.": ("embeddings", 0), "encoder.conv.": ("encoder", 1)},
}


def locate_parameter(model_type: str, name: str) -> tuple[Role, int | None] | None:
    """Returns role and depth of an encoder parameter, for any architecture.

    Args:
        model_type: As in config.json.
        name: Within transformers' encoder, such as ``encoder.layer.0.output.dense.bias``.

    Returns:
        The role and the depth: 0 for embeddings, 1..L for blocks, None for the pooler above them all.
        None alone for a name that matches no rule.
    """
    for start, place in _EXCEPTIONS.get(model_type, {}).items():
        if name.startswith(start):
            return place
    if name.startswith("pooler."):
        return "pooler", None
    if match := _BLOCK.match(name):
        return "encoder", int(match["index"]) + 1
    if _EMBEDDINGS.search(name):
        return "embeddings", 0
    return None


def block_list(name: str) -> str:
    """Returns the name of the list of blocks that holds a parameter, such as ``encoder.layer``, or ""."""
    match = _BLOCK.match(name)
    return name[: match.start("index") - 1] if match else ""
