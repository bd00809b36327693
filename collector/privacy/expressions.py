"""Regular expressions of RE2: whatever is in them, a search takes time linear in the text."""

import re
from collections.abc import Sequence

import re2

# Places, unlike what stands there, change with what a text is a part of. (In a class ^ means something else.)
_ESCAPED = re.compile(r"\\[^Az]")
_NEGATED = re.compile(r"\[\^")
_ANCHOR = re.compile(r"[$^]|\\A|\\z")


def compiled(expression: str) -> "re2._Regexp":
    """Return the expression, for bytes of UTF-8. Raises ValueError that says what is wrong with it."""
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(expression.encode(), options)
    except re2.error as error:
        message = error.args[0].decode(errors="replace") if isinstance(error.args[0], bytes) else str(error)
        hint = ": RE2 has no look-around and no back-references" if "perl operator" in message else ""
        raise ValueError(f"not a regular expression: {message}{hint}, got {expression!r}") from error


def is_anchored(expression: str) -> bool:
    """Return whether the expression may look at where a text begins or ends."""
    return _ANCHOR.search(_NEGATED.sub("[", _ESCAPED.sub("", expression))) is not None


def any_of(expressions: Sequence[str]) -> "re2._Regexp | None":
    """Return what matches where one of the expressions does; None where that can't be one expression."""
    if any(map(is_anchored, expressions)):
        return None
    try:
        return compiled("|".join(f"(?:{expression})" for expression in expressions))
    except ValueError:
        return None  # Too large together, or two have a group of the same name.
