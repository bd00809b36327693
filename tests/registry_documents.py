"""Registry documents for tests: any valid one (a hypothesis strategy), and a few small ones."""

from __future__ import annotations

import string
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from schemas.api.alert import KINDS
from schemas.api.prompt import template_variables

names = st.text(string.ascii_letters + string.digits + "-_.:/é日 ", min_size=1, max_size=12).filter(
    lambda name: name == name.strip()
)
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
weights = st.integers(1, 100) | st.floats(0.001, 100)
shares = st.integers(0, 100) | st.floats(0, 100)
about = st.fixed_dictionaries({}, optional={"description": texts, "tags": st.lists(names, max_size=3, unique=True)})
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
UNITS = ["session", "customer", "request"]
scalars = texts | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9)

templates = texts | st.lists(texts | st.sampled_from(["  a", "# b", "- c", "{{d}}", ""]), max_size=5).map("\n".join)


@st.composite
def conditions(draw: st.DrawFn) -> dict[str, Any]:
    operator = draw(st.sampled_from(["eq", "neq", "in", "nin", "contains", "startsWith", "endsWith"]))
    values = {"eq": scalars, "neq": scalars, "in": st.lists(scalars, min_size=1), "nin": st.lists(scalars, min_size=1)}
    return {"field": draw(names), "operator": operator, "value": draw(values.get(operator, texts))}


def targetings(count: int) -> st.SearchStrategy[dict[str, Any]]:
    index = st.integers(0, count - 1)
    target = st.fixed_dictionaries({"field": names, "value": scalars, "variantIndex": index})
    rule = st.fixed_dictionaries({"conditions": st.lists(conditions(), max_size=3), "variantIndex": index})
    return st.fixed_dictionaries(
        {},
        optional={
            "enabled": st.booleans(),
            "individualTargets": st.lists(target, max_size=2),
            "rules": st.lists(rule, max_size=2),
        },
    )


@st.composite
def rollouts(draw: st.DrawFn, count: int) -> dict[str, Any]:
    """Return steps to come, at moments told in several time zones."""
    moments = draw(st.sets(st.integers(0, 10**14), min_size=1, max_size=3))
    zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(hours=8))])
    steps = st.lists(weights | st.just(0), min_size=count, max_size=count).filter(any)
    return {
        "steps": [
            {
                "at": (BEGIN + timedelta(microseconds=moment)).astimezone(draw(zones)).isoformat(),
                "weights": draw(steps),
            }
            for moment in sorted(moments)
        ]
    }


@st.composite
def prompts(draw: st.DrawFn, key: str) -> dict[str, Any]:
    """Return a prompt; where it lists variables, those that its texts use are among them."""
    found = {"key": key, "system_prompt": draw(templates), "user_template": draw(templates), **draw(about)}
    if draw(st.booleans()):
        used = template_variables(found["system_prompt"] + found["user_template"])
        found["variables"] = list(dict.fromkeys([*used, *draw(st.lists(st.just("other"), max_size=1))]))
    return found


@st.composite
def configs(draw: st.DrawFn, key: str) -> dict[str, Any]:
    models = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    variants: Any = [{"model": model, "weight": draw(weights)} for model in models]
    if draw(st.booleans()):
        variants = {f"{number}-{variant['model']}": variant for number, variant in enumerate(variants)}
    config = {"key": key, "variants": variants}
    if draw(st.booleans()):
        config["targeting"] = draw(targetings(len(models)))
    if draw(st.booleans()):
        config |= draw(st.fixed_dictionaries({"hash_version": st.just(2)}, optional={"seed": texts, "traffic": shares}))
    if draw(st.booleans()):
        config["rollout"] = draw(rollouts(len(models)))
    return config | draw(about) | draw(st.fixed_dictionaries({}, optional={"sticky_by": st.sampled_from(UNITS)}))


USD = st.integers(0, 100) | st.floats(0, 100)
day_texts = st.dates(date(2020, 1, 1), date(2026, 1, 1)).map(date.isoformat)


@st.composite
def prices(draw: st.DrawFn, key: str) -> dict[str, Any]:
    of_cache = {"cache_read": USD, "cache_write": USD}
    tokens = st.fixed_dictionaries({"input": USD, "output": USD}, optional=of_cache)
    given = draw(
        st.fixed_dictionaries(
            {"model": names, "from": day_texts, "usd_per_million": tokens},
            optional={"provider": names, "to": st.just("2026-11-21"), "usd_per_request": USD},
        )
    )
    return {"key": key, **given} | draw(about) | draw(st.sampled_from([{}, {"replaces_reported": True}]))


