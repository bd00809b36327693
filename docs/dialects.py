"""The text of docs/dialects.md: which attributes and events fill which column, from the dialects' own tables."""

from schemas.dialects import (
    DIALECTS,
    Dialect,
    EventAttribute,
    EventMessages,
    EventTime,
    Family,
    Member,
    Moment,
    Preface,
    Reading,
    Source,
)
from schemas.dialects.base_url import BASE_URL_KEYS
from schemas.spans import SPANS

HEAD = """\
# Dialects

Libraries say the same thing by different attributes. What fills a column of `spans` is listed below, the best first:
the first that is on a span, and can be read as what the column holds, does, whichever library it is of. A token count
is a whole number from 0 to 10^12, a cost a number of USD from 0 to 10^9, a truth value true or false, each also as
text; a text is a text that is not empty, and a list or map is one as JSON. Times to the first token are nanoseconds in
the column, whatever unit is sent. Nothing is lost by it: attributes that fill no column, or had to be converted, stand
in `attributes` ([schema.md](schema.md)), and those of events in `events`.

The X-Fallom-* headers of a request hold for each of its spans. Attributes that begin with `ai.` are read only on spans
of the instrumentation scope `ai`. A flat Fallom trace's own fields go before all of these, its `fallom.raw.*` bodies
after.

What follows from other columns:

- `operation`: a span that names a model, and no operation, is an `llm` call. Only leaf calls to a model count in calls,
  tokens and cost (`is_inference`): a span of an agent or a chain repeats what its children used.
- `provider`: where nothing says it, it is told from the address that was called ({addresses}),
  else from the model's name, by the names that `genai-prices` has.
- `is_streaming`: a time to the first token, or a span named `….doStream`, shows a stream.
- `input_tokens` and `output_tokens` become totals that include the cache and reasoning (`token_rule`).

To add a dialect: a file in `schemas/dialects/`, its line in `DIALECTS`, its cells in `tests/schemas/dialects/cells/`.
"""

_Entry = Source | Family | Reading


def dialects() -> str:
    """Return the text of docs/dialects.md."""
    entries = [(each, one) for each in DIALECTS for one in (*each.sources, *each.families, *each.readings)]
    columns = [name for name in SPANS.schema.names if any(one.column == name for _, one in entries)]
    head = HEAD.replace("{addresses}", ", ".join(f"`{key}`" for key in BASE_URL_KEYS))
    return head + "".join(_column(name, [entry for entry in entries if entry[1].column == name]) for name in columns)


def _column(name: str, entries: list[tuple[Dialect, _Entry]]) -> str:
    rows = [
        f"| {_what(entry)} | {dialect.name} |\n" for dialect, entry in sorted(entries, key=lambda found: found[1].rank)
    ]
    return f"\n## {name}\n\n| from | dialect |\n|---|---|\n{''.join(rows)}"


def _what(entry: _Entry) -> str:  # noqa: C901 - a kind a line
    match entry:
        case Source(where=(key, value)):
            return f"`{entry.key}`, where `{key}` is `{value}`"
        case Source(scale=1e9):
            return f"`{entry.key}`, s"
        case Source(scale=1e6):
            return f"`{entry.key}`, ms"
        case Source():
            return f"`{entry.key}`"
        case Family():
            return f"`{entry.prefix}N.*`, a message each"
        case Member(names=()):
            return f"`{entry.key}`, with or without quotes"
        case Member():
            return f"`{entry.key}`, its member {' or '.join(f'`{name}`' for name in entry.names)}"
        case Moment():
            return f"`{entry.key}`, a time, less the start"
        case Preface(event=None):
            return f"`{entry.key}`, before the former"
        case Preface():
            return f"event `{entry.event}`, its `{entry.key}`, before the former"
        case EventAttribute():
            return f"event `{entry.event}`, its `{entry.key}`"
        case EventTime():
            return f"event `{entry.event}`, its time, less the start"
        case EventMessages():
            return f"event `{entry.event}`, a message each"
