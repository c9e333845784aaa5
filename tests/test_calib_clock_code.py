"""The clock's numbers: words far apart, a change between neighbours is one of the two, doubt is no number."""

import numpy as np
import pytest

from calib.clock_code import CODE_WORDS, COUNTS, WORD_BOXES, read_word


def test_any_two_words_differ_in_four_boxes_or_more() -> None:
    differing = (WORD_BOXES - CODE_WORDS @ CODE_WORDS.T) / 2
    np.fill_diagonal(differing, WORD_BOXES)
    assert differing.min() == 4
    neighbours = differing[np.arange(COUNTS), (np.arange(COUNTS) + 1) % COUNTS]
    assert set(neighbours) == {4, 6}  # one bit of the Gray code, and the checks it takes part in


def test_every_clean_word_is_read() -> None:
    assert [read_word(word) for word in CODE_WORDS] == list(range(COUNTS))


def test_a_change_is_read_as_one_of_the_two_and_nothing_else() -> None:
    chance = np.random.default_rng(0)
    for count in range(COUNTS):
        following = (count + 1) % COUNTS
        share = chance.uniform()
        boxes = (1 - share) * CODE_WORDS[count] + share * CODE_WORDS[following]
        nearer = following if share > 0.5 else count
        got = read_word(boxes + chance.normal(0, 0.1, WORD_BOXES))
        assert got == nearer or (abs(share - 0.5) < 0.2 and got in (None, count, following))


def test_one_wrong_box_is_mended() -> None:
    for count in range(0, COUNTS, 7):
        for box in range(WORD_BOXES):
            boxes = CODE_WORDS[count].copy()
            boxes[box] *= -1
            assert read_word(boxes) == count


def test_two_covered_boxes_do_no_harm_and_more_are_never_read_wrong() -> None:
    chance = np.random.default_rng(2)
    for count in range(0, COUNTS, 5):
        for covered in (2, 3, 4):
            boxes = CODE_WORDS[count].copy()
            boxes[chance.choice(WORD_BOXES, covered, replace=False)] = 0
            assert read_word(boxes) in ((count,) if covered == 2 else (None, count))


@pytest.mark.parametrize("boxes", [np.zeros(WORD_BOXES), np.full(WORD_BOXES, 0.3), -0.2 * CODE_WORDS[5]])
def test_grey_is_no_number(boxes) -> None:
    assert read_word(boxes.astype(np.float32)) is None


def test_chance_is_rarely_a_number_and_two_wrong_boxes_never_another() -> None:
    chance = np.random.default_rng(1)
    noise = chance.uniform(-1, 1, (2000, WORD_BOXES)).astype(np.float32)
    assert sum(read_word(boxes) is not None for boxes in noise) < 20
    for count in range(0, COUNTS, 11):
        boxes = CODE_WORDS[count].copy()
        boxes[chance.choice(WORD_BOXES, 2, replace=False)] *= -1
        assert read_word(boxes) in (None, count, (count - 1) % COUNTS, (count + 1) % COUNTS)
