"""Own options: how a user's own file is read, for every command that names one."""

from typing import Annotated, Any, cast

from stableft.cli.common import option
from stableft.core.errors import UsageError, quoted
from stableft.core.own_data import OwnData

PANEL = "Own files"
DUPLICATES = ("stop", "keep", "drop")
VARIANTS = ("stop", "merge", "keep")

TextColumn = Annotated[str | None, option("Column of the text (bio: a number).", "--text", panel=PANEL)]
PairColumn = Annotated[str | None, option("Column of the second text.", "--pair", panel=PANEL)]
LabelColumn = Annotated[str | None, option("Column of the class (bio: of the tag, a number).", "--label", panel=PANEL)]
ScoreColumn = Annotated[str | None, option("Column of the number to predict.", "--score", panel=PANEL)]
SplitColumn = Annotated[str | None, option("Column of the split's name.", "--split", panel=PANEL)]
EncodingName = Annotated[str | None, option("Such as cp1252 or gb18030; by default UTF-8.", "--encoding", panel=PANEL)]
OnDuplicates = Annotated[str, option("Inputs that occur twice: stop, keep or drop.", "--on-duplicates", panel=PANEL)]
OnVariants = Annotated[
    str, option("Labels that differ by space, case or quotes: stop, merge or keep.", "--on-variants", panel=PANEL)
]


def read_own_data(
    text: TextColumn = None,
    pair: PairColumn = None,
    label: LabelColumn = None,
    score: ScoreColumn = None,
    split: SplitColumn = None,
    encoding: EncodingName = None,
    on_duplicates: OnDuplicates = "stop",
    on_variants: OnVariants = "stop",
) -> OwnData:
    """Returns the options of a command as `OwnData`.

    Raises:
        UsageError: A rule has another value than those that exist.
    """
    for name, value, rules in (("duplicates", on_duplicates, DUPLICATES), ("variants", on_variants, VARIANTS)):
        if value not in rules:
            raise UsageError(f"--on-{name} {quoted(value)}: write {', '.join(rules[:-1])} or {rules[-1]}")
    return OwnData(
        text=text,
        pair=pair,
        label=label,
        score=score,
        split=split,
        encoding=encoding,
        on_duplicates=cast(Any, on_duplicates),
        on_variants=cast(Any, on_variants),
    )
