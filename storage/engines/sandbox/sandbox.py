"""The server's side of users' statements: starts the process that forks, sends requests, reads answers, stops them."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson
import pyarrow as pa

import storage
from storage.engines.sandbox.fork import STATEMENT
from storage.engines.sandbox.frames import (
    ANSWER,
    BEGUN,
    PROGRESS,
    REFUSED,
    REQUEST,
    BrokenFrameError,
    read_exactly,
    read_frame,
    write_frame,
)
from storage.engines.sandbox.refusal import Refusal
from storage.engines.sandbox.request import Request
from storage.errors import (
    QueryError,
    QueryInterruptedError,
    QueryMemoryError,
    QueryRefusedError,
    QueryTimeoutError,
)

CHUNK_BYTES = 256 * 1024
# A process is there at once, unless the machine is very busy, or rows that are not committed are very many.
BEGIN_S_MAX = 30.0
_MODULE = "storage.engines.sandbox.fork"
_END_TIMEOUT_S = 2.0
_CANCELLED = "stopped: it was cancelled"
_SHUTTING_DOWN = "stopped: the server is shutting down"

OnProgress = Callable[[float], None]
Prepare = Callable[[], tuple[Request, Sequence[pa.Table]]]


@dataclass(frozen=True, slots=True)
class AnswerHead:
    """How many rows an answer has, whether there were more, and how many bytes follow."""

    rows: int
    truncated: bool
    size_bytes: int


class RunningStatement:
    """A statement in a process of its own. Thread-safe: whoever waits for it, another may stop it."""

    def __init__(self, connection: socket.socket, lifeline: socket.socket, timeout_s: float) -> None:
        self._connection = connection
        self._lifeline = lifeline
        self._timeout_s = timeout_s
        self._stream = cast("BinaryIO", connection.makefile("rwb"))
        self._left_bytes = 0
        self._lock = threading.Lock()
        self._stopped: QueryError | None = None
        self._is_closed = False

    def ask(self, prepare: Prepare, on_progress: OnProgress | None = None) -> AnswerHead:
        """Send what ``prepare`` returns; return when the whole answer is there to be read. Raises QueryError."""
        try:
            with self._ending_after(BEGIN_S_MAX, "waiting for a process"):
                self._send(*prepare())
                self._expect_begin()
            with self._ending_after(self._timeout_s, "the limit of a statement"):
                return self._head(on_progress)
        except (BrokenFrameError, OSError, pa.ArrowException) as error:
            raise self._stopped or self._death() from error

    def chunks(self) -> Iterator[bytes]:
        """Yield the answer's bytes. Raises QueryError where the process ends before their end."""
        while self._left_bytes:
            try:
                chunk = read_exactly(self._stream, min(self._left_bytes, CHUNK_BYTES))
            except (BrokenFrameError, OSError) as error:
                raise self._stopped or self._death() from error
            self._left_bytes -= len(chunk)
            yield chunk

    def table(self) -> pa.Table:
        """Return the answer's rows, where they were asked for as an Arrow stream."""
        return pa.ipc.open_stream(b"".join(self.chunks())).read_all()

    def stop(self, reason: QueryError | None = None) -> None:
        """Kill its process; safe twice, and from any thread."""
        with self._lock:
            self._stopped = self._stopped or reason or QueryInterruptedError(_CANCELLED)
            if self._is_closed:
                return
            # Shut down, not closed: another thread may read there, and a closed number may be another's.
            for end in (self._lifeline, self._connection):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of it; its process ends, if it has not."""
        with self._lock:
            self._is_closed = True
            with suppress(OSError):
                self._stream.close()
            self._connection.close()
            self._lifeline.close()

    def _send(self, request: Request, rows: Sequence[pa.Table]) -> None:
        write_frame(self._stream, REQUEST, asdict(request))
        for table in rows:
            with pa.ipc.new_stream(self._stream, table.schema) as writer:
                writer.write_table(table)
        self._stream.flush()

    def _expect_begin(self) -> None:
        kind, _ = read_frame(self._stream)
        if kind != BEGUN:
            raise BrokenFrameError(f"the begin of a statement expected, got a frame of the kind {kind!r}")

    def _head(self, on_progress: OnProgress | None) -> AnswerHead:
        while True:
            kind, content = read_frame(self._stream)
            if kind == PROGRESS:
                if on_progress is not None:
                    on_progress(cast("float", content))
            elif kind == REFUSED:
                raise _error(Refusal.from_json(cast("dict[str, Any]", content)))
            elif kind == ANSWER:
                head = AnswerHead(**cast("dict[str, Any]", content))
                self._left_bytes = head.size_bytes
                return head
            else:
                raise BrokenFrameError(f"an answer expected, got a frame of the kind {kind!r}")

    @contextmanager
    def _ending_after(self, time_s: float, what: str) -> Iterator[None]:
        timer = threading.Timer(time_s, self.stop, [QueryTimeoutError(f"stopped after {time_s:g} s, {what}")])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _death(self) -> QueryError:
        """Return what the process that forks says of the end of this one."""
        self._lifeline.settimeout(_END_TIMEOUT_S)
        try:
            said = self._lifeline.recv(16)
        except OSError:
            said = b""
        if self._stopped:
            return self._stopped
        code = orjson.loads(said) if said else None
        how = "without a word" if code is None else f"by signal {-code}" if code < 0 else f"with code {code}"
        return QueryMemoryError(
            f"out of memory, or a fault of the database: the statement's process ended {how}; no other was harmed"
        )


class Sandbox:
    """Runs statements over one lake, each in a process of its own. Thread-safe."""

    def __init__(self, lake: Path) -> None:
        self._lake = lake
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._running: set[RunningStatement] = set()

    def start(self) -> None:
        """Start the process that forks, where it does not run; return at once."""
        with self._lock:
            self._started()

    @contextmanager
    def statement(self, timeout_s: float) -> Iterator[RunningStatement]:
        """Give a process that waits for a statement; it is killed at the end, if it has not ended."""
        running = self._begun(timeout_s)
        try:
            yield running
        finally:
            with self._lock:
                self._running.discard(running)
            running.close()

    def interrupt(self) -> None:
        """Stop all statements that run; one that is just beginning may miss it, so ask again."""
        with self._lock:
            running = tuple(self._running)
        for each in running:
            each.stop(QueryInterruptedError(_SHUTTING_DOWN))

    def close(self) -> None:
        """Stop all statements and the process that forks; safe twice, and without ``start``."""
        self.interrupt()
        with self._lock:
            self._end()

    def _begun(self, timeout_s: float) -> RunningStatement:
        connection, for_fork = socket.socketpair()
        lifeline, for_parent = socket.socketpair()
        with for_fork, for_parent, self._lock:
            self._give(for_fork, for_parent)
            running = RunningStatement(connection, lifeline, timeout_s)
            self._running.add(running)
        return running

    def _give(self, *ends: socket.socket) -> None:
        descriptors = [end.fileno() for end in ends]
        try:
            socket.send_fds(self._started(), [STATEMENT], descriptors)
        except OSError:
            # It was killed since.
            self._end()
            socket.send_fds(self._started(), [STATEMENT], descriptors)

    def _started(self) -> socket.socket:
        if self._control is not None and self._process is not None and self._process.poll() is None:
            return self._control
        self._end()
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-P", "-m", _MODULE, str(theirs.fileno()), str(self._lake)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )
        return self._control

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(_END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def _environment() -> dict[str, str]:
    """Return what the process needs to find its modules; nothing of the server's, which may hold secrets."""
    return {
        "PYTHONPATH": str(Path(storage.__file__).parents[1]),
        "PATH": os.defpath,
        # A fork has the threads of its own making alone.
        "OPENBLAS_NUM_THREADS": "1",
        "ARROW_DEFAULT_MEMORY_POOL": "system",
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
        # Each arena reserves address space, of which there is a limit.
        "MALLOC_ARENA_MAX": "2",
    }


def _error(refusal: Refusal) -> QueryError:
    if refusal.kind == "gone":
        return QueryInterruptedError(refusal.message)
    if refusal.kind == "memory":
        return QueryMemoryError(refusal.message)
    return QueryRefusedError(refusal.message, refusal.position)
