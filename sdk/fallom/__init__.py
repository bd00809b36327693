"""Fallom: sticky model and prompt assignment, and tracing, for LLM applications.

    import fallom

    fallom.init(api_key="...", base_url="http://localhost:4318")
    model = fallom.models.get("my-agent", session_id, fallback="gpt-4o-mini")

Nothing here raises for what is not the caller's doing, or waits for a server: without one, fallbacks are used, and what
can't be delivered is counted.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fallom.context import SessionContext
from fallom.version import __version__

if TYPE_CHECKING:
    # The names of __getattr__, as they are typed.
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

    from fallom import models as models
    from fallom import prompts as prompts
    from fallom import trace as trace
    from fallom.exporter import FallomExporter as FallomExporter
    from fallom.settings import Redact

# Modules and names that are imported when they are used first: `import fallom` costs next to nothing.
_MODULES = frozenset({"models", "prompts", "trace"})
_NAMES = {
    "session": "fallom.session",
    "Session": "fallom.session",
    "FallomSession": "fallom.session",
    "observe": "fallom.observe",
    "FallomExporter": "fallom.exporter",
}


def init(
    api_key: str | None = None,
    traces_url: str | None = None,
    configs_url: str | None = None,
    prompts_url: str | None = None,
    capture_content: bool | None = None,
    debug: bool | None = None,
    *,
    base_url: str | None = None,
    service_name: str | None = None,
    sync_interval_s: float | None = None,
    flush_timeout_s: float | None = None,
    cache_dir: str | bool | None = None,
    spool_dir: str | None = None,
    max_queue_size: int | None = None,
    redact: Redact | None = None,
    span_filter: Callable[[ReadableSpan], bool] | None = None,
    tracer_provider: TracerProvider | None = None,
    instrument: bool | None = None,
    wait_s: float = 0.0,
) -> bool:
    """Begin: fetch configs and prompts in the background, and send the spans of calls to models.

    Call it once, before the libraries that are to be traced are used; each argument may stand in the environment, as
    ``FALLOM_`` and its name. Called again it begins anew. It returns at once, or after ``wait_s`` at most, by which
    time configs may have been fetched; whether they have is returned.

    >>> import fallom
    >>> fallom.init(api_key="key", base_url="http://localhost:4318")
    False
    >>> fallom.shutdown()
    True
    """
    given = {name: value for name, value in locals().items() if name != "wait_s"}
    from fallom import runtime

    return runtime.begin(**given).wait_until_ready(wait_s)


def flush(timeout_s: float = 5.0) -> bool:
    """Send what waits: spans, exposures, metrics. Return whether all was delivered within the time."""
    from fallom import runtime

    return runtime.current().flush(timeout_s)


def shutdown(timeout_s: float | None = None) -> bool:
    """Send what waits and end; return whether all was delivered. Another ``init`` begins anew."""
    from fallom import runtime

    return runtime.stop(timeout_s)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"fallom.{name}")
    if name in _NAMES:
        found = getattr(import_module(_NAMES[name]), name)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'fallom' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_NAMES})


class _Package(ModuleType):
    """The package: its functions ``session`` and ``observe`` are not hidden by the modules that hold them."""

    def __setattr__(self, name: str, value: Any) -> None:
        # The import of fallom.session would bind the module here.
        if isinstance(value, ModuleType) and _NAMES.get(name) == value.__name__:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

__all__ = ["SessionContext", "__version__", "flush", "init", "shutdown"]
