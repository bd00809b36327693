"""The data directory: any ordinary path, one server at a time, one writer id for good."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from lake_parts import Parts, span_rows

from schemas.spans import SPANS
from storage.data_directory import DataDirectory
from storage.errors import DataDirectoryError
from storage.registry.registry import Registry

ROOT = Path(__file__).parents[2]


def created(path: Path) -> DataDirectory:
    data = DataDirectory(path)
    data.create()
    return data


@pytest.mark.parametrize(
    "name",
    [
        "plain",
        "with space",
        "it's",
        'say "hi"',
        "日本 é 😀",
        "100% sure",
        "a%zz",
        "#1 ~a+b&c=d; 50%",
        "{a,b}*",
        "a/b/c",
    ],
)
def test_rows_are_kept_and_read_under_any_ordinary_path(tmp_path: Path, name: str) -> None:
    parts = Parts(tmp_path / name)
    exporter = parts.exporter()
    exporter.start()
    exporter.consume("spans", span_rows(1, 2))
    exporter.stop()
    log = parts.log(SPANS)
    log.recover(committed=1)
    log.append(span_rows(3))
    Registry(parts.data.registry_url).close()

    assert parts.count() == 3
    assert sorted(path.name for path in parts.data.path.iterdir()) == ["lake", "log", "registry.sqlite3"]
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize("name", ["x[1]", "x]", "a\\b", "a^b", "a|b", "a?b", "a%41b", "a%2Fb", "a\nb", "a\x7fb"])
def test_a_path_that_the_lake_would_misread_is_refused_before_anything_is_made(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataDirectoryError, match="must not contain"):
        created(tmp_path / name)

    assert list(tmp_path.iterdir()) == []


def test_a_path_that_is_no_directory_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    with pytest.raises(DataDirectoryError, match="can't be written"):
        created(file)
    with pytest.raises(DataDirectoryError, match="can't be written"):
        created(file / "below")


def test_creating_again_keeps_what_is_there(tmp_path: Path) -> None:
    data = created(tmp_path)
    (data.log / "kept").touch()

    created(tmp_path)

    assert [path.name for path in data.log.iterdir()] == ["kept"]


ASKER = """
import sys
from pathlib import Path
from storage.data_directory import DataDirectory
data = DataDirectory(Path(sys.argv[1]))
data.create()
print(data.writer_id(), end="")
"""


def test_the_writer_id_is_made_once_though_many_processes_ask(tmp_path: Path) -> None:
    askers = [
        subprocess.Popen([sys.executable, "-c", ASKER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    found = {asker.communicate()[0] for asker in askers}

    assert found == {DataDirectory(tmp_path).writer_id()}
    assert [path.name for path in (tmp_path / "log").iterdir()] == ["writer_id"]


def test_another_directory_has_another_writer_id(tmp_path: Path) -> None:
    assert created(tmp_path / "a").writer_id() != created(tmp_path / "b").writer_id()


def test_a_second_server_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first, second = created(tmp_path), created(tmp_path)
    first.lock()

    with pytest.raises(DataDirectoryError, match="in use by another server"):
        second.lock()
    first.unlock()
    first.unlock()
    second.lock()
    second.unlock()


HOLDER = """
import sys
from pathlib import Path
from storage.data_directory import DataDirectory
data = DataDirectory(Path(sys.argv[1]))
data.lock()
print("locked", flush=True)
sys.stdin.read()
"""


def test_a_server_of_another_process_keeps_others_out_until_it_dies(tmp_path: Path) -> None:
    data = created(tmp_path)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == "locked\n"

        with pytest.raises(DataDirectoryError, match=f"process {holder.pid}"):
            data.lock()
    finally:
        holder.kill()
        holder.communicate()

    data.lock()
    data.unlock()


def test_a_full_disk_does_not_keep_the_server_from_starting_to_free_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = created(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "touch", full)
    monkeypatch.setattr("os.write", full)

    data.create()
    data.lock()
    data.unlock()


def test_a_read_only_disk_is_refused_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = created(tmp_path)

    def read_only(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "touch", read_only)

    with pytest.raises(DataDirectoryError, match="can't be written: Read-only file system"):
        data.create()
