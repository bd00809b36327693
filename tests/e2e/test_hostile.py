"""Malformed requests by the thousand: no 5xx but 503, each answered, no row lost. `make hostile`: a million."""

from __future__ import annotations

import random

import pytest
from hostile.run import Report, attack, prepare, unharmed
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

REQUESTS = 4_000


def test_malformed_requests_are_answered_and_harm_nothing(server: ServerProcess) -> None:
    prepare(server)
    seed = random.SystemRandom().randrange(10**6)

    report = Report()
    attack(server, REQUESTS, seed, report)

    assert report.outcomes.total() == REQUESTS
    assert report.wrong == [], f"seed {seed}"
    assert unharmed(server)
    assert "Traceback" not in server.log()
    assert report.outcomes["http 400"] > REQUESTS / 4
