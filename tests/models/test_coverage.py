"""Coverage against the tokenizer that training uses: unknown pieces, cut texts and words, empty inputs."""

import numpy as np
import pytest

from stableft.core.errors import MissingInput
from stableft.models import coverage
from stableft.models.encoders import Encoder
from stableft.models.loading import load_tokenizer
from stableft.models.tokens import tokenise
from stableft.tasks import Example, TaggedExample, TaskData
from stableft.tasks.catalog import get_task


@pytest.mark.parametrize(("task", "length"), [("toy", 8), ("toytag", 8), ("toy", 32)])
def test_it_measures_what_training_reads(task: str, length: int, tiny_encoder: Encoder) -> None:
    found = get_task(task)
    data = found.load()
    measured = coverage.measure(data, tiny_encoder, length)
    tokenizer = load_tokenizer(tiny_encoder, tagging=found.kind == "tagging")
    splits = [split for split in (data.train, data.validation, data.test) if split]
    cut = [tokenise(split, tokenizer, max_length=length, lower_case=False) for split in splits]
    whole = [tokenise(split, tokenizer, max_length=10_000, lower_case=False) for split in splits]
    assert measured is not None
    assert measured.examples == sum(map(len, splits))
    assert measured.cut == sum(int((a.lengths < b.lengths).sum()) for a, b in zip(cut, whole, strict=True))
    unknown = sum(int((tokens.ids == tokenizer.unk_token_id).sum()) for tokens in whole)
    assert (measured.unknown, measured.empty) == (unknown, 0)
    if found.kind == "tagging":
        lost = sum(int((tokens.words == -1).sum()) for tokens in cut if tokens.words is not None)
        assert (measured.cut_units, measured.units) == (lost, sum(len(e.tags) for split in splits for e in split))
    else:
        assert measured.cut_units == sum(int(b.lengths.sum() - a.lengths.sum()) for a, b in zip(cut, whole, strict=True))
        specials = tokenizer.num_special_tokens_to_add(found.pairs)
        assert measured.pieces == sum(int(tokens.lengths.sum()) - specials * len(tokens) for tokens in whole)


def test_unknown_words_and_empty_texts_are_counted(tiny_encoder: Encoder) -> None:
    rows = (Example("alin zzz", None, 0), Example(" ", None, 1))
    measured = coverage.measure(TaskData(rows, rows[:1], unlabelled=rows[:1]), tiny_encoder, 32)
    assert measured is not None
    assert (measured.examples, measured.empty, measured.pieces, measured.unknown) == (4, 1, 6, 3)
    assert measured.is_refused
    assert measured.facts["shares"] == {"unknown": 0.5, "cut": 0.0, "cut_units": 0.0, "empty": 0.25}
    said = coverage.described(measured, "tiny", 32, tagged=False)
    assert said == "tiny: 50.0 % of the pieces unknown; none of the texts cut at 32 pieces; 25.0 % of the texts empty"


def test_a_word_without_pieces_is_unknown(tiny_encoder: Encoder) -> None:
    sentence = TaggedExample(("alin", "\u200b", "zzz", "dorn"), (0, 0, 0, 0))
    measured = coverage.measure(TaskData((sentence,), ()), tiny_encoder, 5)
    assert measured == coverage.Coverage(examples=1, cut=1, pieces=4, unknown=2, units=4, cut_units=1)
    tokens = tokenise([sentence], load_tokenizer(tiny_encoder, tagging=True), max_length=5, lower_case=False)
    assert tokens.words is not None
    assert np.count_nonzero(tokens.words == -1) == 1


def test_large_splits_are_sampled(tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "MOST", 10)
    rows = tuple(Example("alin" if i % 2 else "zzz", None, 0) for i in range(25))
    measured = coverage.measure(TaskData(rows, ()), tiny_encoder, 32)
    assert measured is not None
    assert measured.examples == 9


def test_a_tokenizer_that_cant_be_read_is_named(tmp_path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(MissingInput, match="no tokenizer can be read from"):
        coverage.measure(TaskData((), ()), Encoder("x", tmp_path, ""), 32)
    (tmp_path / "tokenizer.json").unlink()
    assert coverage.measure(TaskData((), ()), Encoder("x", tmp_path, ""), 32) is None
