"""Where the registry is: a file in the data directory, or the database that a setting names."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import CommandError
from storage.data_directory import DataDirectory
from storage.registry.registry import Registry

VARIABLE = "FALLOM_REGISTRY_URL"


def registry_url_of(data: DataDirectory, named: str | None, *, is_made: bool = True) -> str:
    """Return the registry's URL: the one that is named, or that the environment names, or the data directory's.

    The data directory is made for it, unless ``is_made`` is false: then raises CommandError where it has none.
    """
    url = named or os.environ.get(VARIABLE)
    if url:
        return url
    if is_made:
        data.create()
    elif not data.registry_path.is_file():
        raise CommandError(
            f"{data.path} holds no registry: apply a file or make a key first, or name another folder by --data-dir"
        )
    return data.registry_url


@contextmanager
def registry_of(data: DataDirectory, named: str | None, *, is_made: bool = True) -> Iterator[Registry]:
    """Give the registry, and close it. Raises CommandError, RegistryError."""
    registry = Registry(registry_url_of(data, named, is_made=is_made))
    try:
        yield registry
    finally:
        registry.close()
