"""Content: what was said to a model and by it, wherever in a span it stands."""

import re

from schemas.dialects import DIALECTS, FAMILIES

# The columns that are content as a whole.
COLUMNS = ("input", "output")
# The JSON columns in which content stands among other attributes.
JSON_COLUMNS = ("attributes", "events")

_KEYS = {
    *(source.key for dialect in DIALECTS for source in dialect.sources if source.column in COLUMNS),
    "gen_ai.completion",
    "gen_ai.event.content",
    "gen_ai.prompt",
    "gen_ai.system_instructions",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "ai.prompt.tools",
    "ai.response.reasoning",
    "ai.toolCall.args",
    "ai.toolCall.result",
    "llm.prompts",
    "retrieval.documents",
    "tool.parameters",
}
_PREFIXES = {
    *(family.prefix for family in FAMILIES if family.column in COLUMNS),
    "llm.prompt_template.variables.",
    "retrieval.documents.",
}
_SPREAD = re.compile("|".join(f"{re.escape(prefix)}(?:[0-9]|$)" for prefix in sorted(_PREFIXES)))
_EVENT = re.compile(
    r"gen_ai\.(?:(?:system|user|assistant|tool)\.message|choice|content\.(?:prompt|completion)|client\..*)"
)


def is_content_key(key: str) -> bool:
    """Return whether the attribute of this key is content."""
    return key in _KEYS or _SPREAD.match(key) is not None


def is_content_event(name: str) -> bool:
    """Return whether the attributes of an event of this name are content, all of them."""
    return _EVENT.fullmatch(name) is not None
