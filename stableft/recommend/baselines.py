"""Baselines: predictions that need no fine-tuning, in seconds.

They answer the first question about fine-tuning: is it worth it at all? Each is fitted on train,
with a setting chosen on validation. Linear models are scikit-learn's.

- ``constant``: the constant prediction with the best score on train (for tags: no entity).
- ``TF-IDF, linear``: words and pairs of words (for Chinese: characters), weighted by TF-IDF, with
  logistic regression, or ridge regression for scores. For tags: each word's most frequent tag.
- ``frozen encoder, linear``: the mean of the encoder's last states, never trained, with the same
  linear models. For tags: the state of each word.

For text pairs the features are those of both texts, their distance and their product, as in
Sentence-BERT (Reimers and Gurevych, 2019).
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, cast

import joblib
import numpy as np
from numpy.typing import NDArray

from stableft.execution import worker_environment
from stableft.models.encoders import Encoder
from stableft.recommend.parts import Labelled, labelled
from stableft.tasks import Example, TaggedExample, Task, TaskData
from stableft.tasks.settings_source import language_of

SPLITS = ("train", "validation", "test")
CONSTANT, WORDS, FROZEN = "constant", "TF-IDF, linear", "frozen encoder, linear"
STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)  # inverse regularisation, chosen on validation
BATCH_TOKENS = 4096

Vectors = Mapping[str, Any]  # split -> (N, F) features, dense or sparse


@dataclass(frozen=True)
class Baseline:
    """A baseline's predictions.

    Attributes:
        name: Its name.
        predictions: Split (validation and test) -> (N,) predictions.
        seconds: What it took.
        setting: What was chosen on validation.
    """

    name: str
    predictions: Mapping[str, NDArray[np.float64]]
    seconds: float
    setting: str = ""


def in_a_process(task: Task, data: TaskData, encoder: Encoder, max_length: int) -> list[Baseline]:
    """Returns all baselines, computed in a process of their own, which gives its memory back.

    Args:
        task: The task.
        data: Its three parts.
        encoder: The frozen encoder.
        max_length: Longest input in pieces.
    """
    worker_environment.prepare(joblib.cpu_count())
    described = task.kind, task.labels, task.score
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_all, described, data, encoder, max_length).result()


def _all(described: tuple[Any, tuple[str, ...], str], data: TaskData, encoder: Encoder, max_length: int) -> list[Baseline]:
    kind, labels, score = described
    task = Task("baselines", kind, labels, score, "", "", load=lambda: data)
    parts = {split: labelled(task, data, split) for split in SPLITS}
    makers: list[tuple[str, Callable[[], tuple[dict[str, NDArray[np.float64]], str]]]] = [
        (CONSTANT, lambda: (_constant(parts), "")),
        (WORDS, lambda: (_frequent_tags(data, parts), "") if kind == "tagging" else _fitted(task, parts, _word_vectors(data))),
        (FROZEN, lambda: _fitted(task, parts, _frozen_vectors(task, data, encoder, max_length))),
    ]
    found: list[Baseline] = []
    for name, make in makers:
        began = time.monotonic()
        predictions, setting = make()
        found.append(Baseline(name, predictions, time.monotonic() - began, setting))
    return found


def _constant(parts: Mapping[str, Labelled]) -> dict[str, NDArray[np.float64]]:
    train = parts["train"]
    if train.task.kind == "tagging":
        value = float(train.task.labels.index("O"))
    elif train.task.kind == "regression":
        value = float(train.labels.mean())
    else:
        value = float(max(np.unique(train.labels), key=lambda label: train.score(np.full_like(train.labels, label))))
    return {split: np.full_like(parts[split].labels, value) for split in ("validation", "test")}


def _frequent_tags(data: TaskData, parts: Mapping[str, Labelled]) -> dict[str, NDArray[np.float64]]:
    counts: dict[str, Counter[int]] = {}
    for example in cast(Sequence[TaggedExample], data.train):
        for word, tag in zip(example.words, example.tags, strict=True):
            counts.setdefault(word, Counter())[tag] += 1
    usual = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}
    outside = parts["train"].task.labels.index("O")
    return {
        split: np.array([usual.get(word, outside) for example in getattr(data, split) for word in example.words], dtype=np.float64)
        for split in ("validation", "test")
    }


def _fitted(task: Task, parts: Mapping[str, Labelled], vectors: Vectors) -> tuple[dict[str, NDArray[np.float64]], str]:
    """Fits a linear model at each strength, and keeps the best one on validation."""
    from sklearn.linear_model import LogisticRegression, Ridge

    best: tuple[float, float, Any] | None = None
    for strength in STRENGTHS:
        model: Any = Ridge(alpha=1 / strength) if task.kind == "regression" else LogisticRegression(C=strength, max_iter=1000)
        model.fit(vectors["train"], parts["train"].labels)
        score = parts["validation"].score(model.predict(vectors["validation"]))
        if best is None or score > best[0]:
            best = score, strength, model
    assert best is not None
    chosen = f"alpha = {1 / best[1]:g}" if task.kind == "regression" else f"C = {best[1]:g}"
    return {split: np.asarray(best[2].predict(vectors[split]), np.float64) for split in ("validation", "test")}, chosen


def _word_vectors(data: TaskData) -> Vectors:
    from sklearn.feature_extraction.text import TfidfVectorizer

    chinese = language_of(data) == "zh"
    words = TfidfVectorizer(
        analyzer="char" if chinese else "word",
        token_pattern=r"(?u)\b\w+\b",
        ngram_range=(1, 2),
        sublinear_tf=True,
        min_df=1 if len(data.train) < 200 else 2,
    )
    texts = {split: [(e.text, e.pair) for e in cast(Sequence[Example], getattr(data, split))] for split in SPLITS}
    words.fit([text for pair in texts["train"] for text in pair if text is not None])
    return {split: _read_by(words.transform, rows) for split, rows in texts.items()}


def _read_by(transform: Callable[[list[str]], Any], rows: Sequence[tuple[str, str | None]]) -> Any:
    """Returns the features of texts, or of pairs of texts."""
    first = transform([text for text, _ in rows])
    if rows[0][1] is None:
        return first
    second = transform([pair or "" for _, pair in rows])
    if isinstance(first, np.ndarray):
        return np.hstack([first, second, np.abs(first - second), first * second])
    from scipy import sparse

    return sparse.hstack([first, second, abs(first - second), first.multiply(second)]).tocsr()


def _frozen_vectors(task: Task, data: TaskData, encoder: Encoder, max_length: int) -> Vectors:
    """Returns standardised mean states of texts, or states of words."""
    from sklearn.preprocessing import StandardScaler

    from stableft.execution.run_job import quiet_transformers
    from stableft.recommend.frozen import FrozenEncoder

    quiet_transformers()
    frozen = FrozenEncoder(encoder, max_length, tagging=task.kind == "tagging")
    if task.kind == "tagging":
        vectors = {split: frozen.words([e.words for e in getattr(data, split)]) for split in SPLITS}
    else:
        rows = {split: [(e.text, e.pair) for e in cast(Sequence[Example], getattr(data, split))] for split in SPLITS}
        vectors = {split: _read_by(frozen.texts, each) for split, each in rows.items()}
    scaler = StandardScaler().fit(vectors["train"])
    return {split: scaler.transform(each) for split, each in vectors.items()}
