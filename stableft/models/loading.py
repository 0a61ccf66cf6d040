"""Loading: reads tokenizer, configuration and weights from an encoder's folder, with clear errors."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging

from stableft.core.errors import MissingInput, UsageError
from stableft.models.encoder_folder import not_finite
from stableft.models.encoders import Encoder
from stableft.models.stored_weights import objects_beside_tensors

# From the folder alone, without its code: by default the tokenizer's loader asks to run that.
OURS: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
# transformers' errors on a malformed folder have no common base: OSError, KeyError, TypeError,
# ZeroDivisionError, ...
Unreadable = Exception
# Prefixes that wrappers put before the names of weights: DataParallel, torch.compile, FSDP, Lightning.
WRAPPERS = ("module.", "_orig_mod.", "_fsdp_wrapped_module.", "model.")


def quiet_transformers() -> None:
    """Turns off transformers' warnings and progress bars in this process."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def load_tokenizer(encoder: Encoder, *, tagging: bool = False) -> Any:
    """Returns the encoder's tokenizer, from its folder only.

    Args:
        encoder: The encoder.
        tagging: The inputs are words, not texts. Tokenizers that mark the beginning of a word by the
            space before it then add that space.

    Raises:
        MissingInput: there is none.
        UsageError: it puts no special token before a text, so no state represents the whole text.
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
    if pieces <= 0:  # without a vocabulary file transformers builds an empty tokenizer
        raise MissingInput(f"no tokenizer can be read from {encoder.folder}: it has no vocabulary (tokenizer.json or vocab.txt)")
    if not marks.intersection(first):
        raise UsageError(
            f"the tokenizer of {encoder.name} puts no special token before a text (as those of decoders and of XLNet): stableft "
            "classifies by the first token and needs a BERT-like encoder"
        )
    return tokenizer


def read_settings(encoder: Encoder) -> Any:
    """Returns the transformers configuration of an encoder.

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
    """Returns the transformers model in an encoder's folder, in float32, and its missing parameters.

    Args:
        encoder: The encoder.
        settings: Its configuration, as from `read_settings`.
        options: Keyword arguments for the model's class.

    Returns:
        The model, and the names of the parameters that the folder lacks.

    Raises:
        MissingInput: the weights can't be read, lack more than the pooler, or are not finite.
    """
    body, info = _from_pretrained(encoder, settings, options)
    if wrapper := _wrapper(info):
        body, info = _from_pretrained(encoder, settings, {**options, "key_mapping": {f"^{re.escape(wrapper)}": ""}})
    _refuse_fresh_blocks(encoder, info["missing_keys"])
    for name, weight in body.named_parameters():
        if not torch.isfinite(weight).all():
            raise MissingInput(not_finite(encoder.folder, name))
    return body, list(info["missing_keys"])


def _from_pretrained(encoder: Encoder, settings: Any, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    try:
        return AutoModel.from_pretrained(
            encoder.folder, config=settings, output_loading_info=True, dtype=torch.float32, weights_only=True, **OURS, **options
        )
    except Unreadable as error:
        if "weights_only" in str(error):  # the loader's advice is to run the code in the file
            raise MissingInput(objects_beside_tensors(encoder.folder)) from error
        raise MissingInput(f"the weights in {encoder.folder} can't be read: {_first_line(error)}") from error


def _wrapper(info: Mapping[str, Any]) -> str | None:
    """Returns the prefix of a wrapper, such as ``module.``, if all weights that were not used have it."""
    found = list(info["unexpected_keys"])
    if not found or not info["missing_keys"]:
        return None
    return next((prefix for prefix in WRAPPERS if all(name.startswith(prefix) for name in found)), None)


def _refuse_fresh_blocks(encoder: Encoder, missing: Iterable[str]) -> None:
    lacking = sorted(f"encoder.{name}" for name in missing if not name.startswith("pooler."))
    if lacking:
        raise MissingInput(
            f"the weights in {encoder.folder} lack {', '.join(lacking[:3])} (of {len(lacking)}): not a whole encoder"
        )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
