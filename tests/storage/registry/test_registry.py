"""The registry: versions, snapshots, other processes, and databases that cannot be used."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from registry_documents import config, documents, prompt, prompt_test

from fallom.assignment import assign
from schemas.api.registry import RegistryDocument
from storage.registry.document import from_yaml, parse, to_yaml
from storage.registry.errors import DocumentError, RegistryBusyError, RegistryUnavailableError
from storage.registry.management import Management, export
from storage.registry.registry import SNAPSHOT_AGE_MAX_S, Registry
from storage.registry.resources import Change

ROOT = Path(__file__).parents[3]
NOBODY = 65_534


def url(directory: Path) -> str:
    return f"sqlite:///{directory}/registry.sqlite3"


@contextmanager
def opened(place: Path | str, **options: Any) -> Iterator[Registry]:
    registry = Registry(place if isinstance(place, str) else url(place), **options)
    try:
        yield registry
    finally:
        registry.close()


@pytest.fixture
def registry(registry_url: str) -> Iterator[Registry]:
    with opened(registry_url) as opened_registry:
        yield opened_registry


def document(**lists: Any) -> RegistryDocument:
    return parse(lists)


def apply_config(registry: Registry, weight: float = 50, key: str = "summarizer") -> Change:
    (change,) = registry.apply("default", document(configs=[config(key, weight)]))
    return change


def test_a_new_config_is_version_1_and_served_in_its_wire_form(registry: Registry) -> None:
    assert apply_config(registry) == Change("config", "summarizer", 1, "created")
    assert registry.configs("default") == [{"version": 1, **config()}]
    assert list(registry.configs("default")[0]) == ["key", "version", "variants"]


def test_an_equal_body_changes_nothing(registry: Registry) -> None:
    apply_config(registry, 50)
    assert apply_config(registry, 50.0) == Change("config", "summarizer", 1, "unchanged")
    assert len(registry.config_versions("default", "summarizer")) == 1


def test_a_changed_body_makes_the_next_version_and_keeps_the_old(registry: Registry) -> None:
    apply_config(registry, 50)
    assert apply_config(registry, 60) == Change("config", "summarizer", 2, "updated")
    assert registry.configs("default") == [{"version": 2, **config(weight=60)}]
    assert registry.config("default", "summarizer", 1) == {"version": 1, **config(weight=50)}
    assert registry.config("default", "summarizer", 2) == {"version": 2, **config(weight=60)}


def test_going_back_to_an_old_body_is_a_new_version(registry: Registry) -> None:
    assert [apply_config(registry, weight).version for weight in (50, 60, 50)] == [1, 2, 3]


@pytest.mark.parametrize("version", [-1, 0, 2, 2**70])
def test_a_version_that_is_not_there_is_none(registry: Registry, version: int) -> None:
    apply_config(registry)
    assert registry.config("default", "summarizer", version) is None


def test_an_unknown_key_is_known_to_nobody(registry: Registry) -> None:
    apply_config(registry)
    assert registry.knows_config("default", "summarizer")
    assert not registry.knows_config("default", "other")
    assert registry.config("default", "other", 1) is None
    assert registry.config_versions("default", "other") == []
    assert registry.prompt_ab_test_versions("default", "summarizer") == []


def test_versions_come_oldest_first_with_their_time_in_utc(registry: Registry) -> None:
    before = datetime.now(UTC)
    for weight in (10, 20, 30):
        apply_config(registry, weight)
    versions = registry.config_versions("default", "summarizer")
    assert [version.version for version in versions] == [1, 2, 3]
    assert [version.body["variants"][0]["weight"] for version in versions] == [10, 20, 30]
    assert all(before <= version.created_at <= before + timedelta(minutes=1) for version in versions)


def test_variants_keep_the_form_and_order_given(registry: Registry) -> None:
    variants = {name: {"model": "m", "weight": 25} for name in ("zeta", "alpha", "2", "mid")}
    registry.apply("default", document(configs=[{"key": "k", "variants": variants}]))
    assert list(registry.configs("default")[0]["variants"].items()) == list(variants.items())


def test_another_order_of_variants_is_another_version(registry: Registry) -> None:
    variants = {"x": {"model": "m", "weight": 50}, "y": {"model": "m", "weight": 50}}
    swapped = dict(reversed(variants.items()))
    registry.apply("default", document(configs=[{"key": "k", "variants": variants}]))
    (change,) = registry.apply("default", document(configs=[{"key": "k", "variants": swapped}]))
    assert (change.version, change.action) == (2, "updated")


def test_spelling_out_a_default_of_the_targeting_is_no_change(registry: Registry) -> None:
    registry.apply("default", document(configs=[config() | {"targeting": {"rules": []}}]))
    (change,) = registry.apply("default", document(configs=[config() | {"targeting": {"enabled": True}}]))
    assert change.action == "unchanged"


def test_a_served_config_can_be_assigned_from(registry: Registry) -> None:
    apply_config(registry, 0)
    assert assign(registry.configs("default")[0], "session-1").model == "b"


def test_one_project_sees_nothing_of_another(registry: Registry) -> None:
    registry.apply("one", document(configs=[config()], prompts=[prompt()]))
    assert registry.configs("two") == registry.prompts("two") == registry.prompt_ab_tests("two") == []
    assert not registry.knows_config("two", "summarizer")
    assert registry.config_versions("two", "summarizer") == []
    (change,) = registry.apply("two", document(configs=[config(weight=70)]))
    assert change.version == 1


def test_what_a_reader_does_to_an_answer_harms_nobody(registry: Registry) -> None:
    apply_config(registry)
    registry.configs("default")[0]["variants"].clear()
    assert registry.configs("default") == [{"version": 1, **config()}]


@pytest.mark.parametrize(
    ("resource", "warning"),
    [
        ({"variants": [{"model": "a", "weight": 1e9}, {"model": "b", "weight": 1}]}, "it gets no sessions"),
        ({"hash_version": 2}, "published clients know neither"),
        ({"sticky_by": "customer"}, "published clients know neither"),
        ({"variants": {"2": {"model": "a", "weight": 50}, "1": {"model": "b", "weight": 50}}}, "JavaScript clients"),
        ({"targeting": {"rules": [{"conditions": [], "variantIndex": 0}]}}, "takes every session"),
        ({"key": "a?b"}, "cannot pin a version"),
    ],
)
def test_a_doubtful_config_is_applied_with_a_warning(
    registry: Registry, resource: dict[str, Any], warning: str
) -> None:
    applied = document(configs=[config() | resource])
    (created,) = registry.apply("default", applied)
    (unchanged,) = registry.apply("default", applied)
    assert len(created.warnings) == 1
    assert warning in created.warnings[0]
    assert unchanged.warnings == created.warnings


def test_thirds_need_no_warning(registry: Registry) -> None:
    variants = [{"model": model, "weight": weight} for model, weight in (("a", 33.3), ("b", 33.3), ("c", 33.4))]
    (change,) = registry.apply("default", document(configs=[{"key": "k", "variants": variants}]))
    assert change.warnings == ()


def test_a_prompt_test_may_name_a_prompt_of_its_document_or_of_the_registry(registry: Registry) -> None:
    registry.apply("default", document(prompts=[prompt()], prompt_ab_tests=[prompt_test()]))
    registry.apply("default", document(prompt_ab_tests=[prompt_test("other", prompt_version=1)]))
    assert registry.prompt_ab_tests("default") == [
        {"version": 1, **prompt_test("other", prompt_version=1)},
        {"version": 1, **prompt_test()},
    ]


def test_a_prompt_test_without_its_prompt_is_refused_and_nothing_is_applied(registry: Registry) -> None:
    with pytest.raises(DocumentError) as caught:
        registry.apply("default", document(configs=[config()], prompt_ab_tests=[prompt_test()]))
    assert str(caught.value) == (
        "prompt_ab_tests[0].variants[0].prompt_key: unknown prompt 'welcome': "
        "define it in this document, or apply it before"
    )
    assert registry.configs("default") == []


def test_a_prompt_test_may_pin_the_version_that_its_document_makes(registry: Registry) -> None:
    registry.apply("default", document(prompts=[prompt()]))
    pinned = document(prompts=[prompt(text="Hi")], prompt_ab_tests=[prompt_test(prompt_version=2)])
    assert [change.version for change in registry.apply("default", pinned)] == [2, 1]


def test_a_prompt_version_that_is_not_there_is_refused(registry: Registry) -> None:
    with pytest.raises(DocumentError) as caught:
        registry.apply("default", document(prompts=[prompt()], prompt_ab_tests=[prompt_test(prompt_version=2)]))
    assert str(caught.value) == (
        "prompt_ab_tests[0].variants[0].prompt_version: prompt 'welcome' has no version 2: its latest is 1"
    )


def test_a_prompt_of_another_project_does_not_count(registry: Registry) -> None:
    registry.apply("one", document(prompts=[prompt()]))
    with pytest.raises(DocumentError, match="unknown prompt 'welcome'"):
        registry.apply("two", document(prompt_ab_tests=[prompt_test()]))


def test_only_the_latest_prompt_is_served(registry: Registry) -> None:
    for text in ("one", "two"):
        registry.apply("default", document(prompts=[prompt(text=text)], prompt_ab_tests=[prompt_test()]))
    assert registry.prompts("default") == [{"version": 2, **prompt(text="two")}]


def test_an_older_prompt_that_a_test_pins_is_served_before_the_latest(registry: Registry) -> None:
    registry.apply("default", document(prompts=[prompt(text="one")], prompt_ab_tests=[prompt_test(prompt_version=1)]))
    registry.apply("default", document(prompts=[prompt(text="two")]))
    assert [(served["version"], served["user_template"]) for served in registry.prompts("default")] == [
        (1, "one"),
        (2, "two"),
    ]
    registry.apply("default", document(prompt_ab_tests=[prompt_test()]))
    assert [served["version"] for served in registry.prompts("default")] == [2]


@settings(max_examples=50, deadline=None)
@given(data=documents())
def test_any_document_round_trips_and_applied_twice_changes_nothing(data: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as directory, opened(Path(directory)) as registry:
        applied = parse(data)
        assert all(change.action == "created" for change in registry.apply("default", applied))
        assert all(change.action == "unchanged" for change in registry.apply("default", applied))
        again = from_yaml(to_yaml(export(registry, "default")).encode())
        assert all(change.action == "unchanged" for change in registry.apply("default", again))
        for name in ("configs", "prompts", "prompt_ab_tests", "alerts"):
            assert {one.key: one for one in getattr(again, name)} == {one.key: one for one in getattr(applied, name)}
        orders = [{one.key: list(one.variants) for one in found.configs} for found in (again, applied)]
        assert orders[0] == orders[1]


def test_everything_is_there_after_a_restart(registry_url: str) -> None:
    with opened(registry_url) as first:
        apply_config(first)
    with opened(registry_url) as second:
        assert second.configs("default") == [{"version": 1, **config()}]


def test_an_apply_of_another_process_is_served_within_a_second(registry_url: str) -> None:
    with opened(registry_url) as reader, opened(registry_url) as writer:
        assert reader.configs("default") == []
        apply_config(writer)
        deadline = time.monotonic() + SNAPSHOT_AGE_MAX_S + 0.5
        while not reader.configs("default") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert reader.configs("default") == [{"version": 1, **config()}]


def test_readers_keep_the_last_snapshot_when_the_database_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path) as registry:
        apply_config(registry)
        registry.close()
        (tmp_path / "registry.sqlite3").write_bytes(b"no database" * 1000)
        time.sleep(SNAPSHOT_AGE_MAX_S + 0.05)
        assert registry.configs("default") == [{"version": 1, **config()}]
    assert "serving the registry as last read" in caplog.text


def test_threads_that_apply_at_once_lose_no_update(registry_url: str) -> None:
    with opened(registry_url, busy_timeout_ms=60_000) as registry:
        changes: list[Change] = []

        def write(start: int) -> None:
            changes.extend(apply_config(registry, start + step) for step in range(10))

        threads = [threading.Thread(target=write, args=(start,)) for start in (10, 30, 50, 70)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(change.version for change in changes) == list(range(1, 41))
        assert registry.configs("default")[0]["version"] == 40


WRITER = """
import sys
from storage.registry.document import parse
from storage.registry.registry import Registry

