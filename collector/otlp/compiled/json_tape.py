"""A JSON document as a tape: an entry a value, and one before it for its key, so that it can be walked from its end.

What is no JSON, or rare in it, is left to others (``json_text``).
"""

import numpy as np

from collector.jit import inner
from collector.otlp.compiled.json_text import DEPTH_MAX, UNSURE, number_end, skip_space, string_span, word_end
from collector.otlp.compiled.memory import load8

KIND, START, STOP, LAST, PREVIOUS = range(5)
"""An entry: its first byte; where a scalar begins and ends; an object's or list's last value; the value before it."""

WIDTH = 5
ENTRIES_MIN = 64
NONE = -1

BRACE, BRACKET, QUOTE, ESCAPED, NULL, TRUE, FALSE, NUMBER = 123, 91, 34, 35, 110, 116, 102, 45
"""Kinds. A string that has escapes is ESCAPED. Start and stop of a string are within its quotes."""


@inner()
def put_tape(buf, pos, stop, tape):
    """Write the tape of the object in ``buf``; return 0, or UNSURE, also where the tape is too short."""
    count, depth = 0, 0
    containers = np.empty(DEPTH_MAX + 1, np.int64)
    lasts = np.empty(DEPTH_MAX + 1, np.int64)
    lasts[0] = NONE
    pos = skip_space(buf, pos, stop)
    if pos >= stop or load8(buf, pos) != BRACE:
        return UNSURE
    while True:
        if pos >= stop or count + 3 > len(tape):
            return UNSURE
        byte = load8(buf, pos)
        tape[count, PREVIOUS] = lasts[depth]
        lasts[depth] = count
        if byte == BRACE or byte == BRACKET:
            if depth == DEPTH_MAX:
                return UNSURE
            depth += 1
            tape[count, KIND] = byte
            containers[depth], lasts[depth] = count, NONE
            count += 1
            pos = skip_space(buf, pos + 1, stop)
            if pos >= stop:
                return UNSURE
            if load8(buf, pos) != byte + 2:
                if byte == BRACE:
                    pos = _put_key(buf, pos, stop, tape, count)
                    count += 1
                    if pos < 0:
                        return UNSURE
                continue
        else:
            pos = _put_scalar(buf, pos, stop, tape, count, byte)
            if pos < 0:
                return UNSURE
            count += 1
            pos = skip_space(buf, pos, stop)
        while True:
            if pos >= stop:
                return UNSURE
            byte = load8(buf, pos)
            if byte == 44:
                break
            if byte != tape[containers[depth], KIND] + 2:
                return UNSURE
            tape[containers[depth], LAST] = lasts[depth]
            depth -= 1
            pos = skip_space(buf, pos + 1, stop)
            if depth == 0:
                return 0 if pos == stop else UNSURE
        pos = skip_space(buf, pos + 1, stop)
        if tape[containers[depth], KIND] == BRACE:
            if count + 3 > len(tape):
                return UNSURE
            pos = _put_key(buf, pos, stop, tape, count)
            count += 1
            if pos < 0:
                return UNSURE


@inner()
def _put_key(buf, pos, stop, tape, entry):
    """Write a key's entry; return where its value begins, or UNSURE."""
    if pos >= stop or load8(buf, pos) != QUOTE:
        return UNSURE
    pos = _put_scalar(buf, pos, stop, tape, entry, QUOTE)
    if pos < 0:
        return UNSURE
    pos = skip_space(buf, pos, stop)
    if pos >= stop or load8(buf, pos) != 58:
        return UNSURE
    return skip_space(buf, pos + 1, stop)


@inner()
def _put_scalar(buf, pos, stop, tape, entry, byte):
    """Write the entry of a text, a number, true, false or null; return what follows it, or UNSURE."""
    if byte == QUOTE:
        end, has_escapes = string_span(buf, pos, stop)
        tape[entry, KIND] = ESCAPED if has_escapes else QUOTE
        tape[entry, START], tape[entry, STOP] = pos + 1, end - 1
        return end
    if byte == 45 or 48 <= byte <= 57:
        end = number_end(buf, pos, stop)
        tape[entry, KIND] = NUMBER
    else:
        end = word_end(buf, pos, stop)
        tape[entry, KIND] = byte
    tape[entry, START], tape[entry, STOP] = pos, end
    return end
