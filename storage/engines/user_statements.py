"""Users' statements: what of one project's rows each gets, and the process that answers it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from schemas.table import Table
from storage.engines.answer_formats import Format
from storage.engines.answer_limits import Answer
from storage.engines.file_bounds import BOUNDED, bounds_of, files_of
from storage.engines.sandbox.request import Limits, Request, Source
from storage.engines.sandbox.sandbox import AnswerHead, OnProgress, RunningStatement, Sandbox
from storage.hot import View
from storage.session_labels import SESSION_LABELS
from storage.sql_views import LABELS, used_by

ViewOf = Callable[[Table], View]
LabelsOf = Callable[[str], pa.Table]


def no_labels(_: str) -> pa.Table:
    """Return no labels of a project's sessions: what there is without a registry."""
    return SESSION_LABELS.empty_table()


class UserStatement:
    """One statement of a project's user. Thread-safe: whoever waits for it, another may stop it."""

    def __init__(self, running: RunningStatement, prepare: Callable[[], tuple[Request, list[pa.Table]]]) -> None:
        self._running = running
        self._prepare = prepare
        self.chunks = running.chunks
        self.table = running.table
        self.stop = running.stop

    def ask(self, on_progress: OnProgress | None = None) -> AnswerHead:
        """Return when its whole answer is there to be read, by ``chunks`` or ``table``. Raises QueryError."""
        return self._running.ask(self._prepare, on_progress)


class UserStatements:
    """Answers users' statements over one lake. Thread-safe. ``labels_of`` makes a project's ``session_labels``."""

    def __init__(self, lake: Path, view_of: ViewOf) -> None:
        self._lake = lake
        self._view_of = view_of
        self.labels_of: LabelsOf = no_labels
        self._sandbox = Sandbox(lake)
        self.start = self._sandbox.start
        self.interrupt = self._sandbox.interrupt
        self.close = self._sandbox.close

    @contextmanager
    def statement(
        self, statement: str, project: str, limits: Limits, form: Format = "arrow", *, tells_progress: bool = False
    ) -> Iterator[UserStatement]:
        """Give a process for a statement; it ends with the context."""

        def prepare() -> tuple[Request, list[pa.Table]]:
            return self._request(statement, project, limits, form, tells_progress=tells_progress)

        with self._sandbox.statement(limits.timeout_s) as running:
            yield UserStatement(running, prepare)

    def answer(self, statement: str, project: str, limits: Limits) -> Answer:
        """Answer one statement, whole. Raises QueryError."""
        with self.statement(statement, project, limits) as asked:
            head = asked.ask()
            return Answer(asked.table(), head.truncated)

    def _request(
        self, statement: str, project: str, limits: Limits, form: Format, *, tells_progress: bool
    ) -> tuple[Request, list[pa.Table]]:
        used = used_by(statement)
        texts = " ".join([statement, *(view.statement for view in used.views)]).lower()
        asked = frozenset(name for name in BOUNDED if name in texts)
        sources: list[Source] = []
        rows: list[pa.Table] = []
        for name, table in used.tables:
            view = self._view_of(table)
            files = files_of(view, project)
            sources.append(Source(table.name, name, list(files), [bounds_of(known, asked) for known in files.values()]))
            rows.append(view.hot.filter(pc.field("project") == project))
        for name, table in used.listed:
            sources.append(Source(table.name, name, ()))
            rows.append(table.schema.empty_table())
        needs_labels = any(view.name == "experiment_sessions" for view in used.views)
        if used.has_labels or needs_labels:
            rows.append(self.labels_of(project) if used.has_labels else no_labels(project))
        request = Request(
            statement,
            project,
            str(self._lake),
            form,
            limits,
            sources,
            rows=(LABELS,) if used.has_labels or needs_labels else (),
            views=[(view.name, view.statement) for view in used.views],
            tells_progress=tells_progress,
        )
        return request, rows
