"""A limit on the lines that requests can write into the log: what anybody can cause must not fill a disk."""

import logging
import threading
import time
from dataclasses import dataclass

LINES_MAX = 10
WINDOW_S = 60.0
# Whose lines a request can cause, each time it is sent. All others tell of the server's own state, once a change.
CAUSED_BY_REQUESTS = ("uvicorn", "asyncio", "grpc", "analytics.api", "collector.pipeline")


@dataclass(slots=True)
class _Lines:
    began_s: float
    passed: int = 0
    left_out: int = 0


class LineLimit(logging.Filter):
    """Passes LINES_MAX lines a place in the program and WINDOW_S; the next that passes says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._lines: dict[tuple[str, int], _Lines] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record is to be written."""
        if not record.name.startswith(CAUSED_BY_REQUESTS):
            return True
        now_s = time.monotonic()
        with self._lock:
            # By its place, not by its text: of places there are only so many.
            lines = self._lines.setdefault((record.pathname, record.lineno), _Lines(now_s))
            if now_s - lines.began_s > WINDOW_S:
                _tell(record, lines.left_out)
                lines.began_s, lines.passed, lines.left_out = now_s, 0, 0
            if lines.passed < LINES_MAX:
                lines.passed += 1
                return True
            lines.left_out += 1
            return False


def _tell(record: logging.LogRecord, left_out: int) -> None:
    if left_out and isinstance(record.args, tuple | None):
        text = str(record.msg) if record.args else str(record.msg).replace("%", "%%")
        record.msg = f"{text} (%d such lines before it were left out)"
        record.args = (*(record.args or ()), left_out)
