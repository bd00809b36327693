"""TLS for both ports: certificate, key and clients' CA from files, read again when these change.

Each new connection looks whether a file has changed since (a stat of three files), and gets what they hold then. What
can't be used, such as a certificate whose key is not written yet, is told in the log, and the last good one stays.
"""

import logging
import os
import ssl
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

import grpc

from server.errors import CommandError
from server.settings import ServerSettings

logger = logging.getLogger(__name__)

_Version = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What the files hold: for HTTP, for gRPC."""

    context: ssl.SSLContext
    configuration: Any


class TlsFiles:
    """Certificate chain and key, and the CAs of which one must have signed a client's certificate, all PEM."""

    def __init__(self, certificate: Path, key: Path, client_ca: Path | None = None) -> None:
        """Read the files. Raises CommandError where they can't be used."""
        self._certificate, self._key, self._client_ca = certificate, key, client_ca
        self._lock = threading.Lock()
        try:
            self._version = self._current_version()
            self._loaded = self._load()
        except (OSError, ValueError) as error:
            raise CommandError(f"tls: {self._names()} can't be used: {error}") from error

    def context(self, connections_max: int) -> ssl.SSLContext:
        """Return a context for an asyncio server; each connection is wrapped by what the files hold then.

        It closes connections beyond ``connections_max``, of which the server's own count misses those in handshake.
        """
        return _LatestContext.of(self, connections_max)

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Return credentials for a gRPC server, renewed likewise."""
        return grpc.dynamic_ssl_server_credentials(
            self._loaded.configuration, lambda: self.latest().configuration, self._client_ca is not None
        )

    def latest(self) -> _Loaded:
        """Return what the files hold, or held when they could last be used."""
        with self._lock:
            try:
                version = self._current_version()
                if version != self._version:
                    # Set first: what can't be used is told once.
                    self._version = version
                    self._loaded = self._load()
                    logger.info("tls: %s were read again", self._names())
            except (OSError, ValueError) as error:
                logger.error("tls: %s can't be used (%s): the last good ones stay", self._names(), error)  # noqa: TRY400 - no fault of the program
            return self._loaded

    def _paths(self) -> list[Path]:
        return [path for path in (self._certificate, self._key, self._client_ca) if path is not None]

    def _names(self) -> str:
        return ", ".join(map(str, self._paths()))

    def _current_version(self) -> _Version:
        # The inode too: a file that is replaced may be as old and as large as the one before.
        return tuple((found.st_mtime_ns, found.st_size, found.st_ino) for found in map(os.stat, self._paths()))

    def _load(self) -> _Loaded:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._certificate, self._key, password=_no_password)
        authorities = None
        if self._client_ca is not None:
            authorities = self._client_ca.read_bytes()
            context.load_verify_locations(self._client_ca)
            context.verify_mode = ssl.CERT_REQUIRED
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        return _Loaded(context, grpc.ssl_server_certificate_configuration([pair], authorities))


def tls_of(settings: ServerSettings) -> TlsFiles | None:
    """Return the files that the settings name. Raises CommandError where they can't be used."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca)


class _LatestContext(ssl.SSLContext):
    """Wraps each connection by the latest of the files' contexts."""

    _files: TlsFiles
    _connections_max: int
    _connections: "WeakSet[ssl.SSLObject]"

    @classmethod
    def of(cls, files: TlsFiles, connections_max: int) -> "_LatestContext":
        context = cls(ssl.PROTOCOL_TLS_SERVER)
        context._files = files
        context._connections_max = connections_max
        context._connections = WeakSet()
        return context

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        # The event loop holds a connection's object for as long as it is open, and closes one that gets none.
        if len(self._connections) >= self._connections_max:
            raise ConnectionRefusedError(f"{self._connections_max} connections are open, the limit")
        wrapped = self._files.latest().context.wrap_bio(*arguments, **options)
        self._connections.add(wrapped)
        return wrapped


def _no_password() -> str:
    # Without this OpenSSL would ask for it on the terminal.
    raise ValueError("the key is encrypted: give one without a password")
