"""Admission: bytes in flight never go beyond the budget, and all come back."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.admission import Admission
from collector.component import AdmissionError, DecodeError, RetryableError


def test_what_fits_is_admitted_and_what_goes_beyond_is_refused_whole() -> None:
    admission = Admission(100)
    admission.acquire(100)

    with pytest.raises(AdmissionError, match="100 bytes are in flight, the limit is 100") as refusal:
        admission.acquire(1)

    assert isinstance(refusal.value, RetryableError)
    assert admission.bytes_in_flight == 100
    admission.release(60)
    admission.acquire(60)
    assert admission.bytes_in_flight == 100


@given(st.lists(st.integers(0, 40), max_size=30))
def test_bytes_in_flight_are_the_sum_of_what_was_admitted(sizes: list[int]) -> None:
    admission = Admission(100)
    admitted = []
    for size in sizes:
        try:
            admission.acquire(size)
        except AdmissionError:
            assert sum(admitted) + size > 100
        else:
            admitted.append(size)

    assert admission.bytes_in_flight == sum(admitted) <= 100


def test_threads_lose_no_byte() -> None:
    admission = Admission(10**9)

    def work() -> None:
        for size in range(2000):
            admission.acquire(size)
            admission.release(size)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert admission.bytes_in_flight == 0


def test_refused_requests_are_counted_by_transport_and_reason() -> None:
    admission = Admission(10)
    for transport in ("grpc", "http", "grpc"):
        admission.share(transport).count_refusal(AdmissionError("full"))
    admission.share("http").count_refusal(DecodeError("broken"))

    assert admission.refused == {("grpc", "admission"): 2, ("http", "admission"): 1, ("http", "malformed"): 1}


def test_a_share_gives_back_what_it_has_and_once() -> None:
    admission = Admission(100)
    share = admission.share("http")
    share.grow(60)
    share.grow(20)
    share.shrink(50)
    with pytest.raises(AdmissionError):
        share.grow(71)

    assert admission.bytes_in_flight == share.size_bytes == 30
    share.release()
    share.release()
    assert admission.bytes_in_flight == 0


def test_a_share_that_was_handed_over_is_its_heir_s_alone() -> None:
    admission = Admission(100)
    share = admission.share("http")
    share.grow(60)

    heir = share.handed_over()
    share.release()

    assert admission.bytes_in_flight == heir.size_bytes == 60
    heir.release()
    assert admission.bytes_in_flight == 0


def test_the_budget_is_nearly_spent_when_an_eighth_is_left() -> None:
    admission = Admission(80)
    admission.acquire(69)
    assert not admission.is_nearly_spent

    admission.acquire(1)

    assert admission.is_nearly_spent
