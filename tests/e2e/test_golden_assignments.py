"""Assignments that the published 0.2.7 client makes by its own code: ours agree on every one."""

from __future__ import annotations

import json
import random
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from client_process import DRIVERS, settings

from analytics.experiments.assignments import REASONS, assign_many
from examples.client_environments import environment
from fallom.assignment import assign

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]  # the environment may have to be made first

CLIENT = "fallom-0.2.7"
CONFIGS = 400
SESSIONS = 100_000
LETTERS = "abcé日本語🙂 -_.:/\\\"'{}%\n\t\0"
PLANS = ["free", "pro", "enterprise", "", "übermaß", "プロ"]
REGIONS = ["eu-west", "eu-central", "us-east", "ap-1", "EU-west"]
CUSTOMERS = ["vip", "user-1", "ada@acme.com", "bob@us.example", "日本", ""]
SEATS: list[Any] = [1, 5, 5.0, 2.5, True, False, "5", 0]
FIELDS = ("plan", "region", "seats", "customerId")
Session = tuple[int, str, str | None, dict[str, Any] | None]


def weights(source: random.Random) -> list[float]:
    """Return weights of one of many kinds; most don't sum to 100."""
    count = source.randint(1, 6)
    match source.randrange(6):
        case 0:
            return [round(100 / count, source.randint(0, 4))] * count
        case 1:
            return [source.choice([0, 0, 50, 100]) for _ in range(count)]
        case 2:
            return [round(source.uniform(0, 100), source.randint(0, 6)) for _ in range(count)]
        case 3:
            return [source.uniform(0, 60) for _ in range(count)]
        case 4:
            return [source.choice([0.0001, 0.1, 33.3, 99.9999, 1e-9]) for _ in range(count)]
        case _:
            return [source.randint(0, 5) for _ in range(count)]


def condition(source: random.Random) -> dict[str, Any]:
    field, values = source.choice([("plan", PLANS), ("region", REGIONS), ("customerId", CUSTOMERS)])
    operator = source.choice(["eq", "neq", "in", "nin", "contains", "startsWith", "endsWith", "matches"])
    if operator in ("in", "nin"):
        return {"field": field, "operator": operator, "value": source.sample(values, source.randint(0, 3))}
    if operator in ("contains", "startsWith", "endsWith"):
        whole = source.choice(values)
        start = source.randint(0, len(whole))
        return {"field": field, "operator": operator, "value": whole[start:] or whole[:start]}
    # Numbers too, by the operators that the client can take them with.
    field, values = source.choice([(field, values), ("seats", SEATS)])
    return {"field": field, "operator": operator, "value": source.choice(values)}


def targeting(source: random.Random, variants: int) -> dict[str, Any] | None:
    def index() -> int:
        return source.randrange(variants + 2)  # beyond the list too

    if source.random() < 0.3:
        return None
    rules = [
        {"conditions": [condition(source) for _ in range(source.randint(1, 3))], "variantIndex": index()}
        for _ in range(source.randint(0, 4))
    ]
    targets = [
        {"field": field, "value": source.choice(values), "variantIndex": index()}
        for field, values in source.choices([("customerId", CUSTOMERS), ("plan", PLANS), ("seats", SEATS)], k=2)
    ]
    found: dict[str, Any] = {"individualTargets": targets[: source.randint(0, 2)], "rules": rules}
    if source.random() < 0.5:
        found["enabled"] = source.random() < 0.7
    return found


def config(source: random.Random, number: int) -> dict[str, Any]:
    # A model is a place: so the client's answer tells the arm.
    listed = [{"model": str(place), "weight": weight} for place, weight in enumerate(weights(source))]
    variants: Any = listed if source.random() < 0.5 else {f"arm {variant['model']}": variant for variant in listed}
    found = {"key": f"config {number}", "version": source.randint(1, 9), "variants": variants}
    rules = targeting(source, len(listed))
    return found if rules is None and source.random() < 0.5 else {**found, "targeting": rules}


def session(source: random.Random) -> Session:
    match source.randrange(4):
        case 0:
            name = f"session-{source.randrange(10**9)}"
        case 1:
            name = "".join(source.choices(LETTERS, k=source.randint(0, 3)))
        case 2:
            name = "".join(source.choices(LETTERS, k=source.randint(4, 200)))
        case _:
            name = str(source.getrandbits(128))
    given = {"plan": PLANS, "region": REGIONS, "seats": SEATS, "customerId": CUSTOMERS}
    context = {field: source.choice(values) for field, values in given.items() if source.random() < 0.4}
    customer = source.choice(CUSTOMERS) if source.random() < 0.4 else None
    return source.randrange(CONFIGS), name, customer, context if source.random() < 0.9 else None


def models_of_client(configs: Sequence[dict[str, Any]], sessions: Sequence[Session], folder: Path) -> list[str]:
    plan, answer = folder / "plan.json", folder / "models.json"
    plan.write_text(json.dumps({"configs": configs, "sessions": sessions}))
    command = [str(environment(CLIENT)), str(DRIVERS / "golden.py"), str(plan), str(answer)]
    done = subprocess.run(command, env=settings(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found: list[str] = json.loads(answer.read_text())
    return found


def test_all_agree_with_the_published_client(tmp_path: Path) -> None:
    source = random.Random(20261121)
    configs = [config(source, number) for number in range(CONFIGS)]
    sessions = [session(source) for _ in range(SESSIONS)]

    models = models_of_client(configs, sessions, tmp_path)

    ours = [assign(configs[place], name, customer_id=who, context=what) for place, name, who, what in sessions]
    assert len(models) == SESSIONS
    assert [each.model for each in ours] == models
    assert [str(each.variant_index) for each in ours] == models
    reasons = Counter(each.reason for each in ours)
    assert min(reasons[reason] for reason in ("weight", "rule", "individual_target")) > SESSIONS // 50
    assert {name for _, name, _, _ in sessions} >= {"", "é", "\0"}

    by_config: dict[int, list[int]] = {}
    for place, (config_place, *_) in enumerate(sessions):
        by_config.setdefault(config_place, []).append(place)
    for config_place, places in by_config.items():
        of_config = [sessions[place] for place in places]
        contexts = [what or {} for _, _, _, what in of_config]
        many = assign_many(
            configs[config_place],
            [name for _, name, _, _ in of_config],
            customer_ids=[who for _, _, who, _ in of_config],
            context={
                field: [each.get(field) for each in contexts] for field in ("plan", "region", "seats", "customerId")
            },
        )
        assert many.variant_indexes.astype(str).tolist() == [models[place] for place in places]
        assert [REASONS[reason] for reason in many.reasons] == [ours[place].reason for place in places]
