"""The process that forks: ``python -m storage.engines.sandbox.fork DESCRIPTOR LAKE``.

It gets two sockets for each statement over the descriptor, hands the first to the fork that waits, keeps the other as
the statement's lifeline, and forks anew. It runs no statement itself and waits for nothing but its sockets, so it can
always kill. Where the server is gone, it ends, and its forks with it.
"""

import os
import selectors
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import orjson

from storage.engines.sandbox import confinement, worker

STATEMENT = b"S"
_FORK_AGAIN_AFTER_S = 0.5


class _Forks:
    """The forks of this process: the one that waits, and those that run a statement, with its lifeline."""

    def __init__(self, control: socket.socket, lake: Path) -> None:
        self._control = control
        self._lake = lake
        self._running: dict[int, socket.socket] = {}
        self._ended, self._wake_up = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        for end in (self._ended, self._wake_up):
            end.setblocking(False)
        for readable in (control, self._ended):
            self._selector.register(readable, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_up.fileno(), warn_on_full_buffer=False)
        self._waiting, self._handoff = self._fork()

    def run(self) -> None:
        """Serve until the server closes its end."""
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._ended:
                    self._reap()
                elif key.fileobj is not self._control:
                    self._kill(key.data)
                elif not self._take():
                    return

    def end(self) -> None:
        """Kill all forks; nobody waits for their ends."""
        signal.set_wakeup_fd(-1)
        for process in (self._waiting, *self._running):
            os.kill(process, signal.SIGKILL)

    def _fork(self) -> tuple[int, socket.socket]:
        """Make the fork that waits; return its id, and where it takes its statement."""
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        process = os.fork()
        if process == 0:
            ours.close()
            self._become_fork(parent, theirs)
        theirs.close()
        return process, ours

    def _become_fork(self, parent: int, handoff: socket.socket) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            # What a library says at its end is no line of the server's log.
            os.dup2(1, 2)
            self._selector.close()
            for other in (self._control, self._ended, self._wake_up, *self._running.values()):
                other.close()
            confinement.end_with(parent)
            confinement.only_reads(self._lake)
            worker.serve(handoff)
            code = 0
        finally:
            os._exit(code)

    def _take(self) -> bool:
        """Give the next statement to the fork that waits; False where there will be none any more."""
        try:
            message, descriptors, *_ = socket.recv_fds(self._control, 1, 2)
        except ConnectionError:
            return False
        if not message:
            return False
        connection, lifeline = (socket.socket(fileno=descriptor) for descriptor in descriptors)
        with connection, suppress(OSError):
            # Where it died while it waited, the server sees the connection close, and how it ended.
            socket.send_fds(self._handoff, [STATEMENT], [connection.fileno()])
        self._handoff.close()
        lifeline.setblocking(False)
        self._selector.register(lifeline, selectors.EVENT_READ, self._waiting)
        self._running[self._waiting] = lifeline
        self._waiting, self._handoff = self._fork()
        return True

    def _kill(self, process: int) -> None:
        """End the fork whose lifeline has closed."""
        lifeline = self._running.get(process)
        # It may have ended in the meantime, and its number may be another's.
        if lifeline is not None:
            self._selector.unregister(lifeline)
            lifeline.close()
            os.kill(process, signal.SIGKILL)

    def _reap(self) -> None:
        self._ended.recv(4096)
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if process == 0:
                return
            self._forget(process, os.waitstatus_to_exitcode(status))

    def _forget(self, process: int, code: int) -> None:
        """Say on the lifeline how the fork ended; where it was the one that waits, make another."""
        if process == self._waiting:
            # Not at once, whatever killed it.
            time.sleep(_FORK_AGAIN_AFTER_S)
            self._handoff.close()
            self._waiting, self._handoff = self._fork()
            return
        lifeline = self._running.pop(process)
        if lifeline.fileno() >= 0:
            self._selector.unregister(lifeline)
            with lifeline, suppress(OSError):
                lifeline.send(orjson.dumps(code))


def main(descriptor: int, lake: Path) -> None:
    """Serve statements over the lake that come on the descriptor."""
    control = socket.socket(fileno=descriptor)
    confinement.be_killed_first()
    confinement.write_nothing()
    worker.warm_up()
    forks = _Forks(control, lake)
    try:
        forks.run()
    finally:
        forks.end()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
