"""Requests made from the API's own description, right and wrong ones: each answer is one that the description has."""

from __future__ import annotations

import pytest
import schemathesis
from collector_inputs import export, span
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from server_process import ServerProcess

from server.scopes import PUBLIC_PATHS, SCOPES

pytestmark = pytest.mark.e2e

EXAMPLES = 6
# A stream that does not end.
ENDLESS = "GET /traces/live"
PROTOBUF = "application/x-protobuf"
load_all_checks()
schemathesis.openapi.media_type(PROTOBUF, st.binary(max_size=200) | st.just(export(span())))
WANTED = CHECKS.get_by_names(["status_code_conformance", "content_type_conformance", "response_schema_conformance"])


@schemathesis.serializer(PROTOBUF)
def serialize(_: schemathesis.SerializationContext, value: object) -> bytes:
    return value if isinstance(value, bytes) else repr(value).encode()


def test_every_path_is_described(shared_server: ServerProcess) -> None:
    _, described = shared_server.get("/openapi.json")

    expected = {path.replace(":path}", "}") for path in SCOPES} | PUBLIC_PATHS
    assert described["paths"].keys() == expected - {"/openapi.json"}
    assert described["components"]["securitySchemes"].keys() == {"bearer", "api_key"}
    assert all(path in PUBLIC_PATHS for path, operations in described["paths"].items() if "security" in str(operations))


# Each of the paths is asked a dozen times.
@pytest.mark.timeout(900)
def test_every_answer_is_one_that_the_description_has(shared_server: ServerProcess) -> None:
    schema = schemathesis.openapi.from_url(f"{shared_server.url}/openapi.json")
    answers: dict[str, set[int]] = {}
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in (found for found in operations if found.label != ENDLESS):
        for mode in GenerationMode:

            @settings(
                max_examples=EXAMPLES, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
            )
            @given(operation.as_strategy(generation_mode=mode))
            def send(case: Case) -> None:
                answer = case.call(timeout=20)
                assert answer.status_code < 500 or answer.status_code == 503, answer.text
                case.validate_response(answer, checks=WANTED)
                answers.setdefault(case.operation.label, set()).add(answer.status_code)

            try:
                send()
            except Unsatisfiable:
                # A route that takes nothing can't be asked for wrongly.
                assert mode is GenerationMode.NEGATIVE

    assert answers.keys() == {found.label for found in operations} - {ENDLESS}
    for path in ("/v1/traces", "/v1/logs", "/v1/metrics", "/spans"):
        assert {200, 400} <= answers[f"POST {path}"]
    assert "Traceback" not in shared_server.log()


def test_an_answer_that_the_description_does_not_have_is_found(shared_server: ServerProcess) -> None:
    schema = schemathesis.openapi.from_url(f"{shared_server.url}/openapi.json")
    for path in ("/v1/traces", "/spans"):
        case = schema[path]["POST"].Case(body={"resourceSpans": []}, media_type="application/json")
        answer = case.call(timeout=20)
        answer.status_code = 302

        with pytest.raises(FailureGroup, match="Undocumented status code"):
            case.validate_response(answer, checks=WANTED)
