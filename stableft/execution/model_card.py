"""Model card: the README.md of an exported model, as Markdown from its facts."""

import importlib.metadata
import json
from collections.abc import Iterator
from typing import Any

from stableft.core.model_facts import ModelFacts, Scores
from stableft.core.visible_text import invisible
from stableft.models.encoders import EMBEDDED, Encoder

NOT_SHOWN = ("score", "best_step")  # a second name of the score, and a step of the best checkpoint
SETTINGS = ("batch_size", "max_grad_norm", "dropout", "precision", "num_train")


def card(facts: ModelFacts, encoder: Encoder) -> str:
    """Returns the model card of a run's model.

    Args:
        facts: As exported.
        encoder: The encoder that the run started from.
    """
    parts = [_header(facts), _what(facts), _use(facts), _scores(facts), _setting(facts, encoder), _limits(facts)]
    return "\n\n".join(parts) + "\n"


def _header(facts: ModelFacts) -> str:
    kind = "token-classification" if facts.kind == "tagging" else "text-classification"
    language = "" if facts.language == "und" else f"language: {facts.language}\n"
    return f"---\n{language}library_name: transformers\npipeline_tag: {kind}\ntags: [stableft]\n---\n\n# {_plain(facts.task)}"


def _what(facts: ModelFacts) -> str:
    unit = "pairs of texts" if facts.pairs else "texts"
    labels = ", ".join(f"`{_plain(label)}`" for label in facts.labels)
    does = {
        "classification": f"It puts {unit} into {len(facts.labels)} classes: {labels}.",
        "regression": f"It predicts a number for {unit}, on the scale of the training data.",
        "tagging": f"It gives each word of a sentence a tag: {labels}.",
    }
    return (
        f"A fine-tuned encoder, trained by stableft {facts.version}. {does[facts.kind]} An input has at most {facts.max_length} "
        "pieces; what is beyond is cut off."
    )


def _use(facts: ModelFacts) -> str:
    source = {"tagging": "new.bio --out tagged.bio"}.get(facts.kind, "new.csv --out predicted.csv")
    lines = ["## Use", "", f"    stableft predict FOLDER {source}", ""]
    if facts.layout == "encoder":
        head = "a BiLSTM and a CRF over the words" if facts.head == "bilstm_crf" else "a head"
        lines.append(
            f"Only stableft reads all of it: above the encoder is {head}, for which transformers has no class. transformers loads "
            "the encoder alone (`AutoModel.from_pretrained`); a class with a head would draw another head at random. Our weights "
            "are in `model.safetensors` under names that begin with `stableft.`."
        )
        return "\n".join(lines)
    call = {
        "classification": 'pipeline("text-classification", "FOLDER", top_k=None)',
        "regression": 'pipeline("text-classification", "FOLDER", function_to_apply="none")',
        "tagging": 'pipeline("token-classification", "FOLDER", aggregation_strategy="first")',
    }[facts.kind]
    lines += ["or, with transformers:", "", f"    from transformers import pipeline\n    read = {call}"]
    if facts.kind == "tagging":
        lines += ["    read([...])", "", "A word is read by its first piece, so the tags of further pieces mean nothing."]
    else:
        given = '{"text": "...", "text_pair": "..."}' if facts.pairs else '"..."'
        lines.append(f"    read({given}, truncation=True)")
    if facts.precision != "fp32":
        lines += ["", f"The run computed in {facts.precision}; transformers computes in fp32, which may change the last digits."]
    return "\n".join(lines)


def _scores(facts: ModelFacts) -> str:
    lines = ["## Measured", ""]
    majority = facts.facts.get("majority_score")
    counts = ", ".join(f"{number} {split}" for split, number in facts.examples.items())
    lines.append(f"Examples: {counts}. The score is {facts.score.replace('_', ' ')}, of this one run after its last step.")
    lines += ["", *_table(facts.scores)]
    if isinstance(majority, float):
        lines += ["", f"A constant answer scores {majority:.4g} on {facts.facts.get('score_split', 'the scored split')}."]
    if facts.average_scores:
        lines += ["", "The run also kept an average of its weights. It is not this model; it scored:", ""]
        lines += _table(facts.average_scores)
    lines += ["", "Another seed gives another score: `stableft run` with several seeds shows by how much."]
    return "\n".join(lines)


def _table(scores: Scores) -> list[str]:
    shown = {split: {name: value for name, value in of.items() if name not in NOT_SHOWN} for split, of in scores.items()}
    rows = [(split, metric, value) for split, of in shown.items() for metric, value in of.items()]
    return [
        "| split | metric | value |",
        "|---|---|---|",
        *(f"| {split} | {metric} | {value:.4f} |" for split, metric, value in rows),
    ]


def _setting(facts: ModelFacts, encoder: Encoder) -> str:
    config = facts.config
    chosen = {name: config[name] for name in SETTINGS if config.get(name) is not None}
    chosen |= {name: config.get(name) for name in ("adam", "schedule", "techniques") if config.get(name)}
    lines = [
        "## Origin",
        "",
        f"- run `{facts.run_id}`, seed {config.get('seed')}",
        f"- data: task `{_plain(facts.task)}`, fingerprint `{facts.facts.get('data_fingerprint')}`",
        f"- encoder: {_origin(encoder)}; fingerprint `{encoder.fingerprint}`",
        f"- head: {facts.head}",
        f"- fingerprint of the run's rows: `{facts.trajectory}`",
        *(f"- {name}: `{json.dumps(value, sort_keys=True)}`" for name, value in chosen.items()),
    ]
    return "\n".join(lines)


def _origin(encoder: Encoder) -> str:
    if encoder.name not in EMBEDDED:
        return f"`{_plain(encoder.name)}`; its licence is not known here and binds this model too"
    package = EMBEDDED[encoder.name]
    known = next(iter(_licences(package.distribution)), "not stated there")
    where = f"from the package {package.distribution} {package.version}"
    return f"`{encoder.name}`, {where} (licence of the package: {known}; that of the weights in it may be narrower, and binds this)"


def _licences(distribution: str) -> Iterator[str]:
    try:
        stated: Any = importlib.metadata.metadata(distribution)  # a message, of which the type shows a part
    except importlib.metadata.PackageNotFoundError:
        return
    for name in ("License-Expression", "License"):
        if (value := stated.get(name)) and "\n" not in value:
            yield value
    yield from (value.rpartition(":: ")[2] for value in stated.get_all("Classifier") or () if value.startswith("License"))


def _limits(facts: ModelFacts) -> str:
    small = facts.examples.get("train", 0)
    lines = [
        "## Limits",
        "",
        f"- It was trained on {small} examples and knows texts like those only.",
        "- Its probabilities are not calibrated.",
        "- The score is that of one seed; if this run was chosen among several by its score, the score is too high.",
    ]
    if facts.kind == "tagging":
        lines.append("- Words beyond the longest input get the tag `O`.")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Returns a text that can't break out of a line of Markdown."""
    hidden = {place for place, _ in invisible(text)}
    return "".join(" " if place in hidden or c in "`|<>" else c for place, c in enumerate(text))