url, start = sys.argv[1], int(sys.argv[2])
registry = Registry(url, busy_timeout_ms=60_000)
for step in range(20):
    variants = [{"model": "a", "weight": start + step}, {"model": "b", "weight": 1}]
    (change,) = registry.apply("default", parse({"configs": [{"key": "summarizer", "variants": variants}]}))
    print(change.version)
"""


def test_processes_that_apply_at_once_lose_no_update(registry_url: str) -> None:
    # Each starts on a directory without a database: making the table must not clash either.
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, registry_url, str(start)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for start in (100, 200, 300)
    ]
    answers = [writer.communicate(timeout=100) for writer in writers]
    assert [errors for _, errors in answers] == ["", "", ""]
    versions = [int(line) for output, _ in answers for line in output.split()]
    assert sorted(versions) == list(range(1, 61))
    with opened(registry_url) as registry:
        history = Management(registry, "config").history("default", "summarizer")
        bodies = [version.body["variants"][0]["weight"] for version in history]
        assert sorted(bodies) == sorted(start + step for start in (100, 200, 300) for step in range(20))


def test_a_locked_database_says_to_try_again(tmp_path: Path) -> None:
    with opened(tmp_path, busy_timeout_ms=50) as registry:
        apply_config(registry)
        other = sqlite3.connect(tmp_path / "registry.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(RegistryBusyError, match=r"registry\.sqlite3 is locked by another process; try again"):
            apply_config(registry, 60)
        assert registry.configs("default") == [{"version": 1, **config()}]
        other.rollback()
        other.close()
        assert apply_config(registry, 60).version == 2


def test_a_file_that_is_no_database_says_so(tmp_path: Path) -> None:
    (tmp_path / "registry.sqlite3").write_bytes(b"this is no database" * 100)
    with pytest.raises(RegistryUnavailableError, match=r"registry\.sqlite3 is not a SQLite database; move it away"):
        Registry(url(tmp_path))


def test_a_damaged_database_says_so(tmp_path: Path) -> None:
    with opened(tmp_path) as registry:
        registry.apply("default", document(prompts=[prompt(f"p{number}", "x" * 500) for number in range(200)]))
    file = tmp_path / "registry.sqlite3"
    content = bytearray(file.read_bytes())
    content[100:] = b"\xff" * (len(content) - 100)
    file.write_bytes(content)
    with pytest.raises(RegistryUnavailableError, match="is damaged; restore it from a backup"):
        Registry(url(tmp_path))


def test_a_directory_in_place_of_the_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "registry.sqlite3").mkdir()
    with pytest.raises(RegistryUnavailableError, match="cannot be opened"):
        Registry(url(tmp_path))


def test_where_the_file_is_lost_none_is_made_in_its_place(tmp_path: Path) -> None:
    with opened(tmp_path) as registry:
        file = tmp_path / "registry.sqlite3"
        aside = file.rename(tmp_path / "aside")
        # Whoever asks on a connection that is new opens the file anew.
        registry._database._engine.dispose()

        with pytest.raises(RegistryUnavailableError, match=f"registry {file} is gone; restore it from a backup"):
            registry.refresh()

        assert not file.exists()
        aside.rename(file)
        registry.refresh()


def test_a_file_in_place_of_the_directory_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(RegistryUnavailableError, match="its directory cannot be made"):
        Registry(url(tmp_path / "data"))


@contextmanager
def unprivileged() -> Iterator[None]:
    # Root may write anywhere: as root, the test plays nobody.
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def read_only_directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o555)
        yield directory
        directory.chmod(0o755)


def test_a_read_only_directory_says_so(read_only_directory: Path) -> None:
    with (
        unprivileged(),
        pytest.raises(RegistryUnavailableError, match="check that its directory exists and may be written"),
    ):
        Registry(url(read_only_directory))


def test_a_read_only_database_says_so(read_only_directory: Path) -> None:
    read_only_directory.chmod(0o755)
    with opened(read_only_directory) as registry:
        apply_config(registry)
    (read_only_directory / "registry.sqlite3").chmod(0o444)
    read_only_directory.chmod(0o555)
    with unprivileged(), pytest.raises(RegistryUnavailableError, match=r"cannot be (opened|written)"):
        Registry(url(read_only_directory))


@pytest.mark.parametrize(
    ("bad_url", "message"),
    [
        ("no url", "registry URL cannot be read"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("nosuchdatabase://host/name", "cannot be used"),
    ],
)
def test_a_bad_url_says_so(bad_url: str, message: str) -> None:
    with pytest.raises(RegistryUnavailableError, match=message):
        Registry(bad_url)


def test_a_password_is_never_shown() -> None:
    with pytest.raises(RegistryUnavailableError) as caught:
        Registry("nosuchdatabase://user:secret@host/name")
    assert "secret" not in str(caught.value)


def test_close_is_safe_twice_and_what_is_in_memory_stays(registry: Registry) -> None:
    apply_config(registry, 50)
    registry.close()
    registry.close()

    assert registry.knows_config("default", "summarizer")


def test_a_version_in_the_document_is_not_obeyed_but_told(registry: Registry) -> None:
    config = {"key": "k", "variants": [{"model": "a", "weight": 100}]}

    (plain,) = registry.apply("p", RegistryDocument.model_validate({"configs": [config]}))
    (served,) = registry.apply("p", RegistryDocument.model_validate({"configs": [{**config, "version": 1}]}))
    (other,) = registry.apply("p", RegistryDocument.model_validate({"configs": [{**config, "version": 7}]}))

    assert (plain.version, plain.warnings) == (1, ())
    assert (served.action, served.warnings) == ("unchanged", ())
    assert other.version == 1
    assert "this is version 1, not 7" in other.warnings[0]


def test_two_tests_of_hash_version_1_are_told_that_they_go_together(registry: Registry) -> None:
    assert apply_config(registry, key="one").warnings == ()
    (warning,) = apply_config(registry, key="two").warnings
    assert "goes with its variant in 'one'" in warning
    registry.apply("default", document(configs=[config("one") | {"hash_version": 2}]))
    assert apply_config(registry, key="two").warnings == ()


def test_a_reader_that_follows_asks_no_database(registry: Registry, registry_url: str) -> None:
    registry.follow()
    with opened(registry_url) as writer:
        apply_config(writer)
        deadline = time.monotonic() + 1
        while not registry.configs("default") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert registry.configs("default") == [{"version": 1, **config()}]
    before = time.process_time()
    for _ in range(1000):
        registry.served("default", "config")
    assert time.process_time() - before < 0.5


def test_a_registry_that_was_replaced_by_an_older_one_is_read_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as registry:
        apply_config(registry, 50)
        registry.copy_to(tmp_path / "older")
        apply_config(registry, 60)
        with sqlite3.connect(tmp_path / "older") as older, sqlite3.connect(tmp_path / "registry.sqlite3") as current:
            older.backup(current)
        time.sleep(SNAPSHOT_AGE_MAX_S + 0.05)
        assert registry.configs("default") == [{"version": 1, **config()}]
