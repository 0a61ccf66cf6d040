"""Other ways to a model, each in a fresh process: the Trainer at its defaults, and SetFit.

``python -m benchmarks.anchors FILE`` reads an order as JSON: ``kind``, ``seed``, ``encoder`` (a
folder), ``labels`` (number of classes), ``minutes`` (for SetFit), ``train`` and ``test`` (rows of
text, second text or null, class). It prints JSON: ``predictions`` for test, and ``seconds``; or
``missing``, a reason.
"""

import importlib.util
import json
import sys
import time
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np


def trainer(order: dict[str, Any]) -> list[int]:
    """Fine-tunes with the Trainer's defaults (learning rate 5e-5, three epochs, batches of 8)."""
    from datasets import Dataset
    from transformers import AutoTokenizer, set_seed

    from benchmarks.huggingface import accuracy, load_model, make_trainer, tokenised
    from benchmarks.work import Example

    set_seed(order["seed"])
    tokenizer = AutoTokenizer.from_pretrained(order["encoder"])
    splits = {
        split: Dataset.from_dict(
            tokenised(tokenizer, [Example(text, pair, label, 0) for text, pair, label in order[split]], 128, pad=False)
        )
        for split in ("train", "test")
    }
    model = load_model(Path(order["encoder"]), order["labels"], 0.1)
    made = make_trainer(
        model, tokenizer, pad=False, train=splits["train"], validation=splits["test"], compute_metrics=accuracy,
        seed=order["seed"], use_cpu=True,
    )  # fmt: skip
    made.train()
    test: Any = splits["test"]
    return np.asarray(made.predict(test).predictions).argmax(axis=1).tolist()


def setfit(order: dict[str, Any]) -> list[int]:
    """Fine-tunes with SetFit's defaults: contrastive pairs, then logistic regression.

    Its one epoch of pairs takes hours with hundreds of examples, so it ends after ``minutes``. Text
    pairs are read as one text, since it has no other way.
    """
    from datasets import Dataset
    from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]
    from setfit import SetFitModel, Trainer, TrainingArguments  # pyright: ignore[reportMissingImports]
    from setfit.modeling import LogisticRegression  # pyright: ignore[reportMissingImports]

    rows = {
        split: [(text if pair is None else f"{text} [SEP] {pair}", label) for text, pair, label in order[split]]
        for split in ("train", "test")
    }
    train = Dataset.from_dict({"text": [text for text, _ in rows["train"]], "label": [label for _, label in rows["train"]]})
    model = SetFitModel(SentenceTransformer(order["encoder"], device="cpu"), LogisticRegression(max_iter=1000))
    arguments = TrainingArguments(mkdtemp(prefix="setfit-"), seed=order["seed"], show_progress_bar=False, report_to="none")
    Trainer(model=model, args=arguments, train_dataset=train, callbacks=[_until(60 * order["minutes"])]).train()
    return [int(label) for label in model.predict([text for text, _ in rows["test"]])]


def _until(seconds: float) -> Any:
    """Returns a callback that ends training after a time."""
    from transformers import TrainerCallback

    class Limit(TrainerCallback):
        def __init__(self) -> None:
            self.end = time.perf_counter() + seconds

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = control.should_training_stop or time.perf_counter() > self.end

    return Limit()


def main() -> None:
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if order["kind"] == "setfit" and importlib.util.find_spec("setfit") is None:
        print(json.dumps({"missing": "setfit is not installed"}))
        return
    began = time.perf_counter()
    predictions = {"trainer": trainer, "setfit": setfit}[order["kind"]](order)
    print(json.dumps({"predictions": predictions, "seconds": time.perf_counter() - began}))


if __name__ == "__main__":
    main()
