"""Column files: four equivalent schemes, their forbidden tags, and all kinds of malformed lines."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stableft.core.errors import MissingInput
from stableft.tasks import TaggedExample, bio_labels
from stableft.tasks.readers import tag_columns

SENTENCE = "Ada Byron met the Zolk in Nether Lum Wex"
SCHEMES = {
    "BIO2": "B-per I-per O O B-org O B-loc I-loc I-loc",
    "BIO": "I-per I-per O O I-org O I-loc I-loc I-loc",
    "BMES": "B-per E-per O O S-org O B-loc M-loc E-loc",
    "BIOES": "B-per E-per O O S-org O B-loc I-loc E-loc",
}


def write(path: Path, *sentences: str, gap: str = " ", end: str = "\n") -> Path:
    """A file of sentences such as ``a/B-x b/O``."""
    text = (end * 2).join(end.join(gap.join(token.rsplit("/", 1)) for token in sentence.split()) for sentence in sentences)
    path.write_text(text + end, encoding="utf-8", newline="")
    return path


def tagged(words: str, tags: str) -> str:
    return " ".join(f"{word}/{tag}" for word, tag in zip(words.split(), tags.split(), strict=True))


def tags_of(path: Path, *, cut: bool = False) -> list[str]:
    return [" ".join(sentence.tags) for sentence in tag_columns.read_tagged(path, cut=cut)[0]]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_four_schemes_say_the_same(scheme: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a", tagged(SENTENCE, SCHEMES[scheme]), "x/O")
    assert tags_of(path) == [SCHEMES["BIO2"], "O"]
    assert tag_columns.read_tagged(path)[0][0].words == tuple(SENTENCE.split())


@pytest.mark.parametrize(("gap", "end"), [(" ", "\n"), ("\t", "\n"), ("\t", "\r\n")])
def test_gaps_and_line_ends(gap: str, end: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a", "a/B-x b/I-x", "c/O", gap=gap, end=end)
    assert tags_of(path) == ["B-x I-x", "O"]


def test_blank_lines_before_between_and_after_sentences(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes("\ufeff\n\na O\nb B-x\n\n \n\nnew\u00a0line\tO\n\n".encode())
    first, second = tag_columns.read_tagged(path)[0]
    assert (first.place(1), second.place(), second.words) == (f"{path}:4", f"{path}:8", ("new\u00a0line",))


@pytest.mark.parametrize(
    ("tags", "bio2"),
    [
        ("I-x B-x I-x", "B-x B-x I-x"),  # BIO: B only between neighbours
        ("I-x I-y I-y O I-x", "B-x B-y I-y O B-x"),
        ("B-x B-x I-x", "B-x B-x I-x"),
        ("S-x S-x S-y", "B-x B-x B-y"),
        ("B-x E-x B-x E-x", "B-x I-x B-x I-x"),
        ("O O", "O O"),
    ],
)
def test_neighbours(tags: str, bio2: str, tmp_path: Path) -> None:
    assert tags_of(write(tmp_path / "a", tagged(" ".join("w" * len(tags.split())), tags))) == [bio2]


KIND = st.sampled_from("xy")
PIECES = st.lists(
    st.lists(st.tuples(st.one_of(st.just(""), KIND), st.integers(1, 4)), min_size=1, max_size=6), min_size=1, max_size=4
)


def spell(pieces: list[tuple[str, int]], scheme: str) -> str:
    """Tags of runs of words: the kind of an entity, or "" and how many words."""
    tags: list[str] = []
    last = ""
    for kind, length in pieces:
        for i in range(length):
            alone, begins, ends = length == 1, i == 0, i == length - 1
            prefix = {
                "BIO2": "B" if begins else "I",
                "BIO": "B" if begins and last == kind else "I",
                "BMES": "S" if alone else "B" if begins else "E" if ends else "M",
                "BIOES": "S" if alone else "B" if begins else "E" if ends else "I",
            }[scheme]
            tags.append(f"{prefix}-{kind}" if kind else "O")
        last = kind
    return " ".join(tags)


@given(PIECES, st.sampled_from(list(SCHEMES)))
def test_any_entities_survive_any_scheme(tmp_path_factory: pytest.TempPathFactory, pieces: list, scheme: str) -> None:
    sentences = [spell(sentence, scheme) for sentence in pieces]
    path = tmp_path_factory.getbasetemp() / "any"
    write(path, *(tagged(" ".join("w" * len(tags.split())), tags) for tags in sentences))
    assert tags_of(path) == [spell(sentence, "BIO2") for sentence in pieces]


@pytest.mark.parametrize(
    ("sentences", "line", "reason"),
    [
        (["a/B-x", "b/O c/I-x"], 4, "I-x follows O, which BIO2 forbids"),
        (["a/B-x b/I-y"], 2, "I-y follows B-x, which BIO2 forbids"),
        (["a/B-x", "b/I-x"], 3, "I-x begins a sentence, which BIO2 forbids"),
        (["a/B-x b/E-x c/M-x"], 3, "M-x follows E-x, which BMES forbids"),
        (["a/S-x b/M-x"], 2, "M-x follows S-x, which BMES forbids"),
        (["a/B-x b/M-x c/O"], 3, "O follows M-x, which BMES forbids: the entity has no end"),
        (["a/B-x b/M-x c/E-y"], 3, "E-y follows M-x, which BMES forbids"),
        (["a/B-x b/M-x", "c/O"], 2, "M-x ends a sentence, which BMES forbids"),
        (["a/M-x b/E-x"], 1, "M-x begins a sentence, which BMES forbids"),
        (["a/B-x b/I-x", "c/S-x"], 2, "I-x ends a sentence, which BIOES forbids"),
        (["a/B-x b/O", "c/S-x"], 2, "O follows B-x, which BIOES forbids: the entity has no end"),
        (["a/B-x b/M-x c/E-x", "d/B-x e/I-x"], 2, "an M- tag, but an I- tag at {path}:6"),
        (["a/B-x", "b/U-x"], 3, "tag 'U-x', expected O, or B-"),
        (["a/o"], 1, "tag 'o', expected O"),
        (["a/B-"], 1, "tag 'B-', expected O"),
        (["a/B"], 1, "tag 'B', expected O"),
        (["a/B-x\x1b[31m"], 1, "tag 'B-x\\x1b[31m', expected O"),
    ],
)
def test_what_a_scheme_forbids_is_named(sentences: list[str], line: int, reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a", *sentences)
    with pytest.raises(MissingInput) as caught:
        tag_columns.read_tagged(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert reason.format(path=path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (b"", 1, "the file has no sentences"),
        (b"\n \n\n", 1, "the file has no sentences"),
        (b"a O\nb\n", 2, "1 columns in 'b', expected a word"),
        (b"a O\nb\t\n", 2, "1 columns"),
        (b"a O\n\tO\n", 2, "1 columns"),
        (b"a NN O\n", 1, "3 columns"),
        (b"a  O\n", 1, "2 columns in 'a  O'"),
        (b"a\tb\tO\n", 1, "3 columns"),
        (b"a O\ncaf\xe9 O\n", 2, "not UTF-8"),
    ],
)
def test_a_malformed_line_is_named(content: bytes, line: int, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(MissingInput) as caught:
        tag_columns.read_tagged(path)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert reason in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="No such file"):
        tag_columns.read_tagged(tmp_path / "no")


def test_an_entity_that_the_end_of_a_sentence_cuts_may_be_two(tmp_path: Path) -> None:
    path = write(tmp_path / "a", "a/O b/B-x c/M-x", "d/M-x e/E-x f/S-x", "g/B-x", "h/E-x")
    assert tags_of(path, cut=True) == ["O B-x I-x", "B-x I-x B-x", "B-x", "B-x"]
    with pytest.raises(MissingInput, match="follows"):
        tag_columns.read_tagged(write(tmp_path / "b", "a/O b/M-x c/E-x"), cut=True)


def test_files_of_one_task_are_in_one_scheme(tmp_path: Path) -> None:
    train, test = write(tmp_path / "train", "a/B-x b/I-x"), write(tmp_path / "test", "a/O b/I-x")
    with pytest.raises(MissingInput, match=rf"{test}:2: I-x follows O"):
        tag_columns.read_tagged(train, test)
    assert tag_columns.read_tagged(test)[0][0].tags == ("O", "B-x")  # alone, it is BIO


def test_examples_have_the_labels_they_are_given(tmp_path: Path) -> None:
    (sentences,) = tag_columns.read_tagged(write(tmp_path / "a", "a/B-y b/I-y c/O", "d/B-x"))
    assert tag_columns.to_examples(sentences, bio_labels("xyz")) == (
        TaggedExample(("a", "b", "c"), (3, 4, 0)),
        TaggedExample(("d",), (1,)),
    )
    with pytest.raises(MissingInput, match=r"a:5: entity of kind 'x', expected one of y, z"):
        tag_columns.to_examples(sentences, bio_labels("yz"))
