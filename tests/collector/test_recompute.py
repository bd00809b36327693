"""What the server adds to an exposure from the config that it names, and what it leaves open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pytest
from collector_inputs import RECEIPT

from collector.decoders import DECODERS
from collector.recompute import Recompute
from collector.request import Format, Request
from fallom.assignment import assign
from schemas.spans import SPANS
from storage.registry.errors import RegistryUnavailableError

EVEN = {"variants": [{"model": "a", "weight": 50}, {"model": "b", "weight": 50}]}
TARGET = {"individualTargets": [{"field": "customerId", "value": "vip", "variantIndex": 1}]}
RULE = {"rules": [{"conditions": [{"field": "plan", "operator": "eq", "value": "pro"}], "variantIndex": 1}]}


class Configs:
    """Version 2 of one config."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._config = {"key": "c", "version": 2, **config}

    def at(self, project: str, key: str, version: int) -> Mapping[str, Any] | None:
        return self._config if (project, key, version) == ("p", "c", 2) else None


def recomputed(config: dict[str, Any], body_format: Format = Format.EXPOSURE, **said: Any) -> dict[str, Any]:
    exposure = {"config_key": "c", "config_version": 2, "session_id": "s", "assigned_model": "a"} | said
    request = Request(body_format, json.dumps(exposure).encode(), "p")
    (row,) = Recompute(Configs(config))("exposures", DECODERS[body_format]([(request, RECEIPT)]).rows).to_pylist()
    return row


def session_of(model: str, config: dict[str, Any] = EVEN) -> str:
    """Return a session that chance gives this model."""
    return next(name for name in map(str, range(1000)) if assign({"key": "c", **config}, name).model == model)


