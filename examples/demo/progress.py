"""How far each app is: a bar an app on a terminal, a line at every quarter elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Advance = Callable[[str, int], None]
LINES_PER_APP = 4


def progress(console: Console, totals: Mapping[str, int]) -> contextlib.AbstractContextManager[Advance]:
    """Return a context that yields ``advance(title, count)``: so many of the title's total are done."""
    return _bars(console, totals) if console.is_terminal else _lines(console, totals)


@contextlib.contextmanager
def _bars(console: Console, totals: Mapping[str, int]) -> Iterator[Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bars:
        tasks = {title: bars.add_task(title, total=total) for title, total in totals.items()}
        yield lambda title, count: bars.update(tasks[title], completed=count)


@contextlib.contextmanager
def _lines(console: Console, totals: Mapping[str, int]) -> Iterator[Advance]:
    def advance(title: str, count: int) -> None:
        total = totals[title]
        if count * LINES_PER_APP // total > (count - 1) * LINES_PER_APP // total:
            console.print(f"{title}: {count} of {total} sessions")

    yield advance
