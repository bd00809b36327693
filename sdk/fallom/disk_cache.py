"""What the server said last, kept on disk for the next start: a file a server, key and kind, replaced as a whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any, BinaryIO

logger = logging.getLogger("fallom")

FILE_BYTES_MAX = 32 * 1024 * 1024
_FORMAT = 1


class DiskCache:
    """Documents by name. What can't be read is as if it were not there; what can't be written is said once."""

    def __init__(self, directory: Path | None, api_key: str) -> None:
        self._directory = directory
        self._api_key = api_key
        self._has_failed = False

    def load(self, name: str, url: str) -> dict[str, Any] | None:
        """Return what was kept under this name for this server and key."""
        if self._directory is None:
            return None
        try:
            with self._path(self._directory, name, url).open("rb") as file:
                content = json.loads(file.read(FILE_BYTES_MAX))
        except (OSError, ValueError, RecursionError):
            return None
        if not isinstance(content, dict) or content.get("format") != _FORMAT:
            return None
        document = content.get("document")
        return document if isinstance(document, dict) else None

    def save(self, name: str, url: str, document: dict[str, Any]) -> None:
        """Keep a document; readable by this user alone, whole or not at all."""
        if self._directory is None:
            return
        path = self._path(self._directory, name, url)
        unfinished = path.with_suffix(f".{os.getpid()}.unfinished")
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                unfinished.unlink()
            with private_file(unfinished) as file:
                file.write(json.dumps({"format": _FORMAT, "document": document}).encode())
            unfinished.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                unfinished.unlink()
            if not self._has_failed:
                logger.warning("what the server said can't be kept in %s: %s", self._directory, error)
            self._has_failed = True

    def _path(self, directory: Path, name: str, url: str) -> Path:
        owner = hashlib.sha256(f"{url}\0{self._api_key}".encode()).hexdigest()[:32]
        return directory / f"{owner}-{name}.json"


def private_file(path: Path) -> BinaryIO:
    """Open a new file that this user alone may read."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
