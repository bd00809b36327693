"""What ``fallom.init`` was told, and what the environment says: read once, checked, frozen.

An argument comes before the environment, and a URL of one purpose before the base URL. Nothing here raises: what is
wrong is left out, and said once, since an application must start with a mistyped variable too.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

logger = logging.getLogger("fallom")

DEFAULT_URLS = {
    "traces_url": "https://traces.fallom.com",
    "configs_url": "https://configs.fallom.com",
    "prompts_url": "https://prompts.fallom.com",
}
SYNC_INTERVAL_S = 30.0
FLUSH_TIMEOUT_S = 5.0
QUEUE_SIZE_MAX = 2048
_INERT = "nothing is sent, fallbacks are used"
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})

Redact = Callable[[str, Any], Any]
"""Given an attribute's key and value, what is sent in its place; None leaves the attribute out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the SDK sends, as whom, and what; ``problems`` are what was wrong, in words.

    A URL that can't be used is None: what would go there is not sent anywhere, least of all to a default.
    """

    api_key: str | None = None
    traces_url: str | None = None
    configs_url: str | None = None
    prompts_url: str | None = None
    capture_content: bool = True
    debug: bool = False
    service_name: str | None = None
    sync_interval_s: float = SYNC_INTERVAL_S
    flush_timeout_s: float = FLUSH_TIMEOUT_S
    cache_dir: Path | None = None
    spool_dir: Path | None = None
    max_queue_size: int = QUEUE_SIZE_MAX
    redact: Redact | None = None
    span_filter: Callable[[ReadableSpan], bool] | None = None
    tracer_provider: TracerProvider | None = None
    instrument: bool = True
    problems: tuple[str, ...] = ()

    @property
    def is_inert(self) -> bool:
        """Whether nothing can be asked of a server, nor sent to it."""
        return self.api_key is None


def read_settings(environment: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Return the settings that the arguments of ``init`` and the environment give together.

    >>> settings = read_settings({"FALLOM_BASE_URL": "http://localhost:4318/"}, api_key="key")
    >>> settings.configs_url
    'http://localhost:4318'
    >>> read_settings({"FALLOM_SYNC_INTERVAL_S": "soon"}, api_key="key").problems
    ("FALLOM_SYNC_INTERVAL_S: a number > 0 expected, got 'soon'; 30.0 is used",)
    """
    return _Reader(os.environ if environment is None else environment, given).settings()


class _Reader:
    def __init__(self, environment: Mapping[str, str], given: Mapping[str, Any]) -> None:
        self._environment = environment
        self._given = given
        self._problems: list[str] = []

    def settings(self) -> Settings:
        sync_interval_s = self._number("sync_interval_s", SYNC_INTERVAL_S)
        return Settings(
            api_key=self._api_key(),
            **{name: self._url(name) for name in DEFAULT_URLS},
            capture_content=self._capture_content(),
            debug=self._flag("debug", default=False),
            service_name=self._text("service_name")[1],
            sync_interval_s=sync_interval_s,
            flush_timeout_s=self._number("flush_timeout_s", FLUSH_TIMEOUT_S),
            cache_dir=self._cache_dir(),
            spool_dir=self._directory("spool_dir"),
            max_queue_size=int(self._number("max_queue_size", QUEUE_SIZE_MAX, least=1)),
            redact=self._callable("redact"),
            span_filter=self._callable("span_filter"),
            tracer_provider=self._given.get("tracer_provider"),
            instrument=self._flag("instrument", default=True),
            problems=tuple(self._problems),
        )

    def _text(self, name: str) -> tuple[str, str | None]:
        """Return what the setting is called where it was found, and its text; an empty one is none."""
        value = self._given.get(name)
        if value is not None:
            return name, str(value).strip() or None
        variable = f"FALLOM_{name.upper()}"
        return variable, self._environment.get(variable, "").strip() or None

    def _api_key(self) -> str | None:
        name, key = self._text("api_key")
        if key is None:
            self._problems.append(
                "no API key: set FALLOM_API_KEY or pass api_key=; nothing is sent, fallbacks are used"
            )
            return None
        if not (key.isascii() and key.isprintable()) or " " in key:
            # Never the key itself: it would stand in a log.
            self._problems.append(f"{name}: an API key of printable ASCII expected; {_INERT}")
            return None
        return key

    def _url(self, name: str) -> str | None:
        candidates = (
            (name, self._given.get(name)),
            ("base_url", self._given.get("base_url")),
            (f"FALLOM_{name.upper()}", self._environment.get(f"FALLOM_{name.upper()}")),
            ("FALLOM_BASE_URL", self._environment.get("FALLOM_BASE_URL")),
            (name, DEFAULT_URLS[name]),
        )
        source, value = next(
            (source, str(value).strip()) for source, value in candidates if value and str(value).strip()
        )
        url = value.strip().rstrip("/")
        if (wrong := _url_problem(url)) is not None:
            self._problems.append(f"{source}: {wrong}; what would go there is not sent")
            return None
        return url

    def _capture_content(self) -> bool:
        """Return whether both the argument and the environment leave it on: whoever says off is heard."""
        said = self._environment.get("FALLOM_CAPTURE_CONTENT", "").strip().lower()
        if said and said not in _TRUE | _FALSE:
            self._problems.append(
                f"FALLOM_CAPTURE_CONTENT: true or false expected, got {said!r}; content is not captured"
            )
        allowed = not said or said in _TRUE
        return allowed and self._given.get("capture_content") in (None, True)

    def _flag(self, name: str, *, default: bool) -> bool:
        if isinstance(given := self._given.get(name), bool):
            return given
        source, text = self._text(name)
        if text is None:
            return default
        if text.lower() not in _TRUE | _FALSE:
            self._problems.append(f"{source}: true or false expected, got {text!r}; {str(default).lower()} is used")
            return default
        return text.lower() in _TRUE

    def _number(self, name: str, default: float, least: float = 0) -> float:
        source, text = self._text(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not (value >= least and 0 < value <= 1e9):
            expected = f">= {least:g}" if least else "> 0"
            self._problems.append(f"{source}: a number {expected} expected, got {text!r}; {default} is used")
            return default
        return value

    def _callable(self, name: str) -> Any:
        value = self._given.get(name)
        if value is None or callable(value):
            return value
        raise TypeError(f"{name}: a function expected, got {value!r}")

    def _directory(self, name: str) -> Path | None:
        _, text = self._text(name)
        return Path(text).expanduser() if text else None

    def _cache_dir(self) -> Path | None:
        """Return where what the server said last is kept; ``FALLOM_CACHE_DIR=off``, or False, keeps nothing."""
        _, text = self._text("cache_dir")
        if text is not None:
            return None if text.lower() in _FALSE | {"none"} else Path(text).expanduser()
        home, base = (Path(self._environment.get(name, "")) for name in ("HOME", "XDG_CACHE_HOME"))
        base = base if base.is_absolute() else home / ".cache"
        return base / "fallom" if base.is_absolute() else None


def _url_problem(url: str) -> str | None:
    """Return what is wrong with a server's URL, without what may be a secret in it."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return f"not a URL: {error}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return f"http://HOST or https://HOST expected, got scheme {parts.scheme!r} and host {parts.hostname!r}"
    if not url.isascii() or not url.isprintable() or " " in url or parts.query or parts.fragment:
        return "a URL without spaces, query and fragment expected"
    return None
