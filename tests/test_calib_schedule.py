"""Counts in time, and what was drawn when."""

from calib.clock_code import COUNTS
from calib.schedule import LONGEST_NS, ROUND_NS, SHORTEST_NS, Drawings, count_at, next_change_ns


def test_counts_follow_each_other_and_each_lasts_longer_than_a_refresh() -> None:
    t_ns, lengths = 12_345_678_901_234, []
    count = count_at(t_ns)
    for _ in range(COUNTS + 5):
        following_ns = next_change_ns(t_ns)
        assert count_at(following_ns - 1) == count
        count = (count + 1) % COUNTS
        assert count_at(following_ns) == count
        lengths.append(following_ns - t_ns)
        t_ns = following_ns
    assert all(SHORTEST_NS <= length <= LONGEST_NS for length in lengths[1:])
    assert len(set(lengths[1:COUNTS])) > COUNTS * 0.99  # by chance, not in a beat
    assert count_at(5) == count_at(5 + ROUND_NS) == 0


def test_drawings_tell_from_when_to_when_a_count_was_the_newest() -> None:
    drawings = Drawings(2)
    for t_ns, counts in (
        (10, (7, None)),
        (20, (8, None)),
        (25, (8, 7)),
        (30, (9, 7)),
        (90, (7, 7)),
        (95, (8, 8)),
    ):
        drawings.add(t_ns, counts)
    assert drawings.between(0, 8, before_ns=60) == (20, 30)
    assert drawings.between(0, 7, before_ns=60) == (10, 20)  # not the later round
    assert drawings.between(0, 7, before_ns=92) == (90, 95)
    assert drawings.between(0, 8, before_ns=99) is None  # not replaced yet
    assert drawings.between(0, 8, before_ns=15) is None  # not drawn yet
    assert drawings.between(0, 1000, before_ns=99) is None
    assert drawings.drawn_ns(1, 7, from_ns=0) == 25
    assert drawings.drawn_ns(1, 7, from_ns=26) is None  # it only stayed
