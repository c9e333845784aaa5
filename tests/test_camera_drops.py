"""Every drop is counted; the latest are known one by one, in constant memory."""

from realtime.camera.drops import REASONS, Drop, DropLog


def test_counts_are_over_all_and_the_latest_are_kept_in_order() -> None:
    log = DropLog(latest=4)
    for index in range(10):
        log.add(index, REASONS[index % 2], 1000 + index)
    assert log.counts == {**dict.fromkeys(REASONS, 0), REASONS[0]: 5, REASONS[1]: 5}
    assert log.latest() == [Drop(index, REASONS[index % 2], 1000 + index) for index in range(6, 10)]


def test_nothing_dropped() -> None:
    assert DropLog().latest() == []
    assert set(DropLog().counts.values()) == {0}
