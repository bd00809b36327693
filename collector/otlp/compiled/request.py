"""Whole requests: resources, scopes and spans, each request with an outcome of its own."""

import numpy as np

from collector.jit import inlined, inner, jit
from collector.otlp.compiled.cursor import (
    ATTRIBUTES_END,
    CONTEXTS,
    EVENTS_END,
    LINKS_END,
    MADE_END,
    ROW,
)
from collector.otlp.compiled.keys import is_service_name
from collector.otlp.compiled.memory import load64
from collector.otlp.compiled.pairs import (
    KEY,
    KEY_STOP,
    KIND,
    PAIRS_MAX,
    PRESENT,
    STATE,
    A,
    B,
    mark_repeated,
    put_pairs,
    read_pair,
)
from collector.otlp.compiled.promotion import IN_MADE, reference
from collector.otlp.compiled.protobuf import BAD_UTF8, LEN, is_utf8, length, skip, tag
from collector.otlp.compiled.span import CONTEXT, REASONS, read_span
from collector.otlp.compiled.value import NO_ROOM, STRING

# What the requests' columns are: a row of ``found`` each.
ERROR, ERROR_PLACE, SPANS, SCOPES, ACCEPTED, REJECTED, REJECTED_BY_REASON = range(7)
FOUND_WIDTH = REJECTED_BY_REASON + REASONS

# A context is what the spans of one scope share: a column of ``contexts`` each.
REQUEST, SERVICE, SCOPE_NAME, SCOPE_VERSION, RESOURCE, SCOPE, SHARED_BYTES = range(7)
CONTEXT_WIDTH = 8

# A rejected span: request, place of its resource, of its scope, its own, why, a detail.
REJECTION_WIDTH = 6
REJECTIONS_TOLD = 3

SHARED_TOO_LARGE = -20
TOO_MANY_RESOURCE_ATTRIBUTES = -21


@jit()
def count(buf, starts, stops, found):
    """Count each request's spans and scopes, or note its error: what can be said without reading the spans."""
    for request in range(len(starts)):
        error, place, spans, scopes = _count_request(buf, starts[request], stops[request])
        found[ERROR, request] = error
        found[ERROR_PLACE, request] = place - starts[request]
        found[SPANS, request] = spans
        found[SCOPES, request] = scopes


@inlined()
def _count_request(buf, start, end):
    spans, scopes = 0, 0
    pos = start
    while pos < end:
        before = pos
        field, wire, pos = tag(buf, pos, end)
        if pos < 0:
            return pos, before, 0, 0
        if wire != LEN or field != 1:
            pos = skip(buf, pos, end, field, wire, 0)
            if pos < 0:
                return pos, before, 0, 0
            continue
        inner, stop = length(buf, pos, end)
        if stop < 0:
            return stop, before, 0, 0
        pos = stop
        while inner < stop:
            before = inner
            field, wire, inner = tag(buf, inner, stop)
            if inner < 0:
                return inner, before, 0, 0
            if wire != LEN or field != 2:
                inner = skip(buf, inner, stop, field, wire, 1)
                if inner < 0:
                    return inner, before, 0, 0
                continue
            a, b = length(buf, inner, stop)
            if b < 0:
                return b, before, 0, 0
            inner = b
            scopes += 1
            while a < b:
                before = a
                field, wire, a = tag(buf, a, b)
                if a < 0:
                    return a, before, 0, 0
                if wire == LEN and field == 2:
                    _, a = length(buf, a, b)
                    spans += 1
                else:
                    a = skip(buf, a, b, field, wire, 2)
                if a < 0:
                    return a, before, 0, 0
    return 0, start, spans, scopes


