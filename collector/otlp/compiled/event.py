"""A span's events and links, as JSON lists; what events tell of the first token and of errors."""

import numpy as np

from collector.jit import inner
from collector.otlp.compiled.cursor import EVENTS_END, LINKS_END
from collector.otlp.compiled.keys import EVENTS, find_event, is_event_text
from collector.otlp.compiled.memory import load64, size_of, store8
from collector.otlp.compiled.number import NUMBER_BYTES_MAX, put_unsigned
from collector.otlp.compiled.pairs import (
    KEY,
    KEY_STOP,
    KIND,
    PAIRS_MAX,
    PRESENT,
    STATE,
    A,
    B,
    check_pair,
    mark_repeated,
    put_pairs,
    read_pair,
)
from collector.otlp.compiled.promotion import CONVERTED, consider_of_event, give_back, take_hint
from collector.otlp.compiled.protobuf import BAD_UTF8, I64, LEN, TRUNCATED, is_utf8, length, skip, tag
from collector.otlp.compiled.text import ESCAPED_MAX, put_hex, put_string, put_text
from collector.otlp.compiled.value import NO_ROOM, ROOM

SPAN_DEPTH = 3
UNIX_NANO_MAX = np.uint64(2**63 - 1)

_EVENT_NAME = np.frombuffer(b'{"name":', np.uint8)
_EVENT_TIME = np.frombuffer(b',"time_unix_nano":', np.uint8)
_EVENT_ATTRIBUTES = np.frombuffer(b',"attributes":', np.uint8)
# Compiled as constants.
_TIME_COLUMN, _TIME_RANK, _HINT = EVENTS.time_column, EVENTS.time_rank, EVENTS.hint
_FIRST, _COLUMN, _RANK, _KEY = EVENTS.first, EVENTS.column, EVENTS.rank, EVENTS.key
_LINK_TRACE = np.frombuffer(b'{"trace_id":"', np.uint8)
_LINK_SPAN = np.frombuffer(b'","span_id":"', np.uint8)
_LINK_STATE = np.frombuffer(b'","trace_state":', np.uint8)


@inner()
def put_events(events, cursor, buf, start, end, pairs, count, best, began, made):
    """Write the span's events as a JSON list; fill columns. The span has ``count`` pairs of its own."""
    o = cursor[EVENTS_END]
    scratch = pairs[PAIRS_MAX + 1 :]
    is_crowded = False
    is_first = True
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if wire != LEN or field != 11:
            pos = skip(buf, pos, end, field, wire, SPAN_DEPTH)
            continue
        inner, stop = length(buf, pos, end)
        pos = stop
        name, name_stop, time, found = 0, 0, np.uint64(0), 0
        while inner < stop:
            field, wire, inner = tag(buf, inner, stop)
            if inner < 0:
                return inner
            if wire == LEN and (field == 2 or field == 3):
                a, b = length(buf, inner, stop)
                if b < 0:
                    return b
                inner = b
                if field == 2:
                    name, name_stop = a, b
                    if not is_utf8(buf, a, b):
                        return BAD_UTF8
                else:
                    error = read_pair(scratch, found, buf, a, b, SPAN_DEPTH + 2)
                    if error == 0 and found >= PAIRS_MAX:
                        is_crowded = True
                        error = check_pair(events, o, buf, scratch, PAIRS_MAX, SPAN_DEPTH + 2)
                    if error < 0:
                        return error
                    found += 1
            elif wire == I64 and field == 1:
                if inner + 8 > stop:
                    return TRUNCATED
                time = load64(buf, inner)
                inner += 8
            else:
                inner = skip(buf, inner, stop, field, wire, SPAN_DEPTH + 1)
                if inner < 0:
                    return inner
        found = min(found, PAIRS_MAX)
        if o + (name_stop - name) * ESCAPED_MAX + NUMBER_BYTES_MAX + 2 * ROOM > size_of(events):
            return NO_ROOM
        store8(events, o, 91 if is_first else 44)
        is_first = False
        o = put_text(events, o + 1, _EVENT_NAME)
        o = put_string(events, o, buf, name, name_stop)
        o = put_text(events, o, _EVENT_TIME)
        o = put_unsigned(events, o, time)
        o = put_text(events, o, _EVENT_ATTRIBUTES)
        mark_repeated(scratch, found, buf)
        o = put_pairs(events, o, buf, scratch, found, SPAN_DEPTH + 2)
        if o < 0:
            return o
        if o + ROOM > size_of(events):
            return NO_ROOM
        store8(events, o, 125)
        o += 1
        event = find_event(buf, name, name_stop)
        if event >= 0:
            error = _promote_event(event, buf, made, cursor, scratch, found, best, began, time, pairs, count)
            if error < 0:
                return error
    store8(events, o, 93)
    cursor[EVENTS_END] = o + 1
    return np.int64(is_crowded)


