"""A token bucket: what it lets through, what it waits for."""

import pytest

from server.rates import BURST_S, TokenBucket


def taken(bucket: TokenBucket, now_s: float, wanted: int) -> int:
    """Take one token after the other at one moment; return how many there were."""
    count = 0
    while count < wanted and not bucket.wait_s(now_s):
        bucket.take(1)
        count += 1
    return count


def test_after_silence_a_burst_is_let_through_and_no_more() -> None:
    bucket = TokenBucket(10, 0.0)

    assert taken(bucket, 1000.0, 1000) == 10 * BURST_S


def test_over_time_the_rate_is_kept() -> None:
    bucket = TokenBucket(10, 0.0)
    taken(bucket, 0.0, 1000)

    count = sum(taken(bucket, tick / 100, 1000) for tick in range(1, 10_001))

    assert count == pytest.approx(10 * 100, abs=1)


def test_a_debt_is_waited_for() -> None:
    bucket = TokenBucket(100, 0.0)
    bucket.take(100 * BURST_S + 1000)

    assert bucket.wait_s(0.0) == pytest.approx(10, abs=0.01)
    assert bucket.wait_s(9.9) > 0
    assert bucket.wait_s(10.1) == 0


def test_after_the_wait_that_was_told_there_is_something_to_take() -> None:
    bucket = TokenBucket(0.5, 0.0)
    taken(bucket, 0.0, 1000)

    wait_s = bucket.wait_s(0.0)

    assert wait_s > 0
    assert bucket.wait_s(wait_s) == 0


def test_a_rate_of_less_than_one_in_a_burst_is_a_rate() -> None:
    bucket = TokenBucket(0.01, 0.0)

    assert taken(bucket, 0.0, 5) == 1
    assert taken(bucket, 101.0, 5) == 1
