"""Where what is known of a data file lies: beside it, under a name that readers of the table pass over.

A side file is made of one data file alone, which never changes; it may be removed at any time, and is when its data
file is.
"""

from __future__ import annotations

from pathlib import Path

SUFFIX = ".sums"


def side_file(path: Path) -> Path:
    """Return the side file of a data file."""
    return path.with_name(f"_{path.stem}{SUFFIX}")


def data_file_of(side: Path) -> Path:
    """Return the data file of a side file."""
    return side.with_name(f"{side.stem.removeprefix('_')}.parquet")
