"""The numbers that the clock shows, as black and white boxes that are read right or not at all.

A count (11 bits) becomes its Gray code, of which neighbours differ in one bit (F. Gray, US patent 2632058, 1953), and
five check bits of the extended Hamming code (16,11) (R. W. Hamming, 1950; columns of odd weight: M. Y. Hsiao, 1970).
Any two words differ in four boxes or more, and what a camera sees that looks while n becomes n + 1, a mixture of both
words, is nearer to one of the two than to every other: a picture taken across a change is off by one step at most.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

DATA_BITS, CHECK_BITS = 11, 5
WORD_BOXES = DATA_BITS + CHECK_BITS
COUNTS = 1 << DATA_BITS  # counts go round: after COUNTS - 1 comes 0, which is its neighbour, too

# Boxes of 16, each 1 where it is surely right, 0 where it says nothing. A clean word has 16, at half of a change 12:
MIN_AGREEMENT = 10.5
# … and a word other than the neighbours has at most 8, so that 4 are between:
MIN_MARGIN = 2.5


def _code_words() -> np.ndarray:
    counts = np.arange(COUNTS)
    gray = counts ^ (counts >> 1)
    data = (gray[:, None] >> np.arange(DATA_BITS)) & 1
    # Which checks a data bit takes part in: three of five, and for the bit that changes least often all five.
    columns = np.zeros((DATA_BITS, CHECK_BITS), int)
    for row, chosen in zip(columns, [*combinations(range(CHECK_BITS), 3), range(CHECK_BITS)], strict=True):
        row[list(chosen)] = 1
    words = np.hstack([data, data @ columns % 2])
    return (2 * words - 1).astype(np.float32)


CODE_WORDS = _code_words()  # (COUNTS, WORD_BOXES) float32, 1 white, -1 black


def read_word(boxes: np.ndarray) -> int | None:
    """The count that `boxes` show, None where that is not sure.

    boxes: (WORD_BOXES,) float32, about 1 for white, -1 for black, 0 for a box that cannot be told.
    """
    agreement = CODE_WORDS @ np.clip(boxes, -1.0, 1.0)
    best = int(agreement.argmax())
    highest = float(agreement[best])
    # In the middle of a change a neighbour is as near, and as right.
    agreement[[best - 1, best, (best + 1) % COUNTS]] = -np.inf
    sure = highest >= MIN_AGREEMENT and highest - float(agreement.max()) >= MIN_MARGIN
    return best if sure else None
