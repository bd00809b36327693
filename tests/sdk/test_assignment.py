"""fallom.assignment: the arms that every published client gives."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fallom.assignment import (
    BUCKET_COUNT,
    assign,
    bucket,
    effective_shares,
    targeted_variant,
    variant_keys,
    variant_list,
    walk,
)

HALVES = [{"model": "a", "weight": 50}, {"model": "b", "weight": 50}]
weights = st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=8)


def rule(field: str, operator: str, value: object, index: int = 1) -> dict[str, Any]:
    condition = {"field": field, "operator": operator, "value": value}
    return {"rules": [{"conditions": [condition], "variantIndex": index}]}


def rule_holds(operator: str, value: object, actual: object) -> bool:
    return targeted_variant(rule("plan", operator, value), None, {"plan": actual}) is not None  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("session_id", "expected"),
    [
        ("", 706_393),  # md5 d41d8cd9…
        ("session-1", 146_357),  # md5 c7af2d35…
        ("user123-convo456", 616_989),  # md5 f5f72d9d…
        ("日本語", 116_920),  # md5 00110af8…
        ("a" * 1000, 467_356),  # md5 cabe45dc…
    ],
)
def test_a_bucket_is_the_head_of_the_md5(session_id: str, expected: int) -> None:
    assert bucket(session_id) == expected


@given(st.text())
def test_a_bucket_is_in_range_and_always_the_same(session_id: str) -> None:
    head = int(hashlib.md5(session_id.encode()).hexdigest()[:8], 16)
    assert bucket(session_id) == head % BUCKET_COUNT


@pytest.mark.parametrize(
    ("shares", "session_bucket", "expected"),
    [
        ([50, 50], 0, 0),
        ([50, 50], 499_999, 0),
        ([50, 50], 500_000, 1),
        ([50, 50], 999_999, 1),
        ([0, 100], 0, 1),  # a weight of 0 never wins
        ([100, 0], 999_999, 0),
        ([10, 10], 999_999, 1),  # the last takes what is left below 100
        ([80, 80], 999_999, 1),  # what goes beyond 100 is never reached
        ([33.3, 33.3, 33.4], 332_999, 0),
        ([33.3, 33.3, 33.4], 333_000, 1),
        ([0.0001, 99.9999], 0, 0),  # one bucket of a million
        ([0.0001, 99.9999], 1, 1),
        ([0, 0], 0, 1),
        (["50", "50"], 499_999, 0),  # a client reads a weight with float()
    ],
)
def test_the_walk_takes_the_first_running_sum_above_the_bucket(
    shares: list[float], session_bucket: int, expected: int
) -> None:
    assert walk(shares, session_bucket) == expected


@given(weights, st.integers(0, BUCKET_COUNT - 1))
def test_the_walk_always_ends_at_a_variant(shares: list[float], session_bucket: int) -> None:
    index = walk(shares, session_bucket)
    reached = [sum(share * 10_000 for share in shares[: end + 1]) > session_bucket for end in range(len(shares))]
    assert index == (reached.index(True) if any(reached) else len(shares) - 1)


@given(weights, st.integers(0, BUCKET_COUNT - 2))
def test_a_higher_bucket_never_takes_an_earlier_variant(shares: list[float], session_bucket: int) -> None:
    assert walk(shares, session_bucket) <= walk(shares, session_bucket + 1)


def test_a_hundred_thousand_sessions_split_as_the_weights_say() -> None:
    config = {"variants": [{"model": "a", "weight": 12.5}, {"model": "b", "weight": 87.5}]}
    count = sum(assign(config, f"session-{number}").variant_index == 0 for number in range(100_000))
    four_sigma = 4 * (100_000 * 0.125 * 0.875) ** 0.5
    assert abs(count - 12_500) < four_sigma


@pytest.mark.parametrize(
    ("operator", "value", "actual", "expected"),
    [
        ("eq", "pro", "pro", True),
        ("eq", "pro", "Pro", False),
        ("neq", "free", "pro", True),
        ("neq", "free", "free", False),
        ("in", ["pro", "team"], "team", True),
        ("in", ["pro", "team"], "free", False),
        ("in", "a pro", "pro", False),  # a string is no list
        ("nin", ["free"], "pro", True),
        ("nin", ["free"], "free", False),
        ("nin", "free", "pro", False),
        ("contains", "@acme", "x@acme.com", True),
        ("contains", "@acme", "x@other.com", False),
        ("contains", ["a"], "a", False),
        ("startsWith", "eu-", "eu-west", True),
        ("startsWith", "eu-", "us-eu-", False),
        ("endsWith", ".gov", "nasa.gov", True),
        ("endsWith", ".gov", ".gov.uk", False),
        ("matches", "pro", "pro", False),  # an unknown operator never holds
        ("eq", 5, 5, True),
        ("contains", "4", 42, True),  # never an error in the host's call
        ("contains", "a", ["a", "b"], True),
        ("startsWith", "4", 42, True),
    ],
)
def test_an_operator_holds(operator: str, value: object, actual: object, expected: bool) -> None:
    assert rule_holds(operator, value, actual) is expected


@pytest.mark.parametrize("operator", ["eq", "neq", "in", "nin", "contains", "startsWith", "endsWith"])
@pytest.mark.parametrize("context", [None, {}, {"other": "x"}, {"plan": None}])
def test_a_missing_field_fails_every_operator(operator: str, context: Any) -> None:
    value = ["x"] if operator in {"in", "nin"} else "x"
    assert targeted_variant(rule("plan", operator, value), None, context) is None


def test_every_condition_of_a_rule_must_hold() -> None:
    conditions = [{"field": field, "operator": "eq", "value": "x"} for field in ("one", "two")]
    targeting = {"rules": [{"conditions": conditions, "variantIndex": 1}]}
    assert targeted_variant(targeting, None, {"one": "x", "two": "x"}) == (1, "rule")
    assert targeted_variant(targeting, None, {"one": "x", "two": "y"}) is None


def test_a_rule_without_conditions_takes_everyone() -> None:
    assert targeted_variant({"rules": [{"conditions": [], "variantIndex": 0}]}, None, None) == (0, "rule")


def test_the_first_matching_rule_wins() -> None:
    rules = [rule("plan", "eq", "pro", index)["rules"][0] for index in (1, 0)]
    assert targeted_variant({"rules": rules}, None, {"plan": "pro"}) == (1, "rule")


def test_an_individual_target_goes_before_the_rules() -> None:
    targeting = {"individualTargets": [{"field": "customerId", "value": "vip", "variantIndex": 0}]}
    targeting |= rule("customerId", "eq", "vip", 1)
    assert targeted_variant(targeting, "vip", None) == (0, "individual_target")
    assert targeted_variant(targeting, "other", None) is None


def test_the_customer_goes_before_a_context_field_of_the_same_name() -> None:
    targeting = rule("customerId", "eq", "vip")
    assert targeted_variant(targeting, "vip", {"customerId": "other"}) == (1, "rule")
    assert targeted_variant(targeting, "", {"customerId": "vip"}) == (1, "rule")


def test_an_individual_target_matches_any_context_field() -> None:
    targeting = {"individualTargets": [{"field": "plan", "value": "pro", "variantIndex": 1}]}
    assert targeted_variant(targeting, None, {"plan": "pro"}) == (1, "individual_target")


@pytest.mark.parametrize("enabled", [{}, {"enabled": True}, {"enabled": None}])
def test_targeting_is_on_unless_it_is_switched_off(enabled: dict[str, Any]) -> None:
    targeting = enabled | rule("plan", "eq", "pro")
    assert targeted_variant(targeting, None, {"plan": "pro"}) == (1, "rule")


def test_targeting_that_is_switched_off_names_nobody() -> None:
    targeting = {"enabled": False} | rule("plan", "eq", "pro")
    assert targeted_variant(targeting, None, {"plan": "pro"}) is None


@pytest.mark.parametrize("index", [2, 99, -3, None, "1", 1.0])
def test_an_index_that_names_no_variant_falls_through_to_the_weights(index: Any) -> None:
    config = {"variants": HALVES, "targeting": rule("plan", "eq", "pro", index)}
    assigned = assign(config, "session-1", context={"plan": "pro"})
    assert (assigned.variant_index, assigned.reason) == (0, "weight")


def test_a_first_match_beyond_the_list_does_not_try_the_next_rule() -> None:
    rules = [rule("plan", "eq", "pro", index)["rules"][0] for index in (9, 1)]
    assigned = assign({"variants": HALVES, "targeting": {"rules": rules}}, "session-1", context={"plan": "pro"})
    assert (assigned.variant_index, assigned.reason) == (0, "weight")


def test_a_targeted_session_gets_even_a_variant_of_weight_0() -> None:
    config = {
        "variants": [{"model": "a", "weight": 100}, {"model": "b", "weight": 0}],
        "targeting": rule("plan", "eq", "pro"),
    }
    assigned = assign(config, "session-1", context={"plan": "pro"})
    assert (assigned.model, assigned.reason) == ("b", "rule")


def test_the_key_of_a_variant_is_its_name_in_object_form_else_its_model() -> None:
    named = {"fast": HALVES[0], "good": HALVES[1]}
    assert variant_keys(HALVES) == ["a", "b"]
    assert variant_keys(named) == ["fast", "good"]
    assert variant_list(named) == HALVES


@given(st.text(), st.permutations(["x", "y", "z"]))
def test_both_forms_of_a_config_give_the_same_models_in_the_same_order(session_id: str, models: list[str]) -> None:
    variants = [{"model": model, "weight": 100 / 3} for model in models]
    named = {f"name of {variant['model']}": variant for variant in variants}
    listed, by_name = assign({"variants": variants}, session_id), assign({"variants": named}, session_id)
    assert (by_name.model, by_name.variant_index) == (listed.model, listed.variant_index)
    assert by_name.variant_key == f"name of {listed.model}"


def test_a_config_without_targeting_may_say_so_with_null() -> None:
    assert assign({"variants": HALVES, "targeting": None}, "session-1").model == "a"


@given(st.lists(st.floats(0, 120, allow_nan=False) | st.integers(0, 100), min_size=1, max_size=6))
def test_effective_shares_are_what_the_walk_gives(weights: list[float]) -> None:
    start = 0
    for index, share in enumerate(effective_shares(weights)):
        end = start + round(share * BUCKET_COUNT)
        if end > start:
            assert walk(weights, start) == walk(weights, end - 1) == index
        start = end
    assert start == BUCKET_COUNT


def salted(key: str, **fields: Any) -> dict[str, Any]:
    return {"key": key, "version": 1, "hash_version": 2, "variants": HALVES, **fields}


def arms(config: dict[str, Any], count: int = 20_000) -> list[int]:
    return [assign(config, f"session-{number}").variant_index for number in range(count)]


def share_alike(one: list[int], other: list[int]) -> float:
    return sum(a == b for a, b in zip(one, other, strict=True)) / len(one)


def test_with_version_1_two_tests_give_each_session_the_same_arm() -> None:
    configs = [{"key": key, "variants": HALVES} for key in ("one", "two")]
    assert share_alike(arms(configs[0]), arms(configs[1])) == 1


@pytest.mark.parametrize("other", [salted("two"), salted("one", seed="again"), {"key": "one", "variants": HALVES}])
def test_with_version_2_tests_are_independent(other: dict[str, Any]) -> None:
    four_sigma = 4 * (0.25 / 20_000) ** 0.5
    assert abs(share_alike(arms(salted("one")), arms(other)) - 0.5) < four_sigma


def test_version_2_is_the_md5_of_key_seed_and_session() -> None:
    head = hashlib.md5(b"one\x1fspring\x1fsession-1").digest()
    expected = walk([50, 50], int.from_bytes(head[:4], "big") % BUCKET_COUNT)
    assert assign(salted("one", seed="spring"), "session-1").variant_index == expected


def test_only_its_share_of_the_traffic_is_in_the_test_and_that_is_split_as_the_weights_say() -> None:
    config = salted("one", traffic=20)
    found = [assign(config, f"session-{number}") for number in range(50_000)]
    inside = [each.variant_index for each in found if each.reason == "weight"]
    assert {each.variant_index for each in found if each.reason == "outside_traffic"} == {0}
    assert abs(len(inside) - 10_000) < 4 * (50_000 * 0.2 * 0.8) ** 0.5
    assert abs(sum(inside) - len(inside) / 2) < 4 * (len(inside) * 0.25) ** 0.5


def test_more_traffic_keeps_who_was_in_the_test_where_they_were() -> None:
    for number in range(5_000):
        before, after = (assign(salted("one", traffic=share), f"session-{number}") for share in (20, 60))
        assert before.reason == "outside_traffic" or before == after


def test_a_config_that_sticks_to_customers_gives_all_their_sessions_one_arm() -> None:
    config = {"key": "one", "variants": HALVES, "sticky_by": "customer"}
    assert len({assign(config, f"session-{number}", customer_id="ann") for number in range(50)}) == 1
    assert len({assign(config, f"session-{number}") for number in range(50)}) == 2


def test_a_config_that_deals_by_request_gives_a_session_each_arm_by_its_weight() -> None:
    config = {"key": "one", "variants": HALVES, "sticky_by": "request", "hash_version": 2}
    first = sum(assign(config, "session-1", request_id=f"request-{n}").variant_index == 0 for n in range(20_000))
    assert abs(first - 10_000) < 4 * (20_000 * 0.25) ** 0.5
    assert len({assign(config, f"session-{number}", request_id="request-1") for number in range(50)}) == 1
    # Who names none goes by the session, as the published clients do.
    by_session = {**config, "sticky_by": "session"}
    assert all(assign(config, f"s-{number}") == assign(by_session, f"s-{number}") for number in range(50))
    assert assign(by_session, "s", request_id="r") == assign(by_session, "s")


def test_a_negative_index_counts_from_the_end_as_in_the_published_clients() -> None:
    def arm(index: int) -> tuple[int, str]:
        targeting = {"individualTargets": [{"field": "customerId", "value": "ann", "variantIndex": index}]}
        found = assign({"variants": HALVES, "targeting": targeting}, "session-1", customer_id="ann")
        return found.variant_index, found.reason

    assert [arm(index) for index in (-1, -2)] == [(1, "individual_target"), (0, "individual_target")]
    assert {arm(index)[1] for index in (2, -3)} == {"weight"}


@pytest.mark.parametrize("config", [{"variants": []}, {"variants": {}}, {"variants": HALVES, "hash_version": 3}])
def test_what_nobody_can_assign_by_is_an_error(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"has no variants|known are 1 and 2"):
        assign(config, "session-1")
