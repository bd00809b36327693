"""Whether a call went to the model that an arm assigns, by the names that both bear.

One model has many names: an alias and what it stands for now (``gpt-4o``, ``gpt-4o-2024-08-06``), and those of gateways
and clouds (``openai/gpt-4o``, ``us.anthropic.claude-3-5-sonnet-20241022-v2:0``, ``claude-3-5-sonnet@20241022``). A name
is taken apart; two mean one model where no part says otherwise. What is left out of a name says nothing: an undated
name may stand for any dated one. A catalogue of prices is not asked: it takes models of one price for one.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

NAMES_KEPT_MAX = 10_000

# Who routes a call or sells the model: the same model with and without.
_ROUTES = frozenset(
    {
        "anthropic", "azure", "azure_ai", "bedrock", "converse", "gemini", "google", "litellm", "models", "openai",
        "openrouter", "publishers", "vertex_ai", "vertexai",
    }
)  # fmt: skip
_BEDROCK_REGION = re.compile(r"^(?:us-gov|us|eu|apac|global|jp|au|ca|sa)\.(?=[a-z0-9-]+\.)")
_BEDROCK_VENDOR = re.compile(
    r"^(?:ai21|amazon|anthropic|cohere|deepseek|google|meta|minimax|mistral|moonshot|nvidia|openai|qwen|writer)\.(?=[a-z])"
)
# claude-v2:1 is a version of the model, not a revision of its entry in the catalogue: something must name one before.
_BEDROCK_REVISION = re.compile(r"(?<=.)-(v\d+:\d+)(?::\d+k|:mm)?$")
_PRICE_OF_ROUTE = re.compile(r":(?:free|nitro|floor|latest)$")
_ALIAS = re.compile(r"-latest$")
_YEAR = r"(?:20[2-9]\d)"
_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY = r"(?:0[1-9]|[12]\d|3[01])"
_SHORT = rf"(?:{_MONTH}{_DAY}|2[3-9]{_MONTH})"
_DATE = re.compile(
    rf"-({_YEAR}-{_MONTH}-{_DAY}|{_YEAR}{_MONTH}{_DAY}|{_MONTH}-{_YEAR}|{_MONTH}-{_DAY}|{_SHORT}|00\d)(?=$|-preview$)"
)
_VERTEX_DATE = re.compile(r"(?:-v\d+)?@(\d{8}|\d{3}|default|latest)$")
_CLAUDE_POINT = re.compile(r"(?<=\d)\.(?=\d)")
_CLAUDE_ZERO = re.compile(r"^(claude-(?:opus|sonnet|haiku)-\d+)-0$")


def is_same_model(assigned: str, called: str) -> bool:
    """Return whether both names may mean one model, as far as they tell."""
    if assigned == called:
        return True
    one, other = _parts(assigned), _parts(called)
    return (
        one.family == other.family
        and all(
            mine is None or its is None or mine == its
            for mine, its in ((one.owner, other.owner), (one.revision, other.revision))
        )
        and _are_dates_alike(one.date, other.date)
    )


def is_alias_of(name: str, other: str) -> bool:
    """Return whether one of two names of a model is dated and the other is not: to call it so is no other model."""
    return is_same_model(name, other) and (_parts(name).date is None) != (_parts(other).date is None)


@dataclass(frozen=True, slots=True)
class _Parts:
    """A name taken apart; ``owner`` is whose model it is where a hub names one, ``date`` has no dashes."""

    family: str
    owner: str | None = None
    date: str | None = None
    revision: str | None = None


@lru_cache(maxsize=NAMES_KEPT_MAX)
def _parts(name: str) -> _Parts:
    text = name.strip().lower()
    if text.startswith("ft:"):
        # A model of somebody's own, whatever it was made of.
        return _Parts(text)
    owner, text = _owner_and_rest(text)
    text = _BEDROCK_VENDOR.sub("", _BEDROCK_REGION.sub("", text))
    text, revision = _cut(_BEDROCK_REVISION, text)
    if revision is not None and not re.search(r"\d|^(?:nova|titan)", text):
        text, revision = f"{text}-{revision}", None
    text = _ALIAS.sub("", _PRICE_OF_ROUTE.sub("", text))
    text, date = _cut(_VERTEX_DATE, text)
    if date in ("default", "latest"):
        date = None
    if date is None:
        text, date = _cut(_DATE, text)
    if revision is not None and date is not None:
        # It goes with the date: other clouds name the date alone.
        revision = None
    return _Parts(_family(text), owner, _plain(date), revision)


def _owner_and_rest(text: str) -> tuple[str | None, str]:
    """Return the owner where a path names one that is no route, and the last part of the path."""
    if text.startswith("arn:"):
        return None, text.rpartition("/")[2]
    *path, rest = text.split("/")
    owners = [each for each in path if each and each not in _ROUTES]
    return ("/".join(owners) or None), rest


def _family(text: str) -> str:
    if text.startswith("claude"):
        return _CLAUDE_ZERO.sub(r"\1", _CLAUDE_POINT.sub("-", text))
    # Azure's names had no points.
    return f"gpt-3.5{text[6:]}" if text.startswith("gpt-35") else text


def _cut(pattern: re.Pattern[str], text: str) -> tuple[str, str | None]:
    """Return the text without what the pattern finds, and its group."""
    found = pattern.search(text)
    return (text, None) if found is None else (text[: found.start()] + text[found.end() :], found[1])


def _plain(date: str | None) -> str | None:
    if date is None:
        return None
    month, dash, year = date.partition("-")
    # 08-2024, as Cohere has it.
    return year + month if dash and len(month) == 2 and len(year) == 4 else date.replace("-", "")


def _are_dates_alike(one: str | None, other: str | None) -> bool:
    if one is None or other is None or one == other:
        return True
    short, full = sorted((one, other), key=len)
    # 0613 is the day of 20230613, 2411 the month of 20241118.
    return len(short) == 4 and len(full) == 8 and short in (full[4:], full[2:6])
