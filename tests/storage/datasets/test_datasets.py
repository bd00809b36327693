"""Datasets: versions never change, entries go when they must, and nothing of them stays in the file."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.datasets import datasets as module
from storage.datasets.datasets import Datasets, Draft, StoredEntry, TooManyDatasetsError

NOW = datetime.now(UTC)
MARK = "xq7marked9z"


@pytest.fixture
def datasets(registry_url: str) -> Iterator[Datasets]:
    found = Datasets(registry_url)
    yield found
    found.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file, of which all bytes are searched: PostgreSQL's are not its users'."""
    return tmp_path / "registry.sqlite3"


@pytest.fixture
def in_file(path: Path) -> Iterator[Datasets]:
    found = Datasets(f"sqlite:///{path}")
    yield found
    found.close()


def entry(text: str = "question", **fields: Any) -> StoredEntry:
    return StoredEntry(text, "answer", **fields)


def draft(*entries: StoredEntry, key: str = "golden", **fields: Any) -> Draft:
    about: dict[str, Any] = {"name": "Golden", "description": None, "source": "entries", "query": None} | fields
    return Draft(key, entries=entries or (entry(),), **about)


def inputs(datasets: Datasets, version: int | None = None, project: str = "p") -> list[str] | None:
    found = datasets.read(project, "golden", version)
    return None if found is None else [each.input for each in found[1]]


def bytes_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


def test_each_change_makes_a_version_and_none_changes(datasets: Datasets) -> None:
    actions = [datasets.create("p", draft(entry(text)))[1] for text in ("one", "two", "two", "one")]

    assert actions == ["created", "updated", "unchanged", "updated"]
    assert [inputs(datasets, version) for version in (1, 2, 3)] == [["one"], ["two"], ["one"]]
    assert inputs(datasets) == ["one"]
    assert inputs(datasets, 4) is None


def test_entries_come_back_as_they_were_and_in_their_order(datasets: Datasets) -> None:
    whole = StoredEntry("i", "o", "s", '{"a":1}', "trace", "session", "customer", NOW)
    many = [entry(str(number)) for number in range(2_000)]

    datasets.create("p", draft(whole, *many))

    found = datasets.read("p", "golden")
    assert found is not None
    assert found[1] == [whole, *many]
    assert (found[0].entries, found[0].left) == (2_001, 2_001)


def test_a_changed_name_makes_a_version_too(datasets: Datasets) -> None:
    datasets.create("p", draft())

    version, action = datasets.create("p", draft(name="Other"))

    assert (version.version, action) == (2, "updated")


def test_writers_at_once_lose_no_version(datasets: Datasets) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda number: datasets.create("p", draft(entry(str(number))))[0], range(20)))

    assert sorted(version.version for version in made) == list(range(1, 21))
    assert all(inputs(datasets, version.version) is not None for version in made)


def test_a_project_sees_its_own(datasets: Datasets) -> None:
    datasets.create("p", draft())

    assert datasets.latest("q") == []
    assert datasets.read("q", "golden") is None
    assert datasets.archive("q", "golden") == 0
    assert datasets.forget("q", ["ann"], ["s"], ["t"]) == 0
    assert datasets.create("q", draft())[1] == "created"


def test_an_archived_dataset_is_hidden_and_its_numbers_are_not_used_again(datasets: Datasets) -> None:
    for text in ("one", MARK):
        datasets.create("p", draft(entry(text)))

    assert datasets.archive("p", "golden") == 2

    assert (datasets.latest("p"), inputs(datasets), inputs(datasets, 1)) == ([], None, None)
    assert [version.left for version in datasets.versions("p", "golden")] == [0, 0]
    assert [version.version for version in datasets.latest("p", archived=True)] == [2]
    # Also where it is what the last version was.
    assert datasets.create("p", draft(entry(MARK)))[0].version == 3
    assert inputs(datasets) == [MARK]
    assert inputs(datasets, 2) is None


def test_entries_of_a_customer_are_forgotten_by_their_ids(datasets: Datasets) -> None:
    datasets.create(
        "p",
        draft(
            entry("named", customer_id="ann"),
            entry("session", session_id="s"),
            entry("trace", trace_id="t"),
            entry("bob in the session", session_id="s", customer_id="bob"),
            entry("other", session_id="other", trace_id="other"),
            entry("nobody"),
        ),
    )
    datasets.create("q", draft(entry("named", customer_id="ann")))

    count = datasets.forget("p", ["ann"], ["s"] * 3, ["t"])

    assert count == 3
    assert inputs(datasets) == ["bob in the session", "other", "nobody"]
    assert inputs(datasets, project="q") == ["named"]
    (version,) = datasets.versions("p", "golden")
    assert (version.entries, version.left) == (6, 3)


def test_nothing_that_was_archived_is_in_the_file(in_file: Datasets, path: Path) -> None:
    in_file.create("p", draft(entry(MARK)))
    assert MARK.encode() in bytes_of(path)

    in_file.archive("p", "golden")

    assert MARK.encode() not in bytes_of(path)


def test_nothing_that_was_forgotten_is_in_the_file(in_file: Datasets, path: Path) -> None:
    long = MARK * 5_000
    query = f"SELECT input FROM spans WHERE customer_id = '{MARK}'"
    in_file.create("p", draft(entry(long, customer_id=MARK), entry(), source="sql", query=query))
    assert MARK.encode() in bytes_of(path)

    in_file.forget("p", [MARK], [], [])

    assert MARK.encode() not in bytes_of(path)
    assert in_file.versions("p", "golden")[0].query is None


def test_more_ids_than_a_statement_takes_are_forgotten(datasets: Datasets) -> None:
    datasets.create("p", draft(*(entry(str(number), session_id=str(number)) for number in range(1_500)), entry()))

    assert datasets.forget("p", [], map(str, range(1_500)), []) == 1_500


def test_what_was_recorded_too_long_ago_goes_and_what_was_written_stays(datasets: Datasets) -> None:
    old, new = (entry(f"{days} days", content_time=NOW - timedelta(days)) for days in (31, 29))
    datasets.create("p", draft(old, new, entry("written")))

    assert datasets.remove_recorded_before(NOW - timedelta(30)) == 1
    assert datasets.remove_recorded_before(NOW - timedelta(30)) == 0

    assert inputs(datasets) == ["29 days", "written"]


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("DATASETS_MAX", "1 datasets"),
        ("VERSIONS_MAX", "1 versions"),
        ("PROJECT_BYTES_MAX", "archive some"),
    ],
)
def test_a_project_has_so_many_and_no_more(
    datasets: Datasets, monkeypatch: pytest.MonkeyPatch, limit: str, said: str
) -> None:
    datasets.create("p", draft())
    monkeypatch.setattr(module, limit, 1)

    with pytest.raises(TooManyDatasetsError, match=said):
        datasets.create("p", draft(key="other"))

    assert [version.key for version in datasets.latest("p")] == ["golden"]


def test_what_was_archived_takes_no_room(datasets: Datasets, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PROJECT_BYTES_MAX", entry().size_bytes)
    datasets.create("p", draft())

    datasets.archive("p", "golden")

    assert datasets.create("p", draft())[1] == "updated"


def test_another_process_sees_what_was_made(datasets: Datasets, registry_url: str) -> None:
    datasets.create("p", draft())

    other = Datasets(registry_url)

    assert inputs(other) == ["question"]
    other.close()
    other.close()
