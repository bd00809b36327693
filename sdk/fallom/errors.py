"""What the SDK raises: only where it has nothing to return, and the caller has given nothing to fall back to.

FallomError
├── ConfigNotFoundError (a ValueError, as in the published clients)
└── PromptNotFoundError (a ValueError, likewise)
"""

from __future__ import annotations


class FallomError(Exception):
    """The root of what the SDK raises."""


class ConfigNotFoundError(FallomError, ValueError):
    """No config of this key or version is known, and no fallback was given."""


class PromptNotFoundError(FallomError, ValueError):
    """No prompt or prompt test of this key or version is known."""
