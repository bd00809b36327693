"""Writes docs/configuration.md, schema.md and dialects.md from the code: `make docs`. A test holds them to it."""

from pathlib import Path

from pydantic.fields import FieldInfo

from docs.dialects import dialects
from schemas.table import Table
from schemas.tables import TABLES
from server.settings import ServerSettings

FOLDER = Path(__file__).parent

CONFIGURATION = """\
# Configuration

`fallom-server serve` takes each setting as a flag, as an environment variable, or as a line of the TOML file that
`--config` (or `FALLOM_CONFIG`) names; the first of these wins. A setting that is not known, or not valid, ends the
command with one line that says which it is.

```toml
# fallom.toml
http = "127.0.0.1:4318"
data_dir = "/var/lib/fallom"
flush_interval_s = 5
```

| setting | flag | environment | default | what it does |
|---|---|---|---|---|
"""

SCHEMA = """\
# Schema

The tables of the lake. Each is a Delta table under `DATA_DIR/lake/`, which any engine may read while the server runs;
over `POST /sql` and `fallom-server sql` the same names also hold the rows that are acknowledged and not yet committed.
`log_records` and `metric_points` are empty without `keep_logs` and `keep_metrics` ([otlp.md](otlp.md)).

## Attributes as JSON

`attributes`, `resource_attributes`, `scope_attributes`, and those within `events`, `links` and `exemplars`, are JSON
that loses nothing of OTLP's types: strings, integers (of any size), booleans, lists and maps are JSON's own, and a
double always has a point or an exponent. What JSON can't say is an object of one key that begins with `$`:
`{"$bytes": "<base64>"}`, `{"$double": "NaN" | "Infinity" | "-Infinity"}`; a map that has such a key itself, or a key
twice, is `{"$kvlist": [[key, value], …]}`. An empty value is `null`. Of an attribute that is sent twice the last
counts.

An attribute of a span that fills a column of its own as it is (`gen_ai.request.model` fills `request_model`) stands
there alone, and `promoted` says which did: `{"request_model": "gen_ai.request.model"}`. One that had to be converted (a
number sent as text, seconds made nanoseconds; input tokens to which those of the cache were added, see `token_rule`)
stands in `attributes` as well. So `attributes` and `promoted` together are all that was sent; `GET /traces/{trace_id}`
puts them together. Messages that a library spreads over many attributes (`gen_ai.prompt.0.role`,
`gen_ai.prompt.0.content`, …) become one JSON list in `input` or `output`, an object a message; `promoted` then has
`gen_ai.prompt.*`.
"""


def configuration() -> str:
    """Return the text of docs/configuration.md."""
    rows = [_setting(name, field) for name, field in ServerSettings.model_fields.items()]
    return CONFIGURATION + "\n".join(rows) + "\n"


def schema() -> str:
    """Return the text of docs/schema.md."""
    return SCHEMA + "".join(_table(table) for table in TABLES)


def _setting(name: str, field: FieldInfo) -> str:
    default = "" if field.default is None else f"`{field.default}`"
    return f"| `{name}` | `--{name.replace('_', '-')}` | `FALLOM_{name.upper()}` | {default} | {field.description} |"


def _table(table: Table) -> str:
    partition = f"Partitioned by {', '.join(table.partition_by)}. " if table.partition_by else ""
    rows = [
        f"| `{field.name}` | {field.type} | {field.metadata[b'description'].decode()} |\n" for field in table.schema
    ]
    head = (
        f"\n## {table.name}\n\n{partition}Sorted by {', '.join(table.sort_by)}.\n\n| column | type | |\n|---|---|---|\n"
    )
    return head + "".join(rows)


if __name__ == "__main__":
    (FOLDER / "configuration.md").write_text(configuration())
    (FOLDER / "schema.md").write_text(schema())
    (FOLDER / "dialects.md").write_text(dialects())
