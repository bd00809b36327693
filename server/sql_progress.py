"""How long a statement has taken, and how far it is, in a terminal."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SHOWN_AFTER_S = 1.0
_INTERVAL_S = 0.5
_CLEAR_LINE = "\r\x1b[K"


@contextmanager
def progress() -> Iterator[Callable[[float], None]]:
    """Show it on stderr from the first second on, if that is a terminal; give what is told percents."""
    percents = [-1.0]
    done = threading.Event()

    def show() -> None:
        began_s = time.monotonic()
        if done.wait(_SHOWN_AFTER_S):
            return
        while not done.wait(_INTERVAL_S):
            share = f", {percents[0]:.0f} %" if percents[0] >= 0 else ""
            sys.stderr.write(f"{_CLEAR_LINE}{time.monotonic() - began_s:.0f} s{share}")
            sys.stderr.flush()
        sys.stderr.write(_CLEAR_LINE)
        sys.stderr.flush()

    thread = threading.Thread(target=show, daemon=True)
    if sys.stderr.isatty():
        thread.start()
    try:
        yield lambda percent: percents.__setitem__(0, percent)
    finally:
        done.set()
        if thread.ident is not None:
            thread.join()
