"""The OpenFeature provider assigns as models.get does."""

import pytest
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from openfeature.flag_evaluation import Reason
from sdk_server import CONFIG, FakeServer, as_it_should, said

import fallom
from fallom.assignment import assign
from fallom.openfeature import FallomProvider

pytestmark = pytest.mark.usefixtures("sdk")

TARGETING = {
    "individualTargets": [{"field": "customerId", "value": "ann", "variantIndex": 1}],
    "rules": [{"conditions": [{"field": "plan", "operator": "eq", "value": "pro"}], "variantIndex": 0}],
}


@pytest.fixture
def client(fake: FakeServer) -> api.OpenFeatureClient:
    config = {**CONFIG, "targeting": TARGETING}
    fake.answer = lambda asked: said({"configs": [config]}) if asked.path == "/configs" else as_it_should(asked)
    fallom.init(api_key="key", base_url=fake.url)
    # It waits for the first configs by itself.
    api.set_provider_and_wait(FallomProvider())
    yield api.get_client()
    api.shutdown()


def test_a_session_gets_its_model_and_the_server_hears_of_it(client: api.OpenFeatureClient, fake: FakeServer) -> None:
    details = client.get_string_details("agent", "mine", EvaluationContext("session-1"))
    expected = assign(CONFIG, "session-1")
    assert (details.value, details.variant, details.reason) == (expected.model, expected.variant_key, Reason.SPLIT)
    assert details.flag_metadata["variant_index"] == expected.variant_index
    assert fallom.flush(30)
    assert [event["session_id"] for event in fake.events("/sessions")] == ["session-1"]


@pytest.mark.parametrize(("attribute", "index"), [({"customerId": "ann"}, 1), ({"plan": "pro"}, 0)])
def test_targeting_goes_by_the_context(client: api.OpenFeatureClient, attribute: dict[str, str], index: int) -> None:
    for number in range(5):
        details = client.get_string_details("agent", "mine", EvaluationContext(f"session-{number}", attribute))
        assert (details.flag_metadata["variant_index"], details.reason) == (index, Reason.TARGETING_MATCH)


def test_what_cant_be_evaluated_is_the_default_and_says_why(client: api.OpenFeatureClient) -> None:
    context = EvaluationContext("session-1")
    assert client.get_string_details("nowhere", "mine", context).error_code is ErrorCode.FLAG_NOT_FOUND
    assert client.get_string_details("agent", "mine").error_code is ErrorCode.TARGETING_KEY_MISSING
    assert client.get_boolean_details("agent", True, context).error_code is ErrorCode.TYPE_MISMATCH
    assert client.get_integer_value("agent", 7, context) == 7
    assert client.get_float_value("agent", 7.5, context) == 7.5
    assert client.get_object_value("agent", {"a": 1}, context) == {"a": 1}
    assert client.get_string_value("nowhere", "mine", context) == "mine"
