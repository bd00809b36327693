"""Real instrumentors call a fake provider and export to a real server: the rows say what was served."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from recordings.cases import CASES, TOOL_NAME
from recordings.expectations import expected, found
from recordings.rows import inferences, spans
from recordings.runs import RUNS, Recorded
from server_process import ServerProcess

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CALLS = [pytest.param(run.name, call, id=f"{run.name}-{call}") for run in RUNS.values() for call in run.calls]
AGENTS = [
    pytest.param(run.name, call, id=f"{run.name}-{call}")
    for run in RUNS.values()
    for call in run.calls
    if call.endswith(".agent")
]


@pytest.mark.parametrize(("run", "call"), CALLS)
def test_a_row_says_what_was_served(
    server: ServerProcess, recorded: Callable[[str], dict[str, Recorded]], run: str, call: str
) -> None:
    outcome = recorded(run)[call]

    rows = inferences(server, outcome)

    assert (outcome.error is None) is (CASES[call.split(".")[1]].status == 200), outcome.error
    assert len(rows) == len(outcome.served), [(row["scope_name"], row["name"]) for row in rows]
    for turn, row in enumerate(rows):
        assert found(row, call, turn, outcome.served) == expected(run, call, turn)


@pytest.mark.parametrize(("run", "call"), AGENTS)
def test_a_tool_that_ran_has_a_row(
    server: ServerProcess, recorded: Callable[[str], dict[str, Recorded]], run: str, call: str
) -> None:
    outcome = recorded(run)[call]

    tools = [row for row in spans(server, outcome) if row["tool_name"] is not None]

    assert [(row["tool_name"], row["is_inference"], row["cost"]) for row in tools] == [(TOOL_NAME, False, None)]
