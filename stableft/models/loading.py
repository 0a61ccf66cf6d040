"""What is read from an encoder's folder, with one clear error where it can't be: tokenizer, configuration, weights."""

from collections.abc import Iterable
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from stableft.core.errors import MissingInput, UsageError
from stableft.models.encoders import Encoder

# From the folder alone, and no code of its own. Unless it is told so, the tokenizer's loader asks whether to run that.
OURS: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
# What a malformed folder makes transformers raise has no common base: OSError, KeyError, TypeError, ZeroDivisionError, ...
Unreadable = Exception


def load_tokenizer(encoder: Encoder, *, tagging: bool = False) -> Any:
    """The encoder's tokenizer, from its folder only.

    Args:
        encoder: Whose.
        tagging: It is given words, not texts; tokenizers that tell a word's beginning by the space before it then add that.

    Raises:
        MissingInput: there is none.
        UsageError: it begins no text with a special token, whose state could stand for the whole.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(encoder.folder, **OURS)
        if tagging and getattr(tokenizer, "add_prefix_space", None) is False:
            tokenizer = AutoTokenizer.from_pretrained(encoder.folder, **OURS, add_prefix_space=True)
        pieces = len(tokenizer) - len(tokenizer.all_special_tokens)
        marks = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
        first = tokenizer("a")["input_ids"][:1]
    except Unreadable as error:
        raise MissingInput(f"no tokenizer can be read from {encoder.folder}: {_first_line(error)}") from error
    if pieces <= 0:  # transformers makes up an empty one, which knows no word
        raise MissingInput(f"no tokenizer can be read from {encoder.folder}: it has no vocabulary (tokenizer.json or vocab.txt)")
    if not marks.intersection(first):
        raise UsageError(
            f"the tokenizer of {encoder.name} puts no special token before a text (as those of decoders and of XLNet): stableft "
            "classifies by the first token and needs a BERT-like encoder"
        )
    return tokenizer


def read_settings(encoder: Encoder) -> Any:
    """The configuration of an encoder.

    Raises:
        MissingInput: it can't be read.
        UsageError: it is of a decoder.
    """
    try:
        settings = AutoConfig.from_pretrained(encoder.folder, **OURS)
    except Unreadable as error:
        raise MissingInput(f"no model configuration can be read from {encoder.folder}: {_first_line(error)}") from error
    if getattr(settings, "is_encoder_decoder", False) or getattr(settings, "is_decoder", False):
        raise UsageError(f"encoder {encoder.name} is a {settings.model_type!r} with a decoder; stableft needs an encoder alone")
    return settings


def read_body(encoder: Encoder, settings: Any, **options: Any) -> tuple[Any, list[str]]:
    """The transformers model in an encoder's folder, float32, and the names of its parameters that are not there.

    Args:
        encoder: Whose folder.
        settings: Its configuration, such as `read_settings` gives.
        options: For the model's class.

    Raises:
        MissingInput: the weights can't be read, or lack more than the pooler.
    """
    try:
        body, info = AutoModel.from_pretrained(
            encoder.folder, config=settings, output_loading_info=True, dtype=torch.float32, weights_only=True, **OURS, **options
        )
    except Unreadable as error:
        raise MissingInput(f"the weights in {encoder.folder} can't be read: {_first_line(error)}") from error
    _refuse_fresh_blocks(encoder, info["missing_keys"])
    return body, list(info["missing_keys"])


def _refuse_fresh_blocks(encoder: Encoder, missing: Iterable[str]) -> None:
    lacking = sorted(f"encoder.{name}" for name in missing if not name.startswith("pooler."))
    if lacking:
        raise MissingInput(
            f"the weights in {encoder.folder} lack {', '.join(lacking[:3])} (of {len(lacking)}): not a whole encoder"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
