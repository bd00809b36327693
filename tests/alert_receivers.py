"""Real receivers of alerts: an HTTP server that answers as it is told, and an SMTP server."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

SECRET = "0123456789abcdef0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Posted:
    """One request that came in."""

    headers: dict[str, str]
    body: bytes

    @property
    def delivery(self) -> str:
        return self.headers["x-fallom-delivery"]

    @property
    def content(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    def is_signed(self, secret: str = SECRET, within_s: float = 60.0) -> bool:
        """Return whether the signature is right, as a receiver would check it by the page of documentation."""
        fields = dict(part.split("=", 1) for part in self.headers["x-fallom-signature"].split(","))
        wanted = hmac.new(secret.encode(), fields["t"].encode() + b"." + self.body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(wanted, fields["v1"]) and abs(time.time() - int(fields["t"])) < within_s


class WebhookReceiver:
    """Answers with the statuses of ``script``, the last one for ever; keeps what came."""

    def __init__(self, *script: int, headers: Mapping[str, str] | None = None, drip_s: float = 0.0) -> None:
        self.posted: list[Posted] = []
        self._script = list(script) or [200]
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = receiver._received({k.lower(): v for k, v in self.headers.items()}, body)
                if drip_s:
                    receiver._drip(self.connection, drip_s)
                    return
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def do_GET(self) -> None:
                receiver._received({}, b'"a redirect was followed"')

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, count: int, timeout_s: float = 20.0) -> list[Posted]:
        """Return the requests once there are so many."""
        deadline = time.monotonic() + timeout_s
        while len(self.posted) < count:
            assert time.monotonic() < deadline, f"{len(self.posted)} of {count} came within {timeout_s} s"
            time.sleep(0.02)
        return list(self.posted)

    def _received(self, headers: dict[str, str], body: bytes) -> int:
        with self._lock:
            self.posted.append(Posted(headers, body))
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]

    @staticmethod
    def _drip(connection: socket.socket, interval_s: float) -> None:
        try:
            for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 600:
                connection.sendall(bytes([byte]))
                time.sleep(interval_s)
        except OSError:
            pass


@contextmanager
def webhook_receiver(*script: int, **options: Any) -> Iterator[WebhookReceiver]:
    receiver = WebhookReceiver(*script, **options)
    yield receiver
    receiver.close()


@dataclass(slots=True)
class Mailbox:
    """What an SMTP server took; recipients in ``refused`` it does not know."""

    refused: frozenset[str] = frozenset()
    answer: str = "250 taken"
    mails: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    host: str = "127.0.0.1"
    port: int = 0

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - likewise
        if self.answer.startswith("250"):
            message = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(message, EmailMessage)
            self.mails.append((list(envelope.rcpt_tos), message))
            self.was_encrypted.append(session.ssl is not None)
        return self.answer


@contextmanager
def mail_receiver(
    *, tls: ssl.SSLContext | None = None, login: tuple[str, str] | None = None, **options: Any
) -> Iterator[Mailbox]:
    """Run an SMTP server; with ``tls`` and ``login`` nothing is taken without STARTTLS and that login."""

    def authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        is_right = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == login
        return AuthResult(success=is_right, handled=False)

    # It tells of each connection, also after a test has closed what the log is captured by.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    mailbox = Mailbox(**options)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        mailbox.port = free.getsockname()[1]
    needed = {} if login is None else {"authenticator": authenticate, "auth_required": True}
    secured = {} if tls is None else {"tls_context": tls, "require_starttls": True}
    controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port, **needed, **secured)
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
