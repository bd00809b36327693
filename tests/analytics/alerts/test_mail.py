"""Alerts by e-mail, to a real SMTP server: with STARTTLS and a login, and nothing but the text that is meant."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
from alert_receivers import mail_receiver
from certificates import Authority

from analytics.alerts.mail import MailServer, mail_server, send

TO = ["ann@example.com", "bob@example.com"]


def server(port: int) -> MailServer:
    return mail_server(f"smtp://127.0.0.1:{port}", "fallom@example.com")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("mail") / "ca", "mail")


@pytest.fixture(scope="module")
def tls(authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.sign("mail"))
    return context


def test_an_email_is_taken_as_it_was_written() -> None:
    text = "Grüße: 20 % worse\n.\n.. a line that begins with dots\n" + "x" * 2_000 + "\n"
    with mail_receiver() as mailbox:
        outcome = send(server(mailbox.port), TO, "d1", "[fallom] prüfung: errors jumped", text)

        ((recipients, message),) = mailbox.mails
    assert outcome.state == "delivered"
    assert recipients == TO
    assert message["Subject"] == "[fallom] prüfung: errors jumped"
    assert (message["From"], message["To"]) == ("fallom@example.com", "ann@example.com, bob@example.com")
    assert (message["Message-ID"], message["X-Fallom-Delivery"]) == ("<d1@example.com>", "d1")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    assert message.get_content().replace("\r\n", "\n") == text


def test_it_goes_over_starttls_with_a_login(authority: Authority, tls: ssl.SSLContext) -> None:
    with mail_receiver(tls=tls, login=("ann", "pass word@1")) as mailbox:
        url = f"smtp://ann:pass%20word%401@localhost:{mailbox.port}?starttls"
        named = mail_server(url, "fallom@example.com", ca_file=str(authority.path))
        outcome = send(named, TO, "d1", "subject", "text")

        assert outcome.state == "delivered"
        assert mailbox.was_encrypted == [True]


def test_a_wrong_password_is_tried_again_since_somebody_may_put_it_right(
    authority: Authority, tls: ssl.SSLContext
) -> None:
    with mail_receiver(tls=tls, login=("ann", "right")) as mailbox:
        url = f"smtp://ann@localhost:{mailbox.port}?starttls"
        named = mail_server(url, "fallom@example.com", password="wrong", ca_file=str(authority.path))
        outcome = send(named, TO, "d1", "subject", "text")

        assert mailbox.mails == []
    assert (outcome.state, outcome.error) == ("retry", "SMTP 535 (SMTPAuthenticationError)")


def test_a_server_whose_certificate_nobody_vouches_for_gets_no_password(tls: ssl.SSLContext) -> None:
    with mail_receiver(tls=tls, login=("ann", "right")) as mailbox:
        named = mail_server(f"smtp://ann:right@localhost:{mailbox.port}?starttls", "fallom@example.com")
        outcome = send(named, TO, "d1", "subject", "text")

        assert mailbox.mails == []
    assert (outcome.state, outcome.error) == ("retry", "the mail server can't be used (SSLCertVerificationError)")


def test_who_is_refused_among_others_is_told() -> None:
    with mail_receiver(refused=frozenset({"bob@example.com"})) as mailbox:
        outcome = send(server(mailbox.port), TO, "d1", "subject", "text")

        ((recipients, _),) = mailbox.mails
    assert recipients == ["ann@example.com"]
    assert (outcome.state, outcome.error) == ("delivered", "refused: bob@example.com")


def test_where_all_are_refused_it_is_refused() -> None:
    with mail_receiver(refused=frozenset(TO)) as mailbox:
        outcome = send(server(mailbox.port), TO, "d1", "subject", "text")

    assert (outcome.state, outcome.error) == ("refused", "all recipients were refused (550)")


@pytest.mark.parametrize(("answer", "state"), [("451 try later", "retry"), ("554 no", "refused")])
def test_the_server_s_code_says_whether_it_comes_again(answer: str, state: str) -> None:
    with mail_receiver(answer=answer) as mailbox:
        outcome = send(server(mailbox.port), TO, "d1", "subject", "text")

    assert (outcome.state, outcome.error) == (state, f"SMTP {answer[:3]} (SMTPDataError)")


@pytest.mark.parametrize("breaks", ["\r\n", "\n", "\r", "\x85", "\u2028", "\x0b"])
def test_no_line_break_makes_a_header(breaks: str) -> None:
    with mail_receiver() as mailbox:
        outcome = send(server(mailbox.port), TO, "d1", f"subject{breaks}Bcc: eve@example.com", "text")

        ((recipients, message),) = mailbox.mails
    assert outcome.state == "delivered"
    assert recipients == TO
    assert message["Bcc"] is None
    assert message["Subject"] == "subject Bcc: eve@example.com"


def test_a_server_that_says_nothing_is_left_after_the_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        outcome = send(server(silent.getsockname()[1]), TO, "d1", "subject", "text", timeout_s=0.2)

    assert (outcome.state, outcome.error) == ("retry", "the mail server can't be used (SMTPServerDisconnected)")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.com", MailServer("mail.example.com", 25, "a@b.c")),
        ("smtp://mail.example.com?starttls", MailServer("mail.example.com", 587, "a@b.c", starts_tls=True)),
        (
            "smtps://u%40x:p%2F@mail.example.com",
            MailServer("mail.example.com", 465, "a@b.c", is_tls=True, user="u@x", password="p/"),
        ),
        ("smtp://u:p@localhost:2525", MailServer("localhost", 2525, "a@b.c", user="u", password="p")),
    ],
)
def test_a_url_names_a_server(url: str, expected: MailServer) -> None:
    assert mail_server(url, "a@b.c") == expected


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://mail.example.com", "smtp:// or smtps:// and a host expected"),
        ("smtp://", "smtp:// or smtps:// and a host expected"),
        ("smtp://mail.example.com:x", "its host or port can't be read"),
        ("smtp://mail.example.com?tls", "nothing but \\?starttls expected"),
        ("smtps://mail.example.com?starttls", "TLS from the first byte"),
        ("smtp://u:hunter2@mail.example.com", "sent unencrypted"),
        ("smtps://u@mail.example.com", "set smtp_password"),
    ],
)
def test_what_names_none_is_refused_without_its_password(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        mail_server(url, "a@b.c")

    assert "hunter2" not in str(caught.value)


def test_a_mail_server_shows_no_password(tmp_path: Path) -> None:
    assert "hunter2" not in repr(mail_server("smtps://u:hunter2@mail.example.com", "a@b.c"))
