"""The processes that the demo starts: their output is watched, their death is noticed, all of them are stopped.

Each runs in a process group of its own, so that a Ctrl-C in the terminal reaches the demo alone, which then stops them
in order; a group's stop takes with it what a child has started itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

STOP_SECONDS_MAX = 15.0
# The server compiles its decoder at its first start.
READY_SECONDS_MAX = 180.0
LAST_LINES = 15
LINE_BYTES_MAX = 1 << 20


class ChildError(RuntimeError):
    """A child ended as it should not have; the message holds its last lines."""


class Child:
    """One running process. ``on_line`` sees every line of its standard output and error."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, on_line: Callable[[str], None]) -> None:
        self.name = name
        self._process = process
        self._on_line = on_line
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read())

    async def ready(self) -> dict[str, str]:
        """Return the fields of the line that starts with ``ready``: ``name=value``, apart by spaces."""
        waits: set[asyncio.Future[Any]] = {self._ready, self._reading}
        await asyncio.wait(waits, timeout=READY_SECONDS_MAX, return_when=asyncio.FIRST_COMPLETED)
        if not self._ready.done():
            raise ChildError(self.told(f"did not get ready within {READY_SECONDS_MAX:.0f} s"))
        return dict(field.split("=", 1) for field in self._ready.result().split()[1:])

    async def succeed(self) -> None:
        """Wait for the end; raise ``ChildError`` unless the exit code is 0."""
        code = await self._end()
        if code != 0:
            raise ChildError(self.told(f"ended with exit code {code}"))

    async def outlive(self) -> None:
        """Never return; raise ``ChildError`` when the process ends, however it does."""
        code = await self._end()
        raise ChildError(self.told(f"ended before the demo did, with exit code {code}"))

    async def stop(self) -> None:
        """Ask the process to end, wait, and raise ``ChildError`` unless its exit code is 0; nothing if it has ended."""
        if self._process.returncode is not None:
            return
        self.send(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(asyncio.shield(self._end()), STOP_SECONDS_MAX)
        except TimeoutError:
            self.send(signal.SIGKILL)
            raise ChildError(self.told(f"did not end within {STOP_SECONDS_MAX:.0f} s of SIGTERM: killed")) from None
        if code != 0:
            raise ChildError(self.told(f"ended with exit code {code} on SIGTERM, 0 expected"))

    def send(self, signal_number: int) -> None:
        """Send a signal to the process and all that it has started, if it still runs."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal_number)

    async def _end(self) -> int:
        await asyncio.shield(self._reading)
        return await self._process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for raw in self._process.stdout:
            line = raw.decode(errors="replace").rstrip()
            self._last_lines.append(line)
            if line.startswith("ready") and not self._ready.done():
                self._ready.set_result(line)
            self._on_line(line)

    def told(self, event: str) -> str:
        """Return a message on what befell the process, with its last lines."""
        lines = "\n  ".join(self._last_lines) or "(no output)"
        return f"{self.name} {event}. Its last lines:\n  {lines}"


class Children:
    """All children: ``async with`` stops those that are left, the last started first, and reports faulty ends."""

    def __init__(self) -> None:
        self._children: list[Child] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        faults = await self._stop_all()
        if faults and error is None:
            raise ChildError("\n".join(faults))

    async def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_line: Callable[[str], None] = lambda _line: None,
    ) -> Child:
        """Start a process whose standard output and error are read line by line."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=dict(environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                limit=LINE_BYTES_MAX,
                start_new_session=True,
            )
        except OSError as error:
            raise ChildError(
                f"{name}: {command[0]} cannot be run ({error.strerror}): run `make setup` first."
            ) from error
        child = Child(name, process, on_line)
        self._children.append(child)
        return child

    def kill(self) -> None:
        """End all at once, without waiting: for when stopping in order was itself interrupted."""
        for child in self._children:
            child.send(signal.SIGKILL)

    async def _stop_all(self) -> list[str]:
        faults = []
        for child in reversed(self._children):
            try:
                await child.stop()
            except ChildError as error:
                faults.append(str(error))
        return faults
