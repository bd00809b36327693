"""The server's addresses: who can reach them, whether they may be opened, and the HTTP port's socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from server.errors import CommandError
from server.settings import ServerSettings, is_loopback, split_address
from storage.data_directory import DataDirectory
from storage.registry.api_keys import ApiKeys


def refuse_open_doors(settings: ServerSettings, data: DataDirectory) -> None:
    """Raise CommandError where other machines can reach a port and no key keeps them out."""
    address = reachable(settings)
    if address and not _has_keys(settings, data):
        raise CommandError(
            f"{address} can be reached from other machines, but no API key is defined, so anyone could read and "
            f"write: make one first by `fallom-server keys create --data-dir {data.path}`, or listen on 127.0.0.1"
        )


def reachable(settings: ServerSettings) -> str:
    """Return the setting and the address that other machines can reach; empty where there is none."""
    addresses = {"http": settings.http, "grpc": settings.grpc}
    found = (f"{name}: {address}" for name, address in addresses.items() if not is_loopback(split_address(address)[0]))
    return next(found, "")


def _has_keys(settings: ServerSettings, data: DataDirectory) -> bool:
    if settings.registry_url is None and not data.registry_path.is_file():
        return False
    keys = ApiKeys(settings.registry_url or data.registry_url)
    try:
        return keys.exist()
    finally:
        keys.close()


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    """Give a socket that listens at HOST:PORT. Raises CommandError where it can't."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's delay off, 40 ms an answer, only for sockets whose protocol is named.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        try:
            listener.bind((host, port))
            listener.listen(2048)
        except OSError as error:
            raise CommandError(f"can't listen on {address} for HTTP: {error.strerror or error}") from error
        yield listener
    finally:
        listener.close()
