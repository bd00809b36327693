"""Readiness: starting, ready, with obstacles, draining; a check that hangs; who is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from server import readiness
from server.readiness import Readiness


class Disk:
    """What the checks find."""

    def __init__(self) -> None:
        self.obstacles: list[str] = []
        self.answers = threading.Event()
        self.answers.set()
        self.error: Exception | None = None

    def check(self) -> list[str]:
        self.answers.wait(20)
        if self.error:
            raise self.error
        return self.obstacles


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def made(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Iterator[Readiness]:
    monkeypatch.setattr(readiness, "CHECK_INTERVAL_S", 0.01)
    monkeypatch.setattr(readiness, "CHECK_S_MAX", 0.3)
    made = Readiness(disk.check, warnings=lambda: ["slow"])
    yield made
    made.stop()
    disk.answers.set()


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_is_not_ready_before_it_has_started(made: Readiness) -> None:
    assert made.reasons() == ("the server is starting",)


def test_it_is_ready_once_started_unless_something_is_found(made: Readiness, disk: Disk) -> None:
    told: list[bool] = []
    made.on_change(told.append)
    made.start()
    assert (made.reasons(), made.warnings()) == ((), ("slow",))

    disk.obstacles = ["the disk is full"]
    until(lambda: made.reasons() == ("the disk is full",))
    disk.obstacles = []
    until(lambda: made.reasons() == ())

    until(lambda: told == [True, False, True])


def test_a_check_that_hangs_is_a_reason_and_is_told(made: Readiness, disk: Disk) -> None:
    told: list[bool] = []
    made.on_change(told.append)
    made.start()

    disk.answers.clear()

    until(lambda: told == [True, False])
    assert "has not answered for" in made.reasons()[0]
    disk.answers.set()
    until(lambda: told == [True, False, True])


def test_a_check_that_fails_is_a_reason_and_ends_nothing(made: Readiness, disk: Disk) -> None:
    made.start()
    disk.error = ValueError("x")
    until(lambda: made.reasons() == ("readiness could not be checked; the server's log says why",))

    disk.error = None

    until(lambda: made.reasons() == ())


def test_a_server_that_drains_is_not_ready_whatever_is_found(made: Readiness) -> None:
    made.start()
    made.drain()
    time.sleep(0.05)

    assert made.reasons() == ("the server is shutting down",)
