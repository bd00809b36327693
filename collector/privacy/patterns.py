"""The named patterns: an expression that finds candidates, and a check that tells the true ones.

Expressions are RE2's, so a search takes time linear in the text. They look at nothing before or behind the match, and
so hold wherever a text stands; what stands there is for the check, as checksums are.
"""

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from collector.privacy.checksums import is_iban, payment_cards

Places = Iterator[tuple[int, int]]
Check = Callable[[bytes, int, int], Places]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Finds one kind of text; ``check`` yields what is to be replaced of a match.

    ``hint`` matches, without regard to what stands around, wherever something is to be replaced.
    """

    name: str
    description: str
    expression: str
    check: Check
    hint: str = ""


def _alone(text: bytes, start: int, end: int) -> Places:
    """Yield the match unless it is a part of a longer word or number."""
    if not _is_within_word(text, start, end):
        yield start, end


def _begins(text: bytes, start: int, end: int) -> Places:
    if not text[start - 1 : start].isalnum():
        yield start, end


def _whole(_: bytes, start: int, end: int) -> Places:
    yield start, end


def _is_within_word(text: bytes, start: int, end: int) -> bool:
    before, after = text[max(start - 2, 0) : start], text[end : end + 2]
    return (
        before[-1:].isalnum()
        or after[:1].isalnum()
        # A number's decimals, or a part of 1.2.3.4.
        or (before[-1:] in (b".", b",", b"-") and before[:-1].isdigit())
        or (after[:1] in (b".", b",", b"-") and after[1:].isdigit())
    )


def _phone(text: bytes, start: int, end: int) -> Places:
    digits = sum(byte in b"0123456789" for byte in text[start:end])
    is_plausible = digits >= (10 if text[start : start + 1] == b"0" else 8)
    if is_plausible and not _is_within_word(text, start, end):
        yield start, end


def _ssn(text: bytes, start: int, end: int) -> Places:
    area, group, serial = text[start:end].split(b"-")
    if area not in (b"000", b"666") and area[:1] != b"9" and group != b"00" and serial != b"0000":
        yield from _alone(text, start, end)


def _iban(text: bytes, start: int, end: int) -> Places:
    if text[start - 1 : start].isalnum():
        return
    # What follows in capitals may have been taken for a part of it.
    ends = [place for place in range(end, start + 14, -1) if not text[place : place + 1].isalnum()]
    for place in ends:
        if is_iban(text[start:place]):
            yield start, place
            return


def _ip_address(text: bytes, start: int, end: int) -> Places:
    if _is_within_word(text, start, end):
        return
    groups = text[start:end].split(b":")
    if len(groups) > 1 and (b":" in (text[start - 1 : start], text[end : end + 1]) or _is_like_code(groups)):
        return
    try:
        ipaddress.ip_address(text[start:end].decode())
    except ValueError:
        return
    yield start, end


def _is_like_code(groups: list[bytes]) -> bool:
    """Return whether it is more often a name of C++ or Rust, as a::b is."""
    return sum(map(bool, groups)) < 3 and len(groups[0]) < 4


def _password_of_url(text: bytes, start: int, end: int) -> Places:
    yield text.index(b":", text.index(b"://", start) + 3) + 1, end - 1


_KEY_SHAPES = (
    "sk-[0-9A-Za-z_-]{20,}",  # OpenAI, Anthropic, OpenRouter, DeepSeek
    "(?:sk|pk|rk|whsec)_(?:live_|test_)?[0-9A-Za-z]{16,}",  # Stripe, Clerk
    "(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}",  # AWS
    "gh[oprsu]_[0-9A-Za-z]{36,}",  # GitHub
    "github_pat_[0-9A-Za-z_]{22,}",
    "gl(?:pat|dt|rt|cbt)-[0-9A-Za-z_-]{20,}",  # GitLab
    "xox[abeoprs]-[0-9A-Za-z-]{10,}",  # Slack
    "xapp-[0-9A-Za-z-]{20,}",
    "AIza[0-9A-Za-z_-]{35}",  # Google
    r"ya29\.[0-9A-Za-z_-]{20,}",
    "GOCSPX-[0-9A-Za-z_-]{20,}",
    "hf_[0-9A-Za-z]{30,}",  # Hugging Face
    "gsk_[0-9A-Za-z]{40,}",  # Groq
    "xai-[0-9A-Za-z]{40,}",
    "pplx-[0-9A-Za-z]{40,}",
    "r8_[0-9A-Za-z]{30,}",  # Replicate
    "lsv2_[a-z]{2}_[0-9a-f]{32}_[0-9a-f]{10}",  # LangSmith
    "npm_[0-9A-Za-z]{36}",
    "pypi-[0-9A-Za-z_-]{40,}",
    "dop_v1_[0-9a-f]{64}",  # DigitalOcean
    "shp(?:at|ca|pa|ss)_[0-9A-Fa-f]{32}",  # Shopify
    r"SG\.[0-9A-Za-z_-]{16,}\.[0-9A-Za-z_-]{16,}",  # SendGrid
    "(?i:bearer )[0-9A-Za-z._~+/-]{20,}=*",
    "(?i:basic )[0-9A-Za-z+/]{20,}=*",
)
# As it is, as URLs have it, and as Chinese and Japanese keyboards write it.
_AT = r"(?:@|%40|\x{ff20})"
# A digit, and at most one separator before the next: space, no-break space, point, any of the dashes.
_DIGIT_GROUPS = r"[0-9](?:[ \x{a0}.\x{2010}-\x{2015}-]?[0-9])"

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "private_key",
        "PEM and PGP private keys, also ones that are cut off",
        r"(?s:-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r".*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\z))",
        _whole,
        hint="-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY",
    ),
    Pattern(
        "jwt",
        "JSON Web Tokens",
        r"eyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]*",
        _begins,
        hint="eyJ[0-9A-Za-z_-]{8}",
    ),
    Pattern(
        "api_key",
        "keys of providers and platforms by their shapes (OpenAI, Anthropic, AWS, GitHub, Google, Slack, Stripe, …), "
        "and what follows `Bearer` and `Basic`",
        "|".join(_KEY_SHAPES),
        _begins,
    ),
    Pattern(
        "url_password",
        "the password of `scheme://user:password@host`",
        r"[A-Za-z][0-9A-Za-z+.-]*://[^\s/:@\"]*:[^\s/@\"]+@",
        _password_of_url,
        hint='://[^ /:@"]*:[^ /@"]+@',
    ),
    Pattern(
        "email",
        "e-mail addresses, also as URLs have them, `user%40example.com`",
        rf"[\pL\pN._%+'-]+{_AT}[\pL\pN](?:[\pL\pN-]*\.)+\pL{{2,}}",
        _whole,
        hint=rf"{_AT}[\pL\pN][\pL\pN.-]*\.\pL",
    ),
    Pattern(
        "iban",
        "bank accounts whose check digits hold",
        "[A-Z]{2}[0-9]{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,4})?",
        _iban,
        hint="[A-Z]{2}[0-9]{2} ?[0-9A-Z]{4}",
    ),
    Pattern(
        "us_ssn",
        "US social security numbers, `123-45-6789`",
        "[0-9]{3}-[0-9]{2}-[0-9]{4}",
        _ssn,
    ),
    Pattern(
        "payment_card",
        "card numbers of the known networks whose check digit (Luhn) holds, with or without separators",
        _DIGIT_GROUPS + "{11,}",
        payment_cards,
        hint=_DIGIT_GROUPS + "{11}",
    ),
    Pattern(
        "phone",
        "international numbers (`+49 30 1234567`, `0049 …`), North American ones (`(415) 555-2671`, `415-555-2671`), "
        "and national ones with a leading 0 and a separator (`030/1234567`)",
        r"\+[0-9](?:[ ().\-/]{0,3}[0-9]){7,14}"
        r"|00[1-9](?:[ ().\-/]{0,2}[0-9]){8,13}"
        r"|(?:1[ .-]?)?\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[ .-][0-9]{4}"
        r"|(?:1[ .-])?[2-9][0-9]{2}[.-][2-9][0-9]{2}[.-][0-9]{4}"
        r"|0[1-9][0-9]{1,4}[ /-]{1,3}[0-9]{3,}(?:[ -]?[0-9]{2,}){0,4}",
        _phone,
        hint=r"\+[0-9][ ().\-/]{0,3}[0-9]|00[1-9][ ().\-/]{0,2}[0-9]|[2-9][0-9]{2}[) .-]{1,2}[2-9][0-9]{2}[ .-][0-9]{4}"
        r"|0[1-9][0-9]{1,4}[ /-]{1,3}[0-9]{3}",
    ),
    Pattern(
        "ip_address",
        "IPv4 and IPv6 addresses; a version of four numbers looks the same",
        r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}",
        _ip_address,
        hint=r"(?:[0-9]{1,3}\.){3}[0-9]|[0-9A-Fa-f]:[0-9A-Fa-f]{0,4}:",
    ),
)

PATTERNS_BY_NAME = {pattern.name: pattern for pattern in PATTERNS}
