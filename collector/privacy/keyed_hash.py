"""Hashes under a secret key: equal texts have equal hashes, and without the key nobody can try which text has one."""

import hashlib
import os
from pathlib import Path

import pyarrow as pa

from storage.durability import sync_directory

KEY_BYTES = 32
KEY_BYTES_MIN = 16
KEY_BYTES_MAX = 64


class KeyedHash:
    """BLAKE2b under a key that is derived for one project: its hashes tell nothing of another's."""

    def __init__(self, key: bytes, project: str) -> None:
        self._key = hashlib.blake2b(project.encode(), key=key, digest_size=KEY_BYTES).digest()

    def of(self, text: str, digits: int = 32) -> str:
        """Return the hash of a text in hex digits."""
        return hashlib.blake2b(text.encode(), key=self._key, digest_size=digits // 2).hexdigest()

    def of_numbers(self, column: pa.Array) -> pa.Array:
        """Return a column of 64-bit integers, each made another."""
        numbers = [None if number is None else self._of_number(number) for number in column.to_pylist()]
        return pa.array(numbers, pa.int64())

    def _of_number(self, number: int) -> int:
        data = number.to_bytes(8, "little", signed=True)
        return int.from_bytes(
            hashlib.blake2b(data, key=self._key, digest_size=8, person=b"number").digest(), "little", signed=True
        )


def read_key(path: Path, *, may_make: bool = True) -> bytes:
    """Return the key that a file holds; make it where there is none and ``may_make``. Raises OSError, ValueError."""
    if may_make and not path.exists():
        _make(path)
    key = path.read_bytes()
    if not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise ValueError(f"{path}: {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes of a key expected, got {len(key)}")
    return key


def _make(path: Path) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # With another key the next start's hashes would not meet those that are stored.
        draft.rename(path)
        sync_directory(path.parent)
    finally:
        draft.unlink(missing_ok=True)
