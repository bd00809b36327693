"""Resources one at a time over HTTP: versions, drafts, roll-backs, archiving, and two people at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Request
from registry_documents import config, prompt, prompt_test
from starlette.testclient import TestClient

from analytics.api import errors, management, registry
from storage.registry import changes
from storage.registry import management as resources
from storage.registry.registry import Registry


@pytest.fixture
def client(registry_url: str) -> Iterator[TestClient]:
    opened = Registry(registry_url)
    app = FastAPI()
    errors.install(app)
    app.include_router(registry.router(opened))
    app.include_router(management.router(opened))

    @app.middleware("http")
    async def authenticate(request: Request, call_next: Any) -> Any:
        if "x-author" in request.headers:
            request.state.author = request.headers["x-author"]
        if "x-project" in request.headers:
            request.state.project = request.headers["x-project"]
        return await call_next(request)

    yield TestClient(app, raise_server_exceptions=False)
    opened.close()


def put(client: TestClient, path: str, body: Any, status: int = 200, **headers: str) -> Any:
    answer = client.put(path, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()})
    assert answer.status_code == status, answer.text
    return answer


def post(client: TestClient, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
    answer = client.post(
        path, json=body or {}, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    assert answer.status_code == status, answer.text
    return answer


def message(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    return answer.json()["error"]["message"]


def weights(client: TestClient, key: str = "summarizer") -> list[float]:
    body = client.get(f"/api/configs/{key}").json()["body"]
    return [variant["weight"] for variant in body["variants"]]


@pytest.mark.parametrize(
    ("path", "key", "body", "served"),
    [
        ("/api/configs", "summarizer", config(), "/configs"),
        ("/api/prompts", "welcome", prompt(), "/prompts"),
    ],
)
def test_what_was_put_is_listed_got_and_served(client: TestClient, path: str, key: str, body: Any, served: str) -> None:
    answer = put(client, f"{path}/{key}?note=first", body, x_author="Ann")

    assert (answer.json()["version"], answer.json()["action"], answer.headers["etag"]) == (1, "created", '"1"')
    got = client.get(f"{path}/{key}")
    assert got.headers["etag"] == '"1"'
    assert got.json() | {"created_at": ""} == {
        **({"used_variables": ["name"]} if key == "welcome" else {}),
        "key": key,
        "version": 1,
        "body": body,
        "author": "Ann",
        "note": "first",
        "created_at": "",
        "restored_from": None,
        "archived_at": None,
        "has_draft": False,
    }
    assert client.get(path).json()["resources"] == [got.json()]
    assert len(next(iter(client.get(served).json().values()))) == 1


def test_weights_are_kept_as_given_and_served_in_percent(client: TestClient) -> None:
    put(client, "/api/configs/k", {"variants": {"a": {"model": "m", "weight": 3}, "b": {"model": "m", "weight": 1}}})

    assert client.get("/api/configs/k").json()["body"]["variants"]["a"]["weight"] == 3
    (served,) = client.get("/configs").json()["configs"]
    assert [variant["weight"] for variant in served["variants"].values()] == [75, 25]
    assert client.get("/configs/k/version/1").json() == served


def test_what_is_for_people_is_not_served_to_clients(client: TestClient) -> None:
    put(client, "/api/configs/k", config("k") | {"description": "why", "tags": ["x"], "hash_version": 2, "seed": "s"})

    (served,) = client.get("/configs").json()["configs"]
    assert set(served) == {"key", "version", "variants", "hash_version", "seed"}
    assert client.get("/api/configs/k").json()["body"]["tags"] == ["x"]


def test_a_change_of_what_somebody_else_changed_is_412_with_what_is_there(client: TestClient) -> None:
    put(client, "/api/configs/summarizer", config(weight=50))
    tag = client.get("/api/configs/summarizer").headers["etag"]
    put(client, "/api/configs/summarizer", config(weight=60), if_match=tag)

    refused = put(client, "/api/configs/summarizer", config(weight=70), 412, if_match=tag)

    assert refused.json()["error"]["code"] == "precondition_failed"
    assert refused.json()["current"]["body"] == config(weight=60)
    assert refused.headers["etag"] == '"2"'
    assert weights(client) == [60, 40]
    put(client, "/api/configs/summarizer", config(weight=70), if_match=refused.headers["etag"])
    assert weights(client) == [70, 30]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_match": "*"}, 200),
        ({"if_match": '"7", "1"'}, 200),
        ({"if_match": 'W/"1"'}, 412),
        ({"if_match": '"2"'}, 412),
        ({"if_match": ""}, 412),
        ({"if_none_match": "*"}, 412),
        ({"if_none_match": '"1"'}, 400),
    ],
)
def test_a_precondition_is_read_as_http_says(client: TestClient, headers: dict[str, str], status: int) -> None:
    put(client, "/api/configs/summarizer", config(), if_none_match="*")

    put(client, "/api/configs/summarizer", config(weight=70), status, **headers)


def test_a_resource_that_is_not_there_matches_nothing(client: TestClient) -> None:
    refused = put(client, "/api/configs/summarizer", config(), 412, if_match="*")

    assert refused.json()["current"] is None
    assert "etag" not in refused.headers


def test_an_equal_body_makes_no_version(client: TestClient) -> None:
    put(client, "/api/configs/summarizer", config())

    answer = put(client, "/api/configs/summarizer", config() | {"hash_version": 1, "traffic": 100, "tags": []})

    assert (answer.json()["version"], answer.json()["action"]) == (1, "unchanged")


def test_a_draft_is_served_to_nobody_until_it_is_published(client: TestClient) -> None:
    put(client, "/api/configs/summarizer", config(weight=50))
    drafted = put(client, "/api/configs/summarizer/draft", config(weight=60), x_author="Ann")

    assert drafted.json()["based_on"] == 1
    assert drafted.json()["differences"][0] == {
        "path": "variants[0].weight",
        "change": "changed",
        "before": 50,
        "after": 60,
    }
    assert client.get("/configs").json()["configs"][0]["version"] == 1
    assert client.get("/api/configs/summarizer").json()["has_draft"]
    published = post(
        client, "/api/configs/summarizer/publish", {"note": "go"}, if_match=drafted.headers["etag"], x_author="Bob"
    )
    assert published.json()["version"] == 2
    latest = client.get("/api/configs/summarizer").json()
    assert (latest["author"], latest["note"], latest["has_draft"]) == ("Bob", "go", False)
    assert client.get("/api/configs/summarizer/draft").status_code == 404
    assert weights(client) == [60, 40]


def test_a_new_resource_may_begin_as_a_draft(client: TestClient) -> None:
    assert put(client, "/api/prompts/welcome/draft", prompt()).json()["based_on"] == 0
    assert client.get("/api/prompts").json()["resources"] == []

    assert post(client, "/api/prompts/welcome/publish").json()["action"] == "created"


def test_a_draft_of_an_older_version_is_not_published(client: TestClient) -> None:
    put(client, "/api/configs/summarizer", config(weight=50))
    put(client, "/api/configs/summarizer/draft", config(weight=60))
    put(client, "/api/configs/summarizer", config(weight=70))

    refused = post(client, "/api/configs/summarizer/publish", status=412)

    assert "based on version 1, the latest is 2" in refused.json()["error"]["message"]
    assert refused.json()["current"]["body"] == config(weight=60)
    assert weights(client) == [70, 30]


def test_two_people_do_not_overwrite_each_others_draft(client: TestClient) -> None:
    first = put(client, "/api/configs/k/draft", config("k", 10), if_none_match="*").headers["etag"]
    put(client, "/api/configs/k/draft", config("k", 20), if_match=first)

    refused = put(client, "/api/configs/k/draft", config("k", 30), 412, if_match=first)

    assert refused.json()["current"]["body"] == config("k", 20)
    post(client, "/api/configs/k/publish", status=412, if_match=first)
    assert client.delete("/api/configs/k/draft", headers={"if-match": first}).status_code == 412
    now = {"if-match": refused.headers["etag"]}
    assert client.delete("/api/configs/k/draft", headers=now).status_code == 204
    assert client.delete("/api/configs/k/draft").status_code == 404


def test_the_history_tells_who_when_why_and_what(client: TestClient) -> None:
    put(client, "/api/configs/summarizer?note=one", config(weight=50), x_author="Ann")
    put(client, "/api/configs/summarizer?note=two", config(weight=60), x_author="Bob")

    listed = client.get("/api/configs/summarizer/versions").json()["versions"]
    assert [(entry["version"], entry["author"], entry["note"]) for entry in listed] == [
        (2, "Bob", "two"),
        (1, "Ann", "one"),
    ]
    second = client.get("/api/configs/summarizer/versions/2").json()
    assert [difference["path"] for difference in second["differences"]] == [
        "variants[0].weight",
        "variants[1].weight",
    ]
    diff = client.get("/api/configs/summarizer/diff?from_version=2&to_version=1").json()
    assert (diff["differences"][0]["before"], diff["differences"][0]["after"]) == (60, 50)
    assert message(client.get("/api/configs/summarizer/versions/3"), 404) == (
        "config 'summarizer' has no version 3: its latest is 2"
    )


def test_a_roll_back_is_a_new_version_that_names_the_old(client: TestClient) -> None:
    for weight in (50, 60):
        put(client, "/api/configs/summarizer", config(weight=weight))

    answer = post(client, "/api/configs/summarizer/rollback", {"version": 1, "note": "too slow"}, if_match='"2"')

    assert (answer.json()["version"], answer.headers["etag"]) == (3, '"3"')
    latest = client.get("/api/configs/summarizer").json()
    assert (latest["restored_from"], latest["note"], latest["body"]) == (1, "too slow", config(weight=50))
    post(client, "/api/configs/summarizer/rollback", {"version": 2}, 412, if_match='"2"')
    post(client, "/api/configs/summarizer/rollback", {"version": 9}, 404)


def test_what_is_archived_is_in_no_list_and_served_by_number(client: TestClient) -> None:
    put(client, "/api/configs/summarizer", config())
    archived = post(client, "/api/configs/summarizer/archive", {"note": "done"}, if_match='"1"')

    assert archived.json()["archived_at"]
    assert client.get("/configs").json() == {"configs": []}
    assert client.get("/api/configs").json()["resources"] == []
    assert client.get("/api/export").json()["configs"] == []
    assert [one["key"] for one in client.get("/api/configs?archived=true").json()["resources"]] == ["summarizer"]
    assert client.get("/configs/summarizer/version/1").json() == {"version": 1, **config()}
    assert "is archived: restore it" in message(client.put("/api/configs/summarizer", json=config()), 409)
    applied = client.post("/apply", json={"configs": [config(weight=60)]})
    assert message(applied, 400) == "configs[0].key: config 'summarizer' is archived: restore it first"
    post(client, "/api/configs/summarizer/restore", status=412, if_match='"1"')
    post(client, "/api/configs/summarizer/restore", if_match=archived.headers["etag"])
    assert len(client.get("/configs").json()["configs"]) == 1


def test_a_prompt_that_a_test_uses_is_not_archived(client: TestClient) -> None:
    put(client, "/api/prompts/welcome", prompt())
    put(client, "/api/prompt-tests/welcome-test", prompt_test())

    refused = client.post("/api/prompts/welcome/archive", json={})

    assert "is used by the prompt test 'welcome-test'" in message(refused, 409)
    post(client, "/api/prompt-tests/welcome-test/archive")
    post(client, "/api/prompts/welcome/archive")
    assert "is archived" in message(client.post("/api/prompt-tests/welcome-test/restore", json={}), 400)


def test_a_prompt_test_needs_its_prompts(client: TestClient) -> None:
    refused = client.put("/api/prompt-tests/welcome-test", json=prompt_test())

    assert "variants[0].prompt_key: unknown prompt 'welcome'" in message(refused, 400)
    assert client.get("/api/prompt-tests").json()["resources"] == []


def test_a_prompt_test_over_other_variables_is_warned_about(client: TestClient) -> None:
    put(client, "/api/prompts/a", {"system_prompt": "{{company}}", "user_template": "Hi {{ name }}"})
    put(client, "/api/prompts/b", {"system_prompt": "", "user_template": "Hi {{name}}"})
    test = {"variants": [{"prompt_key": "a", "weight": 1}, {"prompt_key": "b", "weight": 1}]}

    answer = put(client, "/api/prompt-tests/t", test)

    assert client.get("/api/prompts/a").json()["used_variables"] == ["company", "name"]
    assert answer.json()["warnings"] == ["variants[1].prompt_key: prompt 'b' does not use company, as others here do"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"variants": [], "kye": 1}, "kye: unknown key, did you mean 'key'?"),
        ({"key": "other", "variants": []}, "key: must be 'k', as in the path, or left out; got 'other'"),
        ([], "body must be a JSON object, got an empty list"),
        ({"variants": [{"model": "m", "weight": 1}], "traffic": 10}, "traffic: needs hash_version: 2"),
        (
            {"variants": [{"model": "m", "wieght": 1, "weight": 1}]},
            "variants[0].wieght: unknown key, did you mean 'weight'?",
        ),
    ],
)
def test_a_wrong_body_is_told_by_field_and_rule(client: TestClient, body: Any, told: str) -> None:
    assert told in message(client.put("/api/configs/k", json=body), 400)
    assert told in message(client.put("/api/configs/k/draft", json=body), 400)


def test_a_list_is_told_in_pages(client: TestClient) -> None:
    for key in "abc":
        put(client, f"/api/configs/{key}", config(key))

    first = client.get("/api/configs?limit=2").json()
    rest = client.get(f"/api/configs?limit=2&after={first['next']}").json()

    assert [one["key"] for one in (*first["resources"], *rest["resources"])] == ["a", "b", "c"]
    assert rest["next"] is None


def test_there_is_a_limit_of_resources_and_of_drafts(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "RESOURCES_MAX", 2)
    monkeypatch.setattr(resources, "DRAFTS_MAX", 1)
    for key in "ab":
        put(client, f"/api/configs/{key}", config(key))

    assert "at most 2 of them" in message(client.put("/api/configs/c", json=config("c")), 400)
    assert "at most 2 of them" in message(client.post("/apply", json={"configs": [config("c")]}), 400)
    assert [one["key"] for one in client.get("/configs").json()["configs"]] == ["a", "b"]
    put(client, "/api/configs/a", config("a", 70))
    put(client, "/api/configs/a/draft", config("a"))
    put(client, "/api/configs/a/draft", config("a", 60))
    assert "1 drafts, the limit" in message(client.put("/api/configs/b/draft", json=config("b")), 400)


def test_a_key_may_hold_slashes(client: TestClient) -> None:
    put(client, "/api/configs/team/summarizer", config("team/summarizer"))
    put(client, "/api/configs/team/summarizer/draft", config("team/summarizer", 60))

    assert client.get("/api/configs/team/summarizer/versions/1").json()["key"] == "team/summarizer"
    assert post(client, "/api/configs/team/summarizer/publish").json()["version"] == 2


def test_a_project_has_its_own(client: TestClient) -> None:
    put(client, "/api/configs/summarizer", config())
    put(client, "/api/configs/summarizer/draft", config(weight=10))

    other = {"x-project": "other"}
    assert client.get("/api/configs", headers=other).json()["resources"] == []
    for path in ("", "/draft", "/versions", "/versions/1", "/diff?from_version=1"):
        assert client.get(f"/api/configs/summarizer{path}", headers=other).status_code == 404
    for path in ("/publish", "/archive", "/restore"):
        assert client.post(f"/api/configs/summarizer{path}", json={}, headers=other).status_code == 404


def test_a_page_of_another_site_changes_nothing(client: TestClient) -> None:
    put(client, "/api/configs/summarizer", config())

    refused = client.post("/api/configs/summarizer/archive", content=b"{}", headers={"content-type": "text/plain"})

    assert refused.status_code == 415
    assert len(client.get("/configs").json()["configs"]) == 1


def test_a_client_that_has_the_answer_gets_304(client: TestClient) -> None:
    put(client, "/api/configs/summarizer", config())
    for path in ("/configs", "/prompts", "/prompt-ab-tests", "/configs/summarizer/version/1"):
        first = client.get(path)
        held = {"if-none-match": f'"other", W/{first.headers["etag"]}'}

        assert first.headers["cache-control"] == "private, no-cache"
        again = client.get(path, headers=held)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    held = {"if-none-match": client.get("/configs").headers["etag"]}
    put(client, "/api/configs/summarizer", config(weight=70))
    assert client.get("/configs", headers=held).status_code == 200


def test_a_plan_tells_the_differences_and_changes_nothing(client: TestClient) -> None:
    put(client, "/api/configs/summarizer", config(weight=50))

    planned = client.post("/apply?dry_run=true", json={"configs": [config(weight=60)]}).json()["changes"]

    assert (planned[0]["version"], planned[0]["action"]) == (2, "updated")
    assert planned[0]["differences"][0]["after"] == 60
    assert weights(client) == [50, 50]
