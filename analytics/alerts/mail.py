"""Alerts by e-mail: plain text over SMTP."""

from __future__ import annotations

import smtplib
import ssl
from contextlib import closing, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import formatdate
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from analytics.alerts.outcome import Outcome, refused, retry, taken

TIMEOUT_S = 10.0
_PORTS = {"smtp": 25, "starttls": 587, "smtps": 465}
# These tell of the login or the set-up, which somebody may put right, not of the message.
_SET_UP = frozenset((530, 534, 535, 538))


@dataclass(frozen=True, slots=True)
class MailServer:
    """Who takes e-mails, and in whose name they are sent."""

    host: str
    port: int
    sender: str
    is_tls: bool = False
    starts_tls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None


def mail_server(url: str, sender: str, *, password: str | None = None, ca_file: str | None = None) -> MailServer:
    """Return what a URL such as ``smtp://USER@HOST:587?starttls`` names. Raises ValueError, without the URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("its host or port can't be read; smtp://USER@HOST:587?starttls expected") from error
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname:
        raise ValueError("smtp:// or smtps:// and a host expected")
    if parts.query not in ("", "starttls") or parts.path.strip("/") or parts.fragment:
        raise ValueError("nothing but ?starttls expected behind host and port")
    starts_tls = parts.query == "starttls"
    if starts_tls and parts.scheme == "smtps":
        raise ValueError("smtps:// is TLS from the first byte: leave ?starttls out, or write smtp://")
    user = unquote(parts.username) if parts.username else None
    password = unquote(parts.password) if parts.password else password
    if user is None and password is not None:
        raise ValueError("a password, and no user: smtp://USER@HOST:587?starttls expected")
    if user is not None and password is None:
        raise ValueError("a user, and no password: set smtp_password")
    is_tls = parts.scheme == "smtps"
    if user is not None and not (is_tls or starts_tls or _is_loopback(parts.hostname)):
        raise ValueError("a password would be sent unencrypted: write smtps://, or ?starttls behind the port")
    default = _PORTS["starttls" if starts_tls else parts.scheme]
    return MailServer(parts.hostname, port or default, sender, is_tls, starts_tls, user, password, ca_file)


def send(
    server: MailServer,
    recipients: list[str],
    delivery_id: str,
    subject: str,
    text: str,
    *,
    timeout_s: float = TIMEOUT_S,
) -> Outcome:
    """Return what became of it; ``timeout_s`` is for each step of the talk with the server."""
    try:
        message = _message(server, recipients, delivery_id, subject, text)
        with closing(_connected(server, timeout_s)) as smtp:
            if server.user is not None and server.password is not None:
                smtp.login(server.user, server.password)
            left_out = smtp.send_message(message, server.sender, recipients)
            # It is taken by now, whatever becomes of the farewell.
            with suppress(smtplib.SMTPException, OSError):
                smtp.quit()
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        told = f"all recipients were refused ({', '.join(map(str, sorted(set(codes))))})"
        return refused(told) if all(_is_final(code) for code in codes) else retry(told)
    except smtplib.SMTPResponseException as error:
        told = f"SMTP {error.smtp_code} ({type(error).__name__})"
        is_of_message = isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPDataError)
        return refused(told) if is_of_message and _is_final(error.smtp_code) else retry(told)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        # Of the error the class alone: its text may be of the server's making.
        return retry(f"the mail server can't be used ({type(error).__name__})")
    return taken(f"refused: {', '.join(left_out)}" if left_out else "")


def _message(server: MailServer, recipients: list[str], delivery_id: str, subject: str, text: str) -> EmailMessage:
    # It refuses line breaks in headers, of which Unicode has more than keys may not hold. Quoted-printable keeps
    # long lines, and dots at their beginning, as they are.
    message = EmailMessage(SMTP_POLICY)
    message["From"] = server.sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = " ".join(subject.split())
    message["Date"] = formatdate(usegmt=True)
    message["Message-ID"] = f"<{delivery_id}@{server.sender.rpartition('@')[2].strip('>')}>"
    message["Auto-Submitted"] = "auto-generated"
    message["X-Fallom-Delivery"] = delivery_id
    message.set_content(text, cte="quoted-printable")
    return message


def _connected(server: MailServer, timeout_s: float) -> smtplib.SMTP:
    context = ssl.create_default_context(cafile=server.ca_file)
    if server.is_tls:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=timeout_s, context=context)
    smtp = smtplib.SMTP(server.host, server.port, timeout=timeout_s)
    try:
        if server.starts_tls:
            smtp.starttls(context=context)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _is_final(code: int) -> bool:
    return code >= 500 and code not in _SET_UP


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