def read(row: dict[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


@pytest.mark.parametrize(("model", "index"), [("a", 0), ("b", 1)])
def test_a_report_that_says_no_more_than_the_model_gets_index_and_reason(model: str, index: int) -> None:
    row = recomputed(EVEN, session_id=session_of(model), assigned_model=model)

    assert read(row, "variant_index", "reason") == (index, "weight")
    assert read(row, "computed_variant_index", "computed_model", "computed_reason") == (index, model, "weight")


def test_a_model_that_chance_did_not_give_shows_beside_the_one_that_it_gave() -> None:
    row = recomputed(EVEN, session_id=session_of("a"), assigned_model="b")

    assert read(row, "assigned_model", "variant_index", "reason") == ("b", 1, None)
    assert read(row, "computed_model", "computed_variant_index", "computed_reason") == ("a", 0, "weight")


def test_what_the_client_says_stays_as_it_is_also_where_it_is_wrong() -> None:
    row = recomputed(EVEN, session_id=session_of("a"), variant_index=1, reason="rule")

    assert read(row, "assigned_model", "variant_index", "reason") == ("a", 1, "rule")
    assert read(row, "computed_variant_index", "computed_reason") == (0, "weight")


def test_a_model_that_is_no_variant_has_no_index() -> None:
    assert read(recomputed(EVEN, assigned_model="z"), "variant_index", "reason") == (None, None)


def test_of_several_variants_of_one_model_the_computed_one_is_meant_and_else_none() -> None:
    twice = {"variants": [{"model": "a", "weight": 40}, {"model": "b", "weight": 20}, {"model": "a", "weight": 40}]}
    last = next(name for name in map(str, range(1000)) if assign({"key": "c", **twice}, name).variant_index == 2)

    assert recomputed(twice, session_id=last)["variant_index"] == 2
    assert recomputed(twice, session_id=session_of("b", twice))["variant_index"] is None


def test_a_customer_who_is_named_is_targeted() -> None:
    config = EVEN | {"targeting": TARGET}
    row = recomputed(config, session_id=session_of("a"), assigned_model="b", customer_id="vip")

    assert read(row, "variant_index", "reason", "computed_reason") == (1, "individual_target", "individual_target")


@pytest.mark.parametrize(
    "config",
    [
        EVEN | {"targeting": TARGET},
        EVEN | {"targeting": RULE},
        EVEN | {"sticky_by": "customer"},
    ],
)
def test_a_reason_that_depends_on_what_only_the_client_knew_stays_open(config: dict[str, Any]) -> None:
    row = recomputed(config, session_id=session_of("a"))

    assert read(row, "variant_index", "reason", "computed_reason") == (0, None, "weight")


def test_what_is_dealt_by_request_is_not_computed_from_the_session() -> None:
    config = EVEN | {"sticky_by": "request"}
    for model, index in (("a", 0), ("b", 1)):
        row = recomputed(config, session_id=session_of("a"), assigned_model=model)
        assert read(row, "variant_index", "reason", "computed_model", "computed_reason") == (index, None, None, None)


@pytest.mark.parametrize(
    ("config", "customer"),
    [(EVEN | {"targeting": TARGET}, "other"), (EVEN | {"targeting": {**RULE, "enabled": False}}, None)],
)
def test_a_reason_that_nothing_else_can_change_is_certain(config: dict[str, Any], customer: str | None) -> None:
    assert recomputed(config, session_id=session_of("a"), customer_id=customer)["reason"] == "weight"


def test_a_session_outside_of_the_traffic_is_known_as_such() -> None:
    config = EVEN | {"hash_version": 2, "traffic": 10}
    outside = next(
        name for name in map(str, range(1000)) if assign({"key": "c", **config}, name).reason == "outside_traffic"
    )

    assert read(recomputed(config, session_id=outside), "variant_index", "reason") == (0, "outside_traffic")


def test_a_fallback_stays_one_and_what_would_have_been_stands_beside_it() -> None:
    row = recomputed(EVEN, session_id=session_of("a"), assigned_model="z", reason="fallback")

    assert read(row, "variant_index", "reason") == (-1, "fallback")
    assert read(row, "computed_model", "computed_reason") == ("a", "weight")


@pytest.mark.parametrize("said", [{"config_version": 1}, {"config_key": "d"}])
def test_a_version_that_is_not_known_leaves_all_open(said: dict[str, Any]) -> None:
    row = recomputed(EVEN, **said)

    assert read(row, "variant_index", "reason", "computed_model", "computed_reason") == (None, None, None, None)


@pytest.mark.parametrize("config", [{"variants": []}, EVEN | {"hash_version": 9}])
def test_a_config_that_nobody_can_assign_by_leaves_all_open(config: dict[str, Any]) -> None:
    assert recomputed(config)["computed_model"] is None


def test_a_registry_that_cannot_be_read_does_not_lose_the_report() -> None:
    class Broken:
        def at(self, project: str, key: str, version: int) -> None:
            raise RegistryUnavailableError(f"{project} {key} {version}")

    request = Request(
        Format.EXPOSURE, b'{"config_key":"c","config_version":2,"session_id":"s","assigned_model":"a"}', "p"
    )
    rows = DECODERS[Format.EXPOSURE]([(request, RECEIPT)]).rows

    assert Recompute(Broken())("exposures", rows).equals(rows)


def test_an_assignment_of_the_servers_own_is_not_recomputed() -> None:
    # The server knew a context that made it a rule; the row does not say which.
    said = {"variant_index": 1, "assigned_model": "b", "reason": "rule", "source": "assign"}
    row = recomputed(EVEN | {"targeting": RULE}, Format.ASSIGNMENT, session_id=session_of("a"), **said)

    assert read(row, "computed_variant_index", "computed_model", "computed_reason") == (1, "b", "rule")


def test_telemetry_of_a_flag_names_the_variant_and_the_model_is_stored() -> None:
    named = {"variants": {"big": {"model": "a", "weight": 50}, "small": {"model": "b", "weight": 50}}}
    said = {"session_id": session_of("b", named), "assigned_model": "small", "source": "feature_flag.evaluation"}
    request = Request(Format.ASSIGNMENT, json.dumps({"config_key": "c", "config_version": 2, **said}).encode(), "p")
    rows = DECODERS[Format.ASSIGNMENT]([(request, RECEIPT)]).rows
    reported = pa.RecordBatch.from_pylist([rows.to_pylist()[0] | {"computed_model": None}], schema=rows.schema)

    (row,) = Recompute(Configs(named))("exposures", reported).to_pylist()

    assert read(row, "assigned_model", "variant_index", "reason", "computed_model") == ("b", 1, "weight", "b")


def test_rows_of_other_tables_are_left_alone() -> None:
    spans = pa.RecordBatch.from_pylist([{"project": "p"}], schema=SPANS.schema)

    assert Recompute(Configs(EVEN))("spans", spans) is spans
