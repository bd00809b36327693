"""The upkeep of a lake, in a thread of its own: corrections, compaction, retention, removal of replaced files."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial

from schemas.tables import TABLES
from storage.errors import StorageError
from storage.lake import Lake
from storage.upkeep.compaction import compact
from storage.upkeep.content import remove_old_content
from storage.upkeep.corrections import complete
from storage.upkeep.forget import Progress, forget_customer, resume
from storage.upkeep.repricing import Pricing, Repriced, Repricing, reprice
from storage.upkeep.retention import drop_old_days
from storage.upkeep.rewrite import Rewriter, StoppedError
from storage.upkeep.steps import take_all

logger = logging.getLogger(__name__)

INTERVAL_S = 2.0
# How often it is looked what is too old, and which files nobody reads any more.
TIDY_INTERVAL_S = 60.0
# Files that were replaced are kept as long as a query that began before it may still read them.
REPLACED_FILES_KEPT_S = 3600.0
# Beside threads at 0 it gets about a tenth of a core where all are busy, and the whole of one that is not.
NICENESS = 10


class Upkeep:
    """Keeps a lake's tables fast to read and as short as they should be, while others read and commit to them.

    At most one for a lake, in the process that commits to it. ``retention_days`` and ``content_retention_days``: 0
    keeps for ever. ``also`` is done beside, given the day, whenever it is looked what is too old.
    """

    def __init__(
        self,
        lake: Lake,
        *,
        retention_days: int = 0,
        content_retention_days: int = 0,
        also: Sequence[Callable[[date], object]] = (),
        interval_s: float = INTERVAL_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._lake = lake
        self._retention_days = retention_days
        self._content_retention_days = content_retention_days
        self._also = tuple(also)
        self._interval_s = interval_s
        self._now = now
        self._stopping = threading.Event()
        self._rewriter = Rewriter(lake, self._stopping)
        # Corrections are numbered, so one at a time.
        self._working = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is half done is given up. Safe twice and without ``start``."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def run_once(self) -> None:
        """Do all that is due now. Raises StorageError, with the tables as they were before the step that failed.

        A step that fails keeps none of the others from being taken.
        """
        with self._working:
            take_all(self._tidying())

    def merge(self) -> None:
        """Merge files where enough have come. Raises StorageError."""
        with self._working:
            take_all(self._merging())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Change no table while the block runs; waits for the work that is going on."""
        with self._working:
            yield

    def forget(self, project: str, customer_id: str, *, progress: Progress = logger.info) -> Mapping[str, int]:
        """Remove a customer's committed rows from all tables and from disk; return how many of each.

        Raises StorageError; what was done by then stays done, and the rest is done at the next opportunity.
        """
        with self._working:
            complete(self._lake)
            return forget_customer(self._rewriter, project, customer_id, progress)

    def reprice(self, pricing: Pricing, request: Repricing) -> Repriced:
        """Price committed spans anew; return what became of those whose cost comes to something else.

        Other upkeep goes on between two files. Raises StorageError, StoppedError: what was done by then stays done.
        """
        return reprice(self._rewriter, self._working, pricing, request)

    def _tidying(self) -> Iterator[Callable[[], object]]:
        today = self._now().date()
        yield partial(complete, self._lake)
        yield partial(resume, self._rewriter)
        if self._retention_days:
            yield partial(drop_old_days, self._rewriter, days=self._retention_days, today=today)
        if self._content_retention_days:
            yield partial(remove_old_content, self._rewriter, days=self._content_retention_days, today=today)
        yield from (partial(step, today) for step in self._also)
        yield from self._merging()
        for table in TABLES:
            yield partial(self._lake.remove_unreferenced, table, kept_s=REPLACED_FILES_KEPT_S)

    def _merging(self) -> Iterator[Callable[[], object]]:
        return (partial(compact, self._rewriter, table, self._now()) for table in TABLES)

    def _run(self) -> None:
        _yield_to_others()
        failing = False
        tidied_at_s = -TIDY_INTERVAL_S
        while not self._stopping.wait(self._interval_s):
            try:
                if time.monotonic() - tidied_at_s >= TIDY_INTERVAL_S:
                    # Also where it fails: meanwhile files are merged.
                    tidied_at_s = time.monotonic()
                    self.run_once()
                else:
                    self.merge()
                failing = False
            except StoppedError:
                return
            except (StorageError, OSError) as error:
                # Once, not every other second: it is tried again for ever.
                (logger.debug if failing else logger.error)("upkeep failed, and is tried again: %s", error)
                failing = True
            except Exception:
                logger.exception("upkeep failed, and is tried again")


def _yield_to_others() -> None:
    """Give this thread less of a busy processor than those that take requests; on Linux a thread has its own share."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
