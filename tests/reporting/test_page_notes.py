"""Captions in parts, and what they share."""

from stableft.reporting.page_notes import CaptionParts, shared_notes, split_caption

RUNS = "Experiment adam, protocol laptop; scored: rte on test. Runs per arm: n = 3. Run set 0123456789ab."


def test_a_caption_has_a_first_sentence_a_rest_and_its_runs() -> None:
    text = f"Final score of every run (Zhang et al. 2021). Boxes: quartiles. Dotted: majority. {RUNS}"
    assert split_caption(text) == CaptionParts(
        "Final score of every run (Zhang et al. 2021).", "Boxes: quartiles. Dotted: majority.", RUNS
    )
    assert split_caption(f"One. {RUNS} Code 12.") == CaptionParts("One.", "", RUNS)
    assert split_caption(f"Arms, as Zhang et al. have them. p: of the test. {RUNS}").first == "Arms, as Zhang et al. have them."
    assert split_caption(RUNS) == CaptionParts("", "", RUNS)
    assert split_caption("Somebody else's. Two.") == CaptionParts("Somebody else's.", "Two.")
    assert split_caption("") == CaptionParts()


def test_what_occurs_once_or_is_empty_is_no_note() -> None:
    notes = shared_notes([("a", "x"), ("b", ""), ("c", "y"), ("a", "y"), ("c", "y"), ("d", "")])
    assert list(notes) == ["y"]
    assert (notes["y"].number, notes["y"].names) == (1, ("c", "a"))
