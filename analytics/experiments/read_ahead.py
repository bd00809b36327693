"""Reads batches in a thread of its own, so that reading and adding up go on side by side."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import Queue
from typing import Generic, TypeVar

BATCHES_AHEAD_MAX = 4

T = TypeVar("T")


def read_ahead(batches: Iterable[T]) -> Iterator[T]:
    """Yield what ``batches`` yields, and raise what it raises. Whoever stops early waits for the batch that is read."""
    reader = _Reader(batches)
    reader.start()
    try:
        while (part := reader.parts.get()) is not None:
            yield part[0]
        reader.join()
        if reader.error is not None:
            raise reader.error
    finally:
        reader.stop()


class _Reader(threading.Thread, Generic[T]):
    """Puts each batch into a queue, in a tuple; None after the last."""

    def __init__(self, batches: Iterable[T]) -> None:
        super().__init__(name="read-ahead", daemon=True)
        self.parts: Queue[tuple[T] | None] = Queue(BATCHES_AHEAD_MAX)
        self.error: BaseException | None = None
        self._batches = batches
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            for batch in self._batches:
                if self._stopping.is_set():
                    break
                self.parts.put((batch,))
        except BaseException as error:
            self.error = error
        self.parts.put(None)

    def stop(self) -> None:
        self._stopping.set()
        while self.is_alive():
            # Whoever waits to put a batch is let on, sees that it shall stop, and puts the end.
            if not self.parts.empty():
                self.parts.get()
            self.join(0.001)
