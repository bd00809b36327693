"""Writes docs/configuration.md, schema.md and dialects.md from the code: `make docs`. A test holds them to it."""

from pathlib import Path

import duckdb
from pydantic.fields import FieldInfo

from docs.dialects import dialects
from schemas.table import Table
from server.settings import ServerSettings
from storage.session_labels import SESSION_LABELS
from storage.sql_views import LABELS, TABLES_BY_NAME, VIEWS, SqlView

FOLDER = Path(__file__).parent
COLUMNS = "| column | type | |\n|---|---|---|\n"

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

What SQL is asked about ([sql.md](sql.md)): the tables of the lake, and views over them. Each table is a Delta table in
`DATA_DIR/lake/`, which any engine may read while the server runs ([recipes.md](recipes.md)); over `POST /sql` and
`fallom-server sql` the same names also hold the rows that are acknowledged and not yet committed. One table has another
name there: what is `metrics` in the lake is `metric_values` in SQL, since the view `metrics` is what is mostly meant.
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
    return SCHEMA + "".join(map(_view, VIEWS)) + "".join(_table(name, table) for name, table in TABLES_BY_NAME.items())


def _setting(name: str, field: FieldInfo) -> str:
    default = "" if field.default is None else f"`{field.default}`"
    return f"| `{name}` | `--{name.replace('_', '-')}` | `FALLOM_{name.upper()}` | {default} | {field.description} |"


def _view(view: SqlView) -> str:
    types = view_types(view)
    rows = [f"| `{name}` | {types[name]} | {description} |\n" for name, description in view.columns.items()]
    return f"\n## {view.name} (view)\n\n{view.description}\n\n{COLUMNS}" + "".join(rows)


def view_types(view: SqlView) -> dict[str, str]:
    """Return the type of each column of a view, as the database has it."""
    with duckdb.connect() as database:
        for name, table in TABLES_BY_NAME.items():
            database.register(name, table.schema.empty_table())
        database.register(LABELS, SESSION_LABELS.empty_table())
        rows = database.execute(f"DESCRIBE {view.statement}").fetchall()
    return {name: kind for name, kind, *_ in rows}


def _table(name: str, table: Table) -> str:
    partition = f"Partitioned by {', '.join(table.partition_by)}. " if table.partition_by else ""
    rows = [
        f"| `{field.name}` | {field.type} | {field.metadata[b'description'].decode()} |\n" for field in table.schema
    ]
    in_lake = "" if name == table.name else f" (`{table.name}` in the lake)"
    head = f"\n## {name}{in_lake}\n\n{partition}Sorted by {', '.join(table.sort_by)}.\n\n{COLUMNS}"
    return head + "".join(rows)


if __name__ == "__main__":
    (FOLDER / "configuration.md").write_text(configuration())
    (FOLDER / "schema.md").write_text(schema())
    (FOLDER / "dialects.md").write_text(dialects())
