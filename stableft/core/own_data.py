"""OwnData: how a user's own file is read and whose settings its runs have; part of a configuration."""

from typing import Literal

from stableft.core.technique import Frozen


class OwnData(Frozen):
    """A user's own file and the choices made for it.

    Runs record it, so that results say what they are. It is no part of a run's identity, which
    holds the content that was read (`stableft.core.config.run_id`).

    Attributes:
        source: Format and name of the file, without the folders above it: ``csv:reviews.csv``.
        like: The protocol's task whose settings the runs have; "" before it is chosen.
        text: Column of the text, in tagged files a number from 1; None: ``text``, or the first one.
        pair: Column of the second text; None: ``pair``, if there is one.
        label: Column of the class, in tagged files the number of the tag's; None: ``label``, or the
            last one.
        score: Column of the number to predict; None: ``score``.
        split: Column of the split's name; None: ``split``, if there is one.
        encoding: Encoding of the file; None: UTF-8, or what its byte-order mark says.
        on_duplicates: For inputs that occur twice: stop, keep or drop (`stableft.tasks.user_splits`).
        on_variants: Labels that differ only by space, case or quotes: stop, merge or keep.
    """

    source: str = ""
    like: str = ""
    text: str | None = None
    pair: str | None = None
    label: str | None = None
    score: str | None = None
    split: str | None = None
    encoding: str | None = None
    on_duplicates: Literal["stop", "keep", "drop"] = "stop"
    on_variants: Literal["stop", "merge", "keep"] = "stop"

    def flags(self) -> list[str]:
        """Returns the options of a command that reads the file in the same way."""
        chosen = self.model_dump(exclude_defaults=True, exclude={"source", "like"})
        return [word for name, value in chosen.items() for word in (f"--{name.replace('_', '-')}", str(value))]
