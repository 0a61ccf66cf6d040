"""Kept probabilities: those that collected tables hold, for some examples of a split, in 16 bits.

Runs of one split differ in all bits of all probabilities, which no compression removes. The files
of runs keep them all; the collected tables are committed, and keep what the statistics need.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stableft.core.seeds import stream

NUM_KEPT = 2000  # examples of a large split
LARGE = 3000  # a split of more examples is large; the others keep all


def kept_examples(num_examples: int) -> NDArray[np.bool_]:
    """Draws the examples of a split whose probabilities are kept, by a stream of seed 0.

    They are the same for every run, so that the distributions of two runs can be compared.

    Returns:
        (``num_examples``,): True for `NUM_KEPT` of them, or for all if there are no more than `LARGE`.
    """
    kept = np.ones(num_examples, bool)
    if num_examples > LARGE:
        kept[stream(0, "probabilities").permutation(num_examples)[NUM_KEPT:]] = False
    return kept


def with_kept_probabilities(table: pa.Table) -> pa.Table:
    """Removes the probabilities of all other examples, and rounds the kept ones to 16 bits.

    Rows stay; the probabilities of other examples become empty lists. A number keeps 11 significant
    bits, or is off by at most 3e-8. A second call changes nothing. What is not finite stays so.

    Args:
        table: Predictions with the columns ``example`` and ``probabilities`` (lists of floats),
            run by run and split by split, each in the order of its examples. Other rows have no
            example and no probabilities.
    """
    if not len(table):  # of diverged runs alone, or left out: then perhaps of no type
        return table
    lists = table["probabilities"].combine_chunks()
    sizes = np.diff(lists.offsets.to_numpy()) * lists.is_valid().to_numpy(zero_copy_only=False)
    examples = table["example"].combine_chunks().fill_null(-1).to_numpy()

    # A split of a run begins with example 0. Tagging repeats its examples, but has no probabilities.
    starts = np.append(np.flatnonzero(examples == 0), len(examples))
    kept = np.ones(len(examples), bool)
    for number in np.flatnonzero(np.diff(starts) > LARGE):
        kept[starts[number] : starts[number + 1]] = kept_examples(starts[number + 1] - starts[number])

    values = lists.flatten().to_numpy(zero_copy_only=False)[np.repeat(kept, sizes)]
    with np.errstate(over="ignore"):
        values = values.astype(np.half)
    offsets = np.concatenate([[0], np.cumsum(sizes * kept)]).astype(np.int32)
    thin = pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), mask=lists.is_null())
    return table.set_column(table.column_names.index("probabilities"), "probabilities", thin)
