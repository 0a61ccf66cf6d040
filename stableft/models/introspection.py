"""Introspection: properties of a transformers encoder that need no list of architectures."""

import inspect
from typing import Any

import torch
from torch import nn

from stableft.core.errors import UsageError
from stableft.models.architectures import block_list, locate_parameter


def first_position(encoder: nn.Module) -> int:
    """Returns the position of the first token.

    RoBERTa-like models count from behind the padding row of their position embeddings.
    """
    tables = (module for name, module in encoder.named_modules() if name.endswith("position_embeddings"))
    rows = [table.padding_idx for table in tables if isinstance(table, nn.Embedding) and table.padding_idx is not None]
    return 1 + rows[0] if rows else 0


def num_positions(encoder: Any) -> int | None:
    """Returns the longest input in pieces (RoBERTa: 514 positions, 512 usable), or None for no limit."""
    limit = getattr(encoder.config, "max_position_embeddings", None)
    return limit - first_position(encoder) if limit and limit > 0 else None


def num_blocks(encoder: nn.Module) -> int:
    """Returns the number of blocks with weights of their own.

    Raises:
        UsageError: blocks in none or several lists, such as CANINE's, so that depths are undefined.
    """
    names = [name for name, _ in encoder.named_parameters() if block_list(name)]
    if (lists := len({block_list(name) for name in names})) != 1:
        raise UsageError(f"{type(encoder).__name__} has {lists} lists of blocks; stableft needs exactly one to determine depths")
    places = filter(None, (locate_parameter("", name) for name in names))
    return max(depth for _, depth in places if depth is not None)


def takes_segments(encoder: Any) -> bool:
    """Tells whether an encoder distinguishes the first text from the second by token types."""
    return (getattr(encoder.config, "type_vocab_size", 0) or 0) > 1 and "token_type_ids" in _arguments(encoder)


def set_dropout(settings: Any, dropout: float) -> None:
    """Sets every dropout rate of a transformers configuration, under any name."""
    for name, value in settings.to_dict().items():
        if "dropout" in name and isinstance(value, int | float) and not isinstance(value, bool):
            setattr(settings, name, dropout)


def refuse_useless(name: str, encoder: Any) -> None:
    """Checks that a model can be fine-tuned through its first token, in padded batches.

    For models of unknown architecture. Lists of decoders become outdated, so the model itself is tested
    with two pieces and a masked third one: which of them does the gradient of the first token's state
    reach? The gradient is exactly 0 for a piece that the first token can't see.

    Raises:
        UsageError: it reads left to right only; or masked padding reaches the first token all the same
            (convolutions), and a text's logits would depend on the other texts of its batch; or it is
            no encoder of text at all.
    """
    kind = f"encoder {name} is a {encoder.config.model_type!r}"
    if not {"input_ids", "attention_mask"} <= _arguments(encoder):
        raise UsageError(f"{kind}, which takes no input_ids or no attention_mask: its padding can't be masked")

    # Gradient of the first token's state with respect to the embeddings of three pieces, the third one
    # masked. The padding piece is avoided: its gradient is always 0.
    padding = encoder.config.pad_token_id
    pieces = [piece for piece in range(4) if piece != padding][:3]
    try:
        table = encoder.get_input_embeddings().weight
        state = encoder(input_ids=torch.tensor([pieces]), attention_mask=torch.tensor([[1, 1, 0]])).last_hidden_state[0, 0]
        # Weighted, since a plain sum over LayerNorm's output is constant.
        (gradient,) = torch.autograd.grad((state * torch.linspace(1, 2, encoder.config.hidden_size)).sum(), table)
    except Exception as error:  # transformers' models raise many types; each means that this one takes other inputs
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"{kind}, which can't be run as an encoder of text: {type(error).__name__}: {reason}") from error

    # A usable encoder sees the following piece, and not the masked one.
    _, following, masked = (bool(gradient[piece].any()) for piece in pieces)
    if not following:
        raise UsageError(
            f"{kind}, whose first token does not see the following ones (a decoder): stableft classifies by the first token, so it "
            "needs a bidirectional encoder"
        )
    if masked:
        raise UsageError(f"{kind}, whose first token sees masked padding too: a text's logits would depend on its batch")


def _arguments(encoder: Any) -> frozenset[str]:
    return frozenset(inspect.signature(encoder.forward).parameters)
