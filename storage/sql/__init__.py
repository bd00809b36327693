"""Statements longer than a few lines, one file each."""

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent


@cache
def load(name: str) -> str:
    """Return the text of ``<name>.sql``."""
    return (_FOLDER / f"{name}.sql").read_text()