@inner()
def _promote_event(event, buf, made, cursor, scratch, found, best, began, time, pairs, count):
    """Fill columns from one of the dialects' events; return 0, NO_ROOM, or an error."""
    column = _TIME_COLUMN[event]
    if column >= 0 and _TIME_RANK[event] < best[0, column] and began > 0 and time >= np.uint64(began):
        elapsed = time - np.uint64(began)
        if elapsed <= UNIX_NANO_MAX:
            best[0, column] = _TIME_RANK[event]
            best[1, column] = np.int64(elapsed)
            give_back(pairs, count, best[2, column])
            best[2, column] = CONVERTED
    if _HINT[event] >= 0:
        take_hint(best, _HINT[event])
    for each in range(_FIRST[event], _FIRST[event + 1]):
        for row in range(found):
            is_key = is_event_text(buf, scratch[row, KEY], scratch[row, KEY_STOP], _KEY[each])
            if is_key and scratch[row, STATE] == PRESENT:
                error = consider_of_event(
                    best, _COLUMN[each], _RANK[each], buf, made, cursor, scratch[row, KIND], scratch[row, A],
                    scratch[row, B], pairs, count,
                )  # fmt: skip
                if error < 0:
                    return error
    return 0


@inner()
def put_links(links, cursor, buf, start, end, pairs):
    """Write the span's links as a JSON list; return 1 where one has too many attributes, else 0; or an error."""
    o = cursor[LINKS_END]
    scratch = pairs[PAIRS_MAX + 1 :]
    is_crowded = False
    is_first = True
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if wire != LEN or field != 13:
            pos = skip(buf, pos, end, field, wire, SPAN_DEPTH)
            continue
        inner, stop = length(buf, pos, end)
        pos = stop
        trace_id, trace_stop, span_id, span_stop, state, state_stop, found = 0, 0, 0, 0, 0, 0, 0
        while inner < stop:
            field, wire, inner = tag(buf, inner, stop)
            if inner < 0:
                return inner
            if wire == LEN and 1 <= field <= 4:
                a, b = length(buf, inner, stop)
                if b < 0:
                    return b
                inner = b
                if field == 1:
                    trace_id, trace_stop = a, b
                elif field == 2:
                    span_id, span_stop = a, b
                elif field == 3:
                    state, state_stop = a, b
                    if not is_utf8(buf, a, b):
                        return BAD_UTF8
                else:
                    error = read_pair(scratch, found, buf, a, b, SPAN_DEPTH + 2)
                    if error == 0 and found >= PAIRS_MAX:
                        is_crowded = True
                        error = check_pair(links, o, buf, scratch, PAIRS_MAX, SPAN_DEPTH + 2)
                    if error < 0:
                        return error
                    found += 1
            else:
                inner = skip(buf, inner, stop, field, wire, SPAN_DEPTH + 1)
                if inner < 0:
                    return inner
        found = min(found, PAIRS_MAX)
        size = (trace_stop - trace_id + span_stop - span_id) * 2 + (state_stop - state) * ESCAPED_MAX
        if o + size + 3 * ROOM > size_of(links):
            return NO_ROOM
        store8(links, o, 91 if is_first else 44)
        is_first = False
        o = put_text(links, o + 1, _LINK_TRACE)
        o = put_hex(links, o, buf, trace_id, trace_stop)
        o = put_text(links, o, _LINK_SPAN)
        o = put_hex(links, o, buf, span_id, span_stop)
        o = put_text(links, o, _LINK_STATE)
        o = put_string(links, o, buf, state, state_stop)
        o = put_text(links, o, _EVENT_ATTRIBUTES)
        mark_repeated(scratch, found, buf)
        o = put_pairs(links, o, buf, scratch, found, SPAN_DEPTH + 2)
        if o < 0:
            return o
        if o + ROOM > size_of(links):
            return NO_ROOM
        store8(links, o, 125)
        o += 1
    store8(links, o, 93)
    cursor[LINKS_END] = o + 1
    return np.int64(is_crowded)
