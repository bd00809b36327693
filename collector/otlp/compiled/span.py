"""One span: each of its fields into its row of ``cells``, its attributes, events and links as JSON."""

import numpy as np

from collector.jit import inlined, inner
from collector.otlp.compiled.cursor import ATTRIBUTES_END, MADE_END
from collector.otlp.compiled.derivation import derive
from collector.otlp.compiled.event import SPAN_DEPTH, UNIX_NANO_MAX, put_events, put_links
from collector.otlp.compiled.hashing import xxh64
from collector.otlp.compiled.keys import NO_RANK
from collector.otlp.compiled.memory import load64
from collector.otlp.compiled.pairs import PAIRS_MAX, check_pair, identify, put_pairs, read_pair
from collector.otlp.compiled.promotion import (
    COLUMN_COUNT,
    HINTS,
    IS_HINTED,
    IS_UNREAD,
    give_back_hinted,
    promote,
    reference,
    reset,
)
from collector.otlp.compiled.protobuf import BAD_UTF8, I64, LEN, TRUNCATED, VARINT, is_utf8, length, skip, tag, varint
from collector.otlp.compiled.provenance import put_promoted

# The cells of a span: a row of the table of cells each, then one a column that attributes can fill. Of a span that is
# HINTED, the ranks at which they are filled follow, one a column.
CONTEXT, START, DURATION, KIND, STATUS, TRACE_ID, SPAN_ID, PARENT_ID = range(8)
HASH, FILLED, PROMOTED, NAME, TRACE_STATE, MESSAGE, HINTED = range(8, 15)
COLUMNS = 15
RANKS = COLUMNS + COLUMN_COUNT
WIDTH = RANKS + COLUMN_COUNT

# Why a span is rejected alone.
USABLE, BAD_TRACE_ID, ZERO_TRACE_ID, BAD_SPAN_ID, ZERO_SPAN_ID, BAD_PARENT_ID, TOO_MANY_ATTRIBUTES = range(7)
REASONS = 7

_KIND_MAX = 5
_STATUS_MAX = 2
_ENUM = 0xFFFFFFFF


