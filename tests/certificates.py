"""Certificates for tests of TLS, made by openssl."""

from __future__ import annotations

import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import grpc

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """A CA of its own, and certificates that it signs."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        folder.mkdir()
        self.path = folder / "ca.pem"
        self._run(
            "req", "-x509", *_NEW_KEY, "-keyout", "ca.key", "-out", "ca.pem", "-subj", f"/CN={name}", "-days", "2"
        )

    def sign(self, name: str) -> tuple[Path, Path]:
        """Return certificate and key of a name, for 127.0.0.1."""
        (self._folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self._run("req", *_NEW_KEY, "-keyout", f"{name}.key", "-out", "request", "-subj", f"/CN={name}")
        signing = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names", "-days", "2")
        self._run("x509", "-req", "-in", "request", "-out", f"{name}.pem", *signing)
        return self._folder / f"{name}.pem", self._folder / f"{name}.key"

    def _run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)


@dataclass(frozen=True, slots=True)
class ClientTls:
    """Whom a client trusts, and the certificate and key that it shows, if any."""

    authority: Path
    pair: tuple[Path, Path] | None = None

    def context(self) -> ssl.SSLContext:
        """Return it for HTTP."""
        made = ssl.create_default_context(cafile=str(self.authority))
        if self.pair:
            made.load_cert_chain(*self.pair)
        return made

    def credentials(self) -> grpc.ChannelCredentials:
        """Return it for gRPC."""
        chain, key = (path.read_bytes() for path in self.pair) if self.pair else (None, None)
        return grpc.ssl_channel_credentials(self.authority.read_bytes(), key, chain)
