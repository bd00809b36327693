"""The API's description: every body and every answer of the control plane has an example, and it is a right one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from jsonschema_rs import Draft202012Validator

from analytics.api import assign, errors, experiment_end, management, ofrep, registry, rollouts
from storage.registry.known_configs import KnownConfigs
from storage.registry.registry import Registry

Content = tuple[str, dict[str, Any]]


async def _record(_: str, __: object) -> bool:
    return False


@pytest.fixture
def described(tmp_path: Path) -> dict[str, Any]:
    found = Registry(f"sqlite:///{tmp_path}/registry.sqlite3")
    app = FastAPI(responses=errors.RESPONSES)
    for router in (
        registry.router(found),
        rollouts.router(found),
        experiment_end.router(found),
        management.router(found),
        assign.router(KnownConfigs(found), _record),
        ofrep.router(KnownConfigs(found), _record),
    ):
        app.include_router(router)
    found.close()
    return app.openapi()


def operations(described: dict[str, Any]) -> Iterator[Content]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def contents(described: dict[str, Any]) -> Iterator[Content]:
    """Yield every JSON body, and every JSON answer that is no error."""
    for name, operation in operations(described):
        if "requestBody" in operation:
            yield f"{name}: its body", operation["requestBody"]["content"]["application/json"]
        for status, answer in operation["responses"].items():
            if status.startswith("2") and "content" in answer:
                yield f"{name}: {status}", answer["content"]["application/json"]


def examples(described: dict[str, Any], content: dict[str, Any]) -> list[Any]:
    schema = content["schema"]
    if "$ref" in schema:
        schema = described["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return [content["example"]] if "example" in content else list(schema.get("examples", ()))


def test_every_body_and_every_answer_has_an_example(described: dict[str, Any]) -> None:
    found = {name: examples(described, content) for name, content in contents(described)}

    assert len(found) > 60
    assert [name for name, shown in found.items() if not shown] == []


def test_every_example_is_as_it_is_described(described: dict[str, Any]) -> None:
    for name, content in contents(described):
        schema = {**content["schema"], "components": described["components"]}
        for example in examples(described, content):
            problems = [error.message for error in Draft202012Validator(schema).iter_errors(example)]
            assert problems == [], f"{name}: {problems}"


def test_every_operation_says_what_it_does_and_how_it_fails(described: dict[str, Any]) -> None:
    for name, operation in operations(described):
        assert operation.get("description"), name
        assert any(status[0] in "45" for status in operation["responses"]), name
        if name.startswith(("PUT", "POST")) and "/api/" in name:
            assert {"400", "412", "503"} <= operation["responses"].keys(), name