@inner()
def read_span(
    buf, start, end, row, cells, cursor, attributes, events, links, made, pairs, best, combinations, scope, headers,
    first_header, last_header,
):  # fmt: skip
    """Read the span at ``start`` to ``end`` into ``row``; return (error or 0, why it is rejected, a detail of that)."""
    trace_id, trace_id_size, span_id, span_id_size, parent_id, parent_id_size = 0, 0, 0, 0, 0, 0
    name, trace_state, message = 0, 0, 0
    kind, status, began, ended = 0, 0, np.uint64(0), np.uint64(0)
    count, event_count, link_count = 0, 0, 0
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if pos < 0:
            return pos, 0, 0
        if wire == LEN:
            a, b = length(buf, pos, end)
            if b < 0:
                return b, 0, 0
            pos = b
            if field == 9:
                error = read_pair(pairs, count, buf, a, b, SPAN_DEPTH + 1)
                if error == 0 and count >= PAIRS_MAX:
                    error = check_pair(made, cursor[MADE_END], buf, pairs, PAIRS_MAX, SPAN_DEPTH + 1)
                if error < 0:
                    return error, 0, 0
                count += 1
            elif field == 1:
                trace_id, trace_id_size = a, b - a
            elif field == 2:
                span_id, span_id_size = a, b - a
            elif field == 4:
                parent_id, parent_id_size = a, b - a
            elif field == 5 or field == 3:
                if not is_utf8(buf, a, b):
                    return BAD_UTF8, 0, 0
                if field == 5:
                    name = reference(a, b)
                else:
                    trace_state = reference(a, b)
            elif field == 11:
                event_count += 1
            elif field == 13:
                link_count += 1
            elif field == 15:
                error, status, message = _read_status(buf, a, b, status, message)
                if error < 0:
                    return error, 0, 0
        elif wire == I64 and (field == 7 or field == 8):
            if pos + 8 > end:
                return TRUNCATED, 0, 0
            time = min(load64(buf, pos), UNIX_NANO_MAX)
            pos += 8
            if field == 7:
                began = time
            else:
                ended = time
        elif wire == VARINT and field == 6:
            value, pos = varint(buf, pos, end)
            if pos < 0:
                return pos, 0, 0
            kind = np.int64(value) & _ENUM
        else:
            pos = skip(buf, pos, end, field, wire, SPAN_DEPTH)
            if pos < 0:
                return pos, 0, 0

    is_crowded = count > PAIRS_MAX
    count = min(count, PAIRS_MAX)
    reset(best)
    identify(pairs, count, buf, best)
    error = promote(buf, made, cursor, pairs, count, best, scope, headers, first_header, last_header)
    if error < 0:
        return error, 0, 0
    if event_count:
        error = put_events(events, cursor, buf, start, end, pairs, count, best, np.int64(began), made)
        if error < 0:
            return error, 0, 0
        is_crowded |= error > 0
    is_hinted = best[HINTS, IS_HINTED] != 0
    if is_hinted:
        give_back_hinted(best, pairs, count)
        error = derive(buf, made, cursor, pairs, count, best, np.int64(began))
        if error < 0:
            return error, 0, 0
    if link_count:
        error = put_links(links, cursor, buf, start, end, pairs)
        if error < 0:
            return error, 0, 0
        is_crowded |= error > 0
    attributes_end = put_pairs(attributes, cursor[ATTRIBUTES_END], buf, pairs, count, SPAN_DEPTH + 1)
    if attributes_end < 0:
        return attributes_end, 0, 0
    cursor[ATTRIBUTES_END] = attributes_end

    reason, detail = _unusable(buf, trace_id, trace_id_size, span_id, span_id_size, parent_id, parent_id_size)
    if reason == USABLE and is_crowded:
        reason, detail = TOO_MANY_ATTRIBUTES, PAIRS_MAX
    if reason != USABLE:
        return 0, reason, detail

    promoted = put_promoted(made, cursor, best, combinations, pairs)
    if promoted < 0:
        return promoted, 0, 0
    cells[PROMOTED, row] = promoted
    cells[START, row] = np.int64(began)
    cells[DURATION, row] = np.int64(ended - began) if began > 0 and ended >= began else -1
    cells[KIND, row] = kind if kind <= _KIND_MAX else 0
    cells[STATUS, row] = status if status <= _STATUS_MAX else 0
    cells[TRACE_ID, row] = trace_id
    cells[SPAN_ID, row] = span_id
    cells[PARENT_ID, row] = parent_id if parent_id_size and load64(buf, parent_id) != 0 else -1
    cells[HASH, row] = np.int64(xxh64(buf, start, end))
    cells[NAME, row] = name
    cells[TRACE_STATE, row] = trace_state
    cells[MESSAGE, row] = message
    filled = np.int64(0)
    for column in range(COLUMN_COUNT):
        is_filled = best[0, column] != NO_RANK
        filled |= np.int64(is_filled) << column
        cells[COLUMNS + column, row] = best[1, column] if is_filled else 0
    cells[FILLED, row] = filled
    cells[HINTED, row] = best[HINTS, IS_UNREAD]
    if best[HINTS, IS_UNREAD]:
        for column in range(COLUMN_COUNT):
            cells[RANKS + column, row] = best[0, column]
    return 0, USABLE, 0


@inner()
def _read_status(buf, start, end, status, message):
    """Return (error or 0, status code, place of the message) of a Status message; what it does not say is as before."""
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if pos < 0:
            return pos, status, message
        if wire == LEN and field == 2:
            a, pos = length(buf, pos, end)
            if pos < 0:
                return pos, status, message
            if not is_utf8(buf, a, pos):
                return BAD_UTF8, status, message
            message = reference(a, pos)
        elif wire == VARINT and field == 3:
            value, pos = varint(buf, pos, end)
            if pos < 0:
                return pos, status, message
            status = np.int64(value) & _ENUM
        else:
            pos = skip(buf, pos, end, field, wire, SPAN_DEPTH + 1)
            if pos < 0:
                return pos, status, message
    return 0, status, message


@inlined()
def _unusable(buf, trace_id, trace_id_size, span_id, span_id_size, parent_id, parent_id_size):
    """Return (why the span's ids can't be used, the size of the wrong one)."""
    if trace_id_size != 16:
        return BAD_TRACE_ID, trace_id_size
    if span_id_size != 8:
        return BAD_SPAN_ID, span_id_size
    if load64(buf, trace_id) | load64(buf, trace_id + 8) == 0:
        return ZERO_TRACE_ID, 0
    if load64(buf, span_id) == 0:
        return ZERO_SPAN_ID, 0
    if parent_id_size != 0 and parent_id_size != 8:
        return BAD_PARENT_ID, parent_id_size
    return USABLE, 0