def experiments(config: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return an experiment of a key, on one of the document's configs."""
    alphas, powers = st.floats(0.001, 0.49), st.floats(0.5, 0.99)
    metric = st.fixed_dictionaries(
        {"name": st.just("resolved")},
        optional={"role": st.sampled_from(["primary", "secondary"]), "cap": st.floats(0.01, 0.99)},
    )
    return st.fixed_dictionaries(
        {"config": st.just(config)},
        optional={
            "hypothesis": texts,
            "owner": names,
            "alpha": alphas,
            "n_star": st.integers(2, 10**6),
            "power": powers,
            "metrics": st.lists(metric, max_size=1),
            "start": st.just("2026-01-01T02:00:00+02:00"),
            "planned_end": st.just("2026-02-01T00:00:00Z"),
            "notes": texts,
        },
    )


@st.composite
def alerts(draw: st.DrawFn, known: list[str]) -> dict[str, Any]:
    """Return an alert of all experiments, or of some of these and one that is not there yet; without a secret."""
    paths = st.text(string.ascii_letters + string.digits + "-_.~/%?=&", max_size=20)
    webhook = st.fixed_dictionaries({"url": paths.map("https://hooks.example.com:8443/{}".format)})
    local = st.text(string.ascii_letters + string.digits + "+-_", min_size=1, max_size=10)
    addresses = st.lists(local.map("{}@example.com".format), min_size=1, max_size=3, unique=True)
    ways = {"webhook": webhook, "email": st.fixed_dictionaries({"to": addresses})}
    chosen = draw(st.lists(st.sampled_from(sorted(ways)), min_size=1, unique=True))
    some = st.lists(st.sampled_from([*dict.fromkeys(known), "not there yet"]), min_size=1, unique=True)
    about_what = {"experiments": st.just("all") | some, "on": st.lists(st.sampled_from(KINDS), min_size=1, unique=True)}
    return {name: draw(ways[name]) for name in chosen} | draw(st.fixed_dictionaries({}, optional=about_what))


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Return a valid document as plain data; its prompt tests name prompts of its own."""
    prompt_keys = draw(st.lists(names, max_size=3, unique=True))
    test_keys = draw(st.lists(names, max_size=2, unique=True)) if prompt_keys else []
    config_keys = draw(st.lists(names, max_size=3, unique=True))
    experiment_keys = draw(st.lists(names, max_size=2, unique=True)) if config_keys else []
    return {
        "configs": [draw(configs(key)) for key in config_keys],
        "prompts": [draw(prompts(key)) for key in prompt_keys],
        "prompt_ab_tests": [
            {"key": key, "variants": [{"prompt_key": prompt, "weight": draw(weights)} for prompt in prompt_keys]}
            for key in test_keys
        ],
        "prices": [draw(prices(key)) for key in draw(st.lists(names, max_size=2, unique=True))],
        "experiments": [{"key": key, **draw(experiments(config_keys[0])), **draw(about)} for key in experiment_keys],
        "alerts": [
            {"key": key, **draw(alerts([*experiment_keys, *config_keys, *test_keys])), **draw(about)}
            for key in draw(st.lists(names, max_size=2, unique=True))
        ],
    }


def config(key: str = "summarizer", weight: float = 50) -> dict[str, Any]:
    """Return a config of two models whose first has the given weight."""
    return {"key": key, "variants": [{"model": "a", "weight": weight}, {"model": "b", "weight": 100 - weight}]}


def prompt(key: str = "welcome", text: str = "Hello {{name}}") -> dict[str, Any]:
    """Return a prompt whose user template is the given text."""
    return {"key": key, "system_prompt": "You are brief.", "user_template": text}


def price(key: str = "llama", **fields: Any) -> dict[str, Any]:
    """Return a price of a model that nobody else knows."""
    tokens = {"input": 1, "output": 2}
    return {"key": key, "model": "custom:llama", "from": "2026-01-01", "usd_per_million": tokens, **fields}


def prompt_test(key: str = "welcome-test", **variant: Any) -> dict[str, Any]:
    """Return a prompt test of one variant."""
    return {"key": key, "variants": [{"prompt_key": "welcome", "weight": 100, **variant}]}