@jit()
def scan(
    buf, starts, stops, found, cells, cursor, offsets, contexts, rejections, attributes, events, links, made, pairs,
    best, combinations, headers, header_starts, header_bytes, shared_bytes_max,
):  # fmt: skip
    """Read the requests that ``count`` found no error in.

    Returns 0, or NO_ROOM where one of the output buffers is too small. A request with an error leaves nothing.
    """
    told = 0
    for request in range(len(starts)):
        if found[ERROR, request] != 0:
            continue
        saved_row, saved_context = cursor[ROW], cursor[CONTEXTS]
        saved_attributes, saved_events, saved_links = cursor[ATTRIBUTES_END], cursor[EVENTS_END], cursor[LINKS_END]
        # Again, where this is the second try.
        found[REJECTED_BY_REASON:, request] = 0
        error, place, rejected, told_now = _scan_request(
            buf, starts[request], stops[request], request, found, cells, cursor, offsets, contexts, rejections, told,
            attributes, events, links, made, pairs, best, combinations, headers, header_starts[request],
            header_starts[request + 1], header_bytes[request], shared_bytes_max,
        )  # fmt: skip
        if error == NO_ROOM:
            return NO_ROOM
        if error < 0:
            found[ERROR, request] = error
            found[ERROR_PLACE, request] = place - starts[request]
            found[REJECTED, request] = 0
            found[REJECTED_BY_REASON:, request] = 0
            found[ACCEPTED, request] = 0
            cursor[ROW], cursor[CONTEXTS] = saved_row, saved_context
            cursor[ATTRIBUTES_END], cursor[EVENTS_END], cursor[LINKS_END] = saved_attributes, saved_events, saved_links
        else:
            told = told_now
            found[REJECTED, request] = rejected
            found[ACCEPTED, request] = cursor[ROW] - saved_row
    rejections[0, 0] = told
    return 0


@inlined()
def _scan_request(
    buf, start, end, request, found, cells, cursor, offsets, contexts, rejections, told, attributes, events, links,
    made, pairs, best, combinations, headers, first_header, last_header, header_bytes, shared_bytes_max,
):  # fmt: skip
    """Return (error or 0, its place, how many spans were rejected, how many rejections are told so far)."""
    shared_bytes, rejected, resource_index = 0, 0, -1
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if wire != LEN or field != 1:
            pos = skip(buf, pos, end, field, wire, 0)
            continue
        resource, resource_stop = length(buf, pos, end)
        pos = resource_stop
        resource_index += 1
        scope_index = -1
        resource_text, service = _put_resource(made, cursor, buf, resource, resource_stop, pairs)
        if resource_text < 0:
            return resource_text, resource, 0, 0
        inner = resource
        while inner < resource_stop:
            field, wire, inner = tag(buf, inner, resource_stop)
            if wire != LEN or field != 2:
                inner = skip(buf, inner, resource_stop, field, wire, 1)
                continue
            scope, scope_stop = length(buf, inner, resource_stop)
            inner = scope_stop
            scope_index += 1
            context = cursor[CONTEXTS]
            error = _put_scope(made, cursor, buf, scope, scope_stop, pairs, contexts, context)
            if error < 0:
                return error, scope, 0, 0
            cursor[CONTEXTS] = context + 1
            contexts[REQUEST, context] = request
            contexts[SERVICE, context] = service
            contexts[RESOURCE, context] = resource_text
            size = header_bytes
            for column in (SERVICE, RESOURCE, SCOPE_NAME, SCOPE_VERSION, SCOPE):
                size += contexts[column, context] & 0x7FFFFFFF
            contexts[SHARED_BYTES, context] = size
            is_ai = _is_ai(buf, contexts[SCOPE_NAME, context])
            span_index = -1
            spans = scope
            while spans < scope_stop:
                field, wire, spans = tag(buf, spans, scope_stop)
                if wire != LEN or field != 2:
                    spans = skip(buf, spans, scope_stop, field, wire, 2)
                    continue
                span, span_stop = length(buf, spans, scope_stop)
                spans = span_stop
                span_index += 1
                shared_bytes += size
                if shared_bytes > shared_bytes_max:
                    return SHARED_TOO_LARGE, span, 0, 0
                row = cursor[ROW]
                end_of_attributes, end_of_events = cursor[ATTRIBUTES_END], cursor[EVENTS_END]
                end_of_links, end_of_made = cursor[LINKS_END], cursor[MADE_END]
                error, reason, detail = read_span(
                    buf, span, span_stop, row, cells, cursor, attributes, events, links, made, pairs, best,
                    combinations, is_ai, headers, first_header, last_header,
                )  # fmt: skip
                if error < 0:
                    return error, span, 0, 0
                if reason:
                    cursor[ATTRIBUTES_END], cursor[EVENTS_END] = end_of_attributes, end_of_events
                    cursor[LINKS_END], cursor[MADE_END] = end_of_links, end_of_made
                    if rejected < REJECTIONS_TOLD:
                        told += 1
                        rejections[told, 0], rejections[told, 1] = request, resource_index
                        rejections[told, 2], rejections[told, 3] = scope_index, span_index
                        rejections[told, 4], rejections[told, 5] = reason, detail
                    found[REJECTED_BY_REASON + reason, request] += 1
                    rejected += 1
                    continue
                cells[CONTEXT, row] = context
                cursor[ROW] = row + 1
                offsets[0, row + 1] = cursor[ATTRIBUTES_END]
                offsets[1, row + 1] = cursor[EVENTS_END]
                offsets[2, row + 1] = cursor[LINKS_END]
    return 0, start, rejected, told


