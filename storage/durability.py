"""Makes what was written survive a power cut."""

import os
from pathlib import Path


def sync_file(path: Path) -> None:
    """Return once the file's content is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(path: Path) -> None:
    """Return once the names in the folder are on disk: without it a new file may be there and have no name."""
    sync_file(path)
