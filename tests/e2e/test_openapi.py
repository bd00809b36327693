"""Requests made from the API's own description, right and wrong ones: each answer is one that the description has."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from server_process import ServerProcess

pytestmark = pytest.mark.e2e

EXAMPLES = 25
load_all_checks()
WANTED = CHECKS.get_by_names(["status_code_conformance", "content_type_conformance", "response_schema_conformance"])


def test_every_answer_is_one_that_the_description_has(shared_server: ServerProcess) -> None:
    schema = schemathesis.openapi.from_url(f"{shared_server.url}/openapi.json")
    tried = {}
    for operation in (found.ok() for found in schema.get_all_operations()):
        for mode in GenerationMode:

            @settings(
                max_examples=EXAMPLES, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
            )
            @given(operation.as_strategy(generation_mode=mode))
            def send(case: Case) -> None:
                answer = case.call(timeout=20)
                assert answer.status_code < 500 or answer.status_code == 503, answer.text
                case.validate_response(answer, checks=WANTED)
                tried[case.operation.label] = tried.get(case.operation.label, 0) + 1

            try:
                send()
            except Unsatisfiable:
                # A route that takes nothing can't be asked for wrongly.
                assert mode is GenerationMode.NEGATIVE

    assert tried.keys() == {found.ok().label for found in schema.get_all_operations()}
    assert "Traceback" not in shared_server.log()
