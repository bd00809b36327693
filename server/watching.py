"""Asks again and again, as the commands with ``--watch`` do."""

import sys
import time
from collections.abc import Callable
from typing import NoReturn, TypeVar

from server.errors import CommandError
from server.output import warn

_CLEAR = "\x1b[2J\x1b[H"

Answer = TypeVar("Answer")


def watch(interval_s: float, ask: Callable[[], Answer], show: Callable[[Answer], None]) -> NoReturn:
    """Show an answer each ``interval_s`` until it is interrupted: in a terminal in place of the last, else below it.

    Once there was an answer, an error is told on stderr, and asked again: a server that restarts ends no watch.
    """
    answered = False
    while True:
        began_s = time.monotonic()
        try:
            answer = ask()
        except CommandError as error:
            if not answered:
                raise
            warn(str(error))
        else:
            answered = True
            # Cleared once the next answer is there: nothing flickers while it is asked for.
            if sys.stdout.isatty():
                sys.stdout.write(_CLEAR)
            show(answer)
            sys.stdout.flush()
        time.sleep(max(0.0, interval_s - (time.monotonic() - began_s)))
