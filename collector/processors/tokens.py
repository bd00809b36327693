"""Makes token counts comparable: totals that include all, and disjoint buckets that sum to them.

Whether a reported input includes the cache's tokens, and an output those of reasoning, is told by the first of these:
counts that can't be otherwise (more from a cache than there was input), or a reported total that is what all parts come
to; what the decoder said of a raw usage (``token_rule``); the library's convention (``token_conventions``); else all is
included. What stands apart is added to its total, so that uncached input, cache reads and cache writes are the input,
and visible output and reasoning the output, always. A part that was not reported is NULL, and counts for nothing.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from collector.processors.columns import Booleans, Coded, Integers, integers, validity, with_columns
from collector.processors.given_back import Changed, give_back
from collector.processors.token_conventions import Convention, convention_of, has_convention
from collector.promote import COUNT_MAX
from schemas.token_rule import TOKEN_RULES

_PARTS = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_COUNTS = ("input_tokens", "output_tokens", *_PARTS)


def split_tokens(spans: pa.RecordBatch) -> pa.RecordBatch:
    """Return the spans with inclusive totals, the buckets and ``token_rule`` filled."""
    if spans.num_rows == 0:
        return spans
    rows = _rows_with_parts(spans)
    if len(rows):
        spans = _split(spans, rows)
    else:
        spans = with_columns(
            spans, uncached_input_tokens=spans["input_tokens"], visible_output_tokens=spans["output_tokens"]
        )
        if spans["token_rule"].null_count < spans.num_rows:
            spans = with_columns(spans, token_rule=pa.nulls(spans.num_rows, pa.string()))
    return _with_total(spans)


def _rows_with_parts(spans: pa.RecordBatch) -> Integers:
    """Return the rows in which tokens of a cache or of reasoning are reported."""
    found = [integers(spans[name]) != 0 for name in _PARTS if spans[name].null_count < spans.num_rows]
    return np.flatnonzero(np.logical_or.reduce(found)) if found else np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class _Calls:
    """The counts of some calls, a row each, 0 where NULL; ``total`` is -1 there, and ``knows_…`` says of the others."""

    input: Integers
    output: Integers
    read: Integers
    write: Integers
    reasoning: Integers
    total: Integers
    knows_input: Booleans
    knows_output: Booleans

    @classmethod
    def of(cls, spans: pa.RecordBatch, rows: Integers) -> "_Calls":
        total = np.where(validity(spans["total_tokens"]), integers(spans["total_tokens"]), -1)
        whole_input, output, read, write, reasoning = (integers(spans[name])[rows] for name in _COUNTS)
        knows_input, knows_output = (validity(spans[name])[rows] for name in ("input_tokens", "output_tokens"))
        return cls(whole_input, output, read, write, reasoning, total[rows], knows_input, knows_output)

    @property
    def cache(self) -> Integers:
        return self.read + self.write


def _split(spans: pa.RecordBatch, rows: Integers) -> pa.RecordBatch:
    """Return the spans with the totals and buckets of these rows; of the others, the totals are their only bucket."""
    calls = _Calls.of(spans, rows)
    cache_apart, reasoning_apart = _apart(spans, rows, calls)
    whole_input = calls.input + np.where(cache_apart, calls.cache, 0)
    whole_output = calls.output + np.where(reasoning_apart, calls.reasoning, 0)
    # Only counts at the limit of what is a count are still too many.
    read = np.where(calls.knows_input, np.minimum(calls.read, whole_input), calls.read)
    write = np.where(calls.knows_input, np.minimum(calls.write, whole_input - read), calls.write)
    reasoning = np.where(calls.knows_output, np.minimum(calls.reasoning, whole_output), calls.reasoning)
    columns = dict(zip(_COUNTS, (whole_input, whole_output, read, write, reasoning), strict=True))
    codes = np.full(spans.num_rows, len(TOKEN_RULES))
    codes[rows] = cache_apart + 2 * reasoning_apart
    return with_columns(
        _with_changed(spans, rows, columns),
        uncached_input_tokens=_bucket(spans["input_tokens"], rows, whole_input - read - write),
        visible_output_tokens=_bucket(spans["output_tokens"], rows, whole_output - reasoning),
        token_rule=Coded([*TOKEN_RULES, None], codes).take([*TOKEN_RULES, None]),
    )


def _apart(spans: pa.RecordBatch, rows: Integers, calls: _Calls) -> tuple[Booleans, Booleans]:
    """Return of which calls the cache's tokens, and those of reasoning, are not in the totals."""
    cache, reasoning = calls.cache, calls.reasoning
    by_cache, by_reasoning = _by_convention(spans, rows) if _may_leave_out(spans) else (np.False_, np.False_)
    beyond = np.where(calls.total >= 0, calls.total - calls.input - calls.output, -1)
    beyond_both = beyond == cache + reasoning
    beyond_reasoning = (beyond == reasoning) & ~by_cache
    beyond_cache = (beyond == cache) & ~(beyond_reasoning & (reasoning > 0))
    cache_apart = by_cache | (cache > calls.input) | beyond_cache | beyond_both
    reasoning_apart = by_reasoning | (reasoning > calls.output) | beyond_reasoning | beyond_both
    cache_apart &= calls.knows_input & (cache > 0) & (calls.input + cache <= COUNT_MAX)
    reasoning_apart &= calls.knows_output & (reasoning > 0) & (calls.output + reasoning <= COUNT_MAX)
    return cache_apart, reasoning_apart


