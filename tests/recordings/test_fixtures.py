"""What instrumentors exported when the fixtures were made: a server makes the same of it without them."""

from __future__ import annotations

import pytest
from recordings.expectations import expected, found
from recordings.record import fixture
from recordings.rows import inferences
from recordings.runs import RUNS
from server_process import ServerProcess


@pytest.mark.parametrize("run", RUNS)
def test_the_rows_of_a_recording_say_what_was_served(server: ServerProcess, run: str) -> None:
    recorded, body = fixture(run)
    status, _, answer = server.request("POST", "/v1/traces", body, {"Content-Type": "application/x-protobuf"})
    assert status == 200, answer

    rows = {call: inferences(server, outcome) for call, outcome in recorded.items()}

    assert {call: len(of_call) for call, of_call in rows.items()} == {
        call: len(outcome.served) for call, outcome in recorded.items()
    }
    assert {
        (call, turn): found(row, call, turn, recorded[call].served)
        for call, of_call in rows.items()
        for turn, row in enumerate(of_call)
    } == {(call, turn): expected(run, call, turn) for call, of_call in rows.items() for turn in range(len(of_call))}


def test_each_run_has_a_fixture_of_all_its_calls() -> None:
    assert {name: tuple(fixture(name)[0]) for name in RUNS} == {name: run.calls for name, run in RUNS.items()}
