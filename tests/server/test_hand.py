"""A worker as the supervisor sees it: how often it ended in a row."""

from posthouse.server.hand import Hand


def test_a_worker_that_cannot_even_be_started_ends_quickly_each_time() -> None:
    hand = Hand(1)
    assert hand.count_end(0.0) == 0  # it ran for long, and was not begun again since
    assert [hand.count_end(10.0) for _ in range(3)] == [1, 2, 3]
