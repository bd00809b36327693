"""Repricing: the costs of spans of before, by the prices of today, and the session rollup with them.

Theory of operation. A file at a time is read in the few columns that costs follow from; one in which a cost comes to
something else is rewritten, in one commit that also writes down what its sessions' sums change by (corrections.py). So
at every moment each file has costs of before or of today, and the sums are those of the files. Who is interrupted, by
an error or by the end of the process, runs it again: what has today's costs is left as it is.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.spans import SPANS
from storage.data_file import DataFile
from storage.errors import LakeError
from storage.upkeep.forget import ROUNDS_MAX
from storage.upkeep.rewrite import Rewriter

FILLED = ("computed_cost", "price_source", "cost")
OVERRIDE = "override "
"""With what the source of a project's own price begins."""


def _do_nothing(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Repriced:
    """What became of spans whose cost comes to something else: how many, and what they cost before and after, USD."""

    spans: int = 0
    newly_priced: int = 0
    no_longer_priced: int = 0
    cost_before: float = 0.0
    cost_after: float = 0.0

    def __add__(self, other: "Repriced") -> "Repriced":
        return Repriced(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True, slots=True)
class Pricing:
    """How spans of one project are priced: ``price`` fills `FILLED` in batches that have these and ``reads``."""

    project: str
    reads: Sequence[str]
    price: Callable[[pa.RecordBatch], pa.RecordBatch]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return tuple(dict.fromkeys((*self.reads, *FILLED)))

    def changes(self, spans: pa.Table) -> tuple[NDArray[np.bool_], pa.RecordBatch]:
        """Return which of the spans get another cost, and these, priced anew."""
        plain = spans.select(self.columns).cast(pa.schema([SPANS.schema.field(name) for name in self.columns]))
        changed = np.asarray(pc.equal(plain["project"], self.project).fill_null(fill_value=False))
        rows = plain.filter(pa.array(changed)).combine_chunks()
        if not rows.num_rows:
            return changed, _batch(rows)
        before = _batch(rows)
        after = self.price(before)
        is_other = _differ(before, after)
        changed[changed] = is_other
        return changed, after.filter(pa.array(is_other))

    def repriced(self, spans: pa.Table) -> pa.Table:
        """Return the spans with their costs of today; of those that come to the same, all stays."""
        changed, after = self.changes(spans)
        if changed.any():
            for name in FILLED:
                index = spans.schema.get_field_index(name)
                column = spans[name].cast(SPANS.schema.field(name).type).combine_chunks()
                spans = spans.set_column(index, name, pc.replace_with_mask(column, pa.array(changed), after[name]))
        return spans


@dataclass(frozen=True, slots=True)
class Repricing:
    """What is to be priced anew: the spans of a day and later; ``is_dry`` changes nothing, and only counts.

    ``commit`` commits what was acknowledged by then; ``progress`` is told how many of how many files are done.
    """

    since: date
    is_dry: bool = False
    commit: Callable[[], None] = _do_nothing
    progress: Callable[[int, int], None] = _do_nothing


def reprice(
    rewriter: Rewriter, working: AbstractContextManager[object], pricing: Pricing, request: Repricing
) -> Repriced:
    """Price spans anew, and hold ``working`` while a file is, for others must not change tables then."""
    request.commit()
    if request.is_dry:
        with working:
            files = files_since(rewriter, request.since)
            return sum(filter(None, _each(rewriter, nullcontext(), files, pricing, request)), Repriced())
    total, seen = Repriced(), set[str]()
    for round_number in range(ROUNDS_MAX):
        files = [file for file in files_since(rewriter, request.since) if file.path not in seen]
        found = list(_each(rewriter, working, files, pricing, request))
        total = sum(filter(None, found), total)
        if round_number and all(each is not None and not each.spans for each in found):
            return total
        # Then those that were written, merged or committed meanwhile: a call may have been priced just before.
        seen |= {file.path for file in files}
        request.commit()
    raise LakeError("the tables' files are changed faster than they can be rewritten; run it again")


def files_since(rewriter: Rewriter, since: date) -> list[DataFile]:
    """Return the files with the spans of a day and later."""
    files = rewriter.lake.files(SPANS)
    return [file for file in files if (day := file.partition["date"]) is not None and day >= since.isoformat()]


def _each(
    rewriter: Rewriter,
    working: AbstractContextManager[object],
    files: Sequence[DataFile],
    pricing: Pricing,
    request: Repricing,
) -> Iterator[Repriced | None]:
    for number, file in enumerate(files, 1):
        with working:
            found = _reprice_file(rewriter, file, pricing, is_dry=request.is_dry)
        request.progress(number, len(files))
        yield found


def _reprice_file(rewriter: Rewriter, file: DataFile, pricing: Pricing, *, is_dry: bool) -> Repriced | None:
    """Price the spans of a file anew; None, with nothing done, where it is no longer the table's."""
    if file.path not in {each.path for each in rewriter.lake.files(SPANS)}:
        return None
    found = Repriced()
    for rows in rewriter.row_groups(SPANS, file, pricing.columns):
        found += _counted(rows, *pricing.changes(rows))
    if is_dry or not found.spans:
        return found
    removed = rewriter.rewrite(
        SPANS, [file], operation="UPDATE", change=pricing.repriced, is_recounted=True, prefix=file.prefix
    )
    return None if removed is None else found


def _batch(rows: pa.Table) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [column.combine_chunks() if column.num_chunks != 1 else column.chunk(0) for column in rows.columns],
        schema=rows.schema,
    )


def _differ(before: pa.RecordBatch, after: pa.RecordBatch) -> NDArray[np.bool_]:
    differing = np.zeros(before.num_rows, np.bool_)
    for name in ("computed_cost", "cost"):
        one, other = (_numbers(rows[name]) for rows in (before, after))
        differing |= (one != other) & ~(np.isnan(one) & np.isnan(other))
    # A new version of the public prices is no change where they come to the same; a price of one's own is.
    one, other = (rows["price_source"].fill_null("") for rows in (before, after))
    is_own = pc.or_(pc.starts_with(one, OVERRIDE), pc.starts_with(other, OVERRIDE))
    differing |= np.asarray(pc.and_(is_own, pc.not_equal(one, other)))
    return differing


def _counted(spans: pa.Table, changed: NDArray[np.bool_], after: pa.RecordBatch) -> Repriced:
    before = _numbers(spans["cost"])[changed]
    now = _numbers(after["cost"])
    return Repriced(
        spans=len(now),
        newly_priced=int((np.isnan(before) & ~np.isnan(now)).sum()),
        no_longer_priced=int((~np.isnan(before) & np.isnan(now)).sum()),
        cost_before=float(np.nansum(before)),
        cost_after=float(np.nansum(now)),
    )


def _numbers(column: pa.Array | pa.ChunkedArray) -> NDArray[np.float64]:
    """Return a column of numbers, NaN where NULL."""
    numbers: NDArray[np.float64] = column.fill_null(np.nan).to_numpy(zero_copy_only=False)
    return numbers
