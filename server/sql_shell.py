"""The interactive shell of ``fallom-server sql``."""

import os
import readline
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from server.errors import CommandError
from server.output import print_rows, warn
from server.sql_output import FORMATS, SqlFormat, print_answer
from server.sql_progress import progress
from server.sql_source import SqlSource
from storage.errors import StorageError
from storage.sql_views import TABLES_BY_NAME, VIEWS

HELP = """\
SELECT …;        a statement, over as many lines as it takes, up to its semicolon
.tables          the tables and views
.schema NAME     the columns of one, and what they mean
.format FORMAT   how rows are printed: table, json, jsonl, csv
.help            this
.quit            leave; also Ctrl-D. Ctrl-C stops a statement"""
_PROMPT, _MORE = "sql> ", "...> "
_HISTORY_LINES_MAX = 5_000


class Shell:
    """Reads statements and commands until there are no more."""

    def __init__(self, source: SqlSource, form: SqlFormat) -> None:
        self._source = source
        self._form = form
        self._commands: dict[str, Callable[[str], None]] = {
            ".tables": self._tables,
            ".schema": self._schema,
            ".format": self._format,
            ".help": lambda _: print_line(HELP),
        }

    def run(self) -> None:
        """Read and answer until .quit or the end of the input."""
        print_line(".help says what there is; statements end with a semicolon")
        with _history():
            self._answer_all()

    def _answer_all(self) -> None:
        while True:
            try:
                text = _read()
            except EOFError:
                print_line("")
                return
            except KeyboardInterrupt:
                print_line("")
                continue
            if text in (".quit", ".exit"):
                return
            self.answer(text)

    def answer(self, text: str) -> None:
        """Answer one statement or command; what goes wrong is told, and nothing else comes of it."""
        try:
            if text.startswith("."):
                name, _, argument = text.partition(" ")
                self._command(name, argument.strip())
            elif text.strip("; \n"):
                self._statement(text)
        except (CommandError, StorageError) as error:
            warn(str(error))
        except KeyboardInterrupt:
            warn("stopped")

    def _statement(self, statement: str) -> None:
        began_s = time.monotonic()
        with progress() as on_progress:
            answer = self._source.ask(statement, on_progress)
        took_s = time.monotonic() - began_s
        print_answer(answer, self._form)
        count = answer.rows.num_rows
        cut = ", cut there: there are more" if answer.truncated else ""
        warn(f"{count} {'row' if count == 1 else 'rows'} in {took_s:.3f} s{cut}")

    def _command(self, name: str, argument: str) -> None:
        command = self._commands.get(name)
        if command is None:
            raise CommandError(f"{name}: no such command; .help lists them")
        command(argument)

    def _tables(self, _: str) -> None:
        views = [[view.name, "view"] for view in VIEWS]
        tables = [[name, "table"] for name in TABLES_BY_NAME]
        print_rows(("name", "kind"), views + tables, as_json=False)

    def _schema(self, name: str) -> None:
        for view in VIEWS:
            if view.name == name:
                print_line(view.description)
                print_rows(("column", "meaning"), [list(pair) for pair in view.columns.items()], as_json=False)
                return
        table = TABLES_BY_NAME.get(name)
        if table is None:
            raise CommandError(f".schema: a table or view expected, got {name!r}; .tables lists them")
        rows = [[field.name, str(field.type), field.metadata[b"description"].decode()] for field in table.schema]
        print_rows(("column", "type", "meaning"), rows, as_json=False)

    def _format(self, name: str) -> None:
        found: list[SqlFormat] = [form for form in FORMATS if form == name]
        if not found:
            raise CommandError(f".format: one of {', '.join(FORMATS)} expected, got {name!r}")
        self._form = found[0]


def print_line(text: str) -> None:
    """Print a line to stdout."""
    print(text)  # noqa: T201 - a shell prints


def _read() -> str:
    """Return the next command, or the lines of a statement up to its semicolon."""
    lines = [input(_PROMPT)]
    while lines[0].strip() and not lines[0].startswith(".") and not lines[-1].rstrip().endswith(";"):
        lines.append(input(_MORE))
    return "\n".join(lines).strip()


@contextmanager
def _history() -> Iterator[None]:
    """Remember what was typed before, and what is typed meanwhile for the next shell."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    path = state / "fallom" / "sql_history"
    with suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_HISTORY_LINES_MAX)

    try:
        yield
    finally:
        with suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            readline.write_history_file(path)
