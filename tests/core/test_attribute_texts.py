"""Attribute texts: descriptions of attributes are found by name, whether they share one or take several lines."""

from stableft.core.attribute_texts import attributes


def test_attributes_by_name():
    """Names that share a description each have it."""

    class Shown:
        """Something.

        Attributes:
            one: The first. It takes
                two lines: with a colon.
            two, three: Both.
        """

    both = {"two": "Both.", "three": "Both."}
    assert attributes(Shown.__doc__) == {"one": "The first. It takes two lines: with a colon.", **both}


def test_nothing_to_find():
    assert attributes(None) == attributes("A sentence.") == {}