def _may_leave_out(spans: pa.RecordBatch) -> bool:
    if spans["token_rule"].null_count < spans.num_rows:
        return True
    return any(has_convention(scope) for scope in Coded.of(spans["scope_name"]).texts)


def _by_convention(spans: pa.RecordBatch, rows: Integers) -> tuple[Booleans, Booleans]:
    """Return of which rows it is said, or the library's habit, that the cache or reasoning stands apart."""
    picked = pa.array(rows)
    columns = [Coded.of(spans[name].take(picked)) for name in ("token_rule", "scope_name", "provider")]
    numbers = np.zeros(len(rows), np.int64)
    for column in columns:
        numbers = numbers * len(column.texts) + column.codes
    distinct = pa.array(numbers).dictionary_encode()
    codes = distinct.indices.to_numpy()
    apart = np.zeros((2, len(rows)), np.bool_)
    for code, number in enumerate(distinct.dictionary.to_pylist()):
        texts = []
        for column in reversed(columns):
            number, place = divmod(number, len(column.texts))
            texts.append(column.texts[place])
        convention = convention_of(*reversed(texts))
        if convention.cache_apart or convention.reasoning_apart:
            holding = _holding(spans, rows, codes == code, convention)
            apart[0] |= holding & convention.cache_apart
            apart[1] |= holding & convention.reasoning_apart
    return apart[0], apart[1]


def _holding(spans: pa.RecordBatch, rows: Integers, those: Booleans, convention: Convention) -> Booleans:
    """Return those of the rows in which the convention holds, by what was sent."""
    pattern = convention.only_with or convention.not_with
    if pattern is None:
        return those
    picked = pa.array(rows[those])
    matches = (pc.match_substring_regex(spans[name].take(picked), pattern) for name in ("attributes", "promoted"))
    found = np.logical_or(*(match.fill_null(False).to_numpy(zero_copy_only=False) for match in matches))
    holding = those.copy()
    holding[those] = found if convention.only_with else ~found
    return holding


def _with_changed(spans: pa.RecordBatch, rows: Integers, columns: dict[str, Integers]) -> pa.RecordBatch:
    """Return the spans with these counts in these rows, and in ``attributes`` what was sent in the place of others."""
    changed: dict[str, Changed] = {}
    made: dict[str, pa.Array] = {}
    for name, values in columns.items():
        before = integers(spans[name])
        if (before[rows] != values).any():
            after = _scattered(before, rows, values)
            changed[name] = Changed(after != before, before)
            made[name] = pa.array(after, mask=~validity(spans[name]))
    return with_columns(give_back(spans, changed), **made) if changed else spans


def _bucket(total: pa.Array, rows: Integers, values: Integers) -> pa.Array:
    return pa.array(_scattered(integers(total), rows, values), mask=~validity(total))


def _scattered(before: Integers, rows: Integers, values: Integers) -> Integers:
    after = before.copy()
    after[rows] = values
    return after


def _with_total(spans: pa.RecordBatch) -> pa.RecordBatch:
    """Return the spans with the total as reported, but never less than input and output."""
    reported = spans["total_tokens"]
    knows_parts = validity(spans["input_tokens"]) | validity(spans["output_tokens"])
    if not knows_parts.any():
        return spans
    before, knows_total = integers(reported), validity(reported)
    total = np.maximum(before, integers(spans["input_tokens"]) + integers(spans["output_tokens"]))
    changed = knows_total & (total != before)
    if changed.any():
        spans = give_back(spans, {"total_tokens": Changed(changed, before)})
    elif reported.null_count == 0:
        return spans
    return with_columns(spans, total_tokens=pa.array(total, mask=~(knows_total | knows_parts)))