@inlined()
def _is_ai(buf, name):
    start = name >> 32
    return np.int64(name & 0x7FFFFFFF == 2 and load64(buf, start) & np.uint64(0xFFFF) == np.uint64(0x6961))


@inner()
def _put_resource(made, cursor, buf, start, end, pairs):
    """Write a resource's attributes as JSON; return (its place or an error, the place of the service's name)."""
    service, found = 0, 0
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if wire != LEN or not (field == 1 or field == 3):
            pos = skip(buf, pos, end, field, wire, 1)
            continue
        inner, stop = length(buf, pos, end)
        pos = stop
        if field == 3:
            if not is_utf8(buf, inner, stop):
                return BAD_UTF8, 0
            continue
        while inner < stop:
            field, wire, inner = tag(buf, inner, stop)
            if inner < 0:
                return inner, 0
            if wire != LEN or not (field == 1 or field == 3):
                inner = skip(buf, inner, stop, field, wire, 2)
                if inner < 0:
                    return inner, 0
                continue
            a, b = length(buf, inner, stop)
            if b < 0:
                return b, 0
            inner = b
            error = read_pair(pairs, found, buf, a, b, 3) if field == 1 else _check_entity(buf, a, b)
            if error == 0 and field == 1 and found >= PAIRS_MAX:
                error = TOO_MANY_RESOURCE_ATTRIBUTES
            if error < 0:
                return error, 0
            found += field == 1
    mark_repeated(pairs, found, buf)
    o = cursor[MADE_END]
    stop = put_pairs(made, o, buf, pairs, found, 3)
    if stop < 0:
        return stop, 0
    cursor[MADE_END] = stop
    for row in range(found):
        is_service = is_service_name(buf, pairs[row, KEY], pairs[row, KEY_STOP])
        if is_service and pairs[row, STATE] == PRESENT and pairs[row, KIND] == STRING:
            service = reference(pairs[row, A], pairs[row, B])
    return reference(o, stop) | IN_MADE, service


@inner()
def _check_entity(buf, start, end):
    """Return 0 if an EntityRef is well-formed, else an error."""
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if pos < 0:
            return pos
        if wire == LEN and 1 <= field <= 4:
            a, pos = length(buf, pos, end)
            if pos < 0:
                return pos
            if not is_utf8(buf, a, pos):
                return BAD_UTF8
        else:
            pos = skip(buf, pos, end, field, wire, 3)
            if pos < 0:
                return pos
    return 0


@inner()
def _put_scope(made, cursor, buf, start, end, pairs, contexts, context):
    """Note a scope's name and version, and write its attributes as JSON; return 0, NO_ROOM, or an error."""
    name, version, found = 0, 0, 0
    pos = start
    while pos < end:
        field, wire, pos = tag(buf, pos, end)
        if wire != LEN or not (field == 1 or field == 3):
            pos = skip(buf, pos, end, field, wire, 2)
            continue
        inner, stop = length(buf, pos, end)
        pos = stop
        if field == 3:
            if not is_utf8(buf, inner, stop):
                return BAD_UTF8
            continue
        while inner < stop:
            field, wire, inner = tag(buf, inner, stop)
            if inner < 0:
                return inner
            if wire != LEN or not 1 <= field <= 3:
                inner = skip(buf, inner, stop, field, wire, 3)
                if inner < 0:
                    return inner
                continue
            a, b = length(buf, inner, stop)
            if b < 0:
                return b
            inner = b
            if field == 3:
                error = read_pair(pairs, found, buf, a, b, 4)
                if error == 0 and found >= PAIRS_MAX:
                    error = TOO_MANY_RESOURCE_ATTRIBUTES
                if error < 0:
                    return error
                found += 1
                continue
            if not is_utf8(buf, a, b):
                return BAD_UTF8
            if field == 1:
                name = reference(a, b)
            else:
                version = reference(a, b)
    contexts[SCOPE_NAME, context] = name
    contexts[SCOPE_VERSION, context] = version
    contexts[SCOPE, context] = 0
    if found:
        mark_repeated(pairs, found, buf)
        o = cursor[MADE_END]
        stop = put_pairs(made, o, buf, pairs, found, 4)
        if stop < 0:
            return stop
        cursor[MADE_END] = stop
        contexts[SCOPE, context] = reference(o, stop) | IN_MADE
    return 0
