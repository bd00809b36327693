"""Requests made wrong, knowing their structure: what an honest encoder never writes, some of it still valid."""

from __future__ import annotations

import random
from collections.abc import Callable

from otlp_decoder.protobuf import (
    FIXED32,
    FIXED64,
    GROUP,
    GROUP_END,
    LENGTH,
    RAW,
    VARINT,
    Field,
    Message,
    encode,
    tag,
    varint,
)

NUMBERS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 17, 100, 2**29 - 1)
BAD_TEXTS = (
    b"\xff",
    b"\x80",
    b"\xc0\x80",
    b"\xc3",
    b"\xe2\x82",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x8e",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"a" * 30 + b"\xc3",
    b"a" * 64 + b"\xe6\x97",
    b"\xe0\x80\x80",
    b"\xf0\x80\x80\x80",
    b"\xc1\xbf",
    b"\xef\xbf\xbf",
)
BYTES = (b"\x00", b"\x01", b"\x0a", b"\x12", b"\x7f", b"\x80", b"\xff", b"\x0b", b"\x0c", b"\xff\xff\xff\xff\x0f")
# Where the recursion limit of protobuf's parsers lies, 100, seen from an attribute or from the top.
DEPTHS = (1, 2, 5, 40, 44, 45, 46, 47, 48, 49, 50, 60, 90, 93, 94, 95, 96, 97, 98, 99, 100, 101, 102, 200)


def mutated(chance: random.Random, request: Message) -> bytes:
    """Return the request's bytes with one to three things changed."""
    if chance.random() < 0.7:
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            request = _changed(chance, request, chance.randrange(9))
    data = encode(request)
    if chance.random() < 0.4:
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            data = _bytes_changed(chance, data)
    return data


def noise(chance: random.Random) -> bytes:
    """Return bytes that begin as a request might, and go on at random."""
    start = chance.choice((b"", b"\x0a", b"\x0a\x10\x12\x0e", b"\x0a\x20\x12\x1e\x12\x1c\x0a\x10"))
    size = chance.randrange(60)
    if chance.random() < 0.5:
        return start + chance.randbytes(size)
    return start + b"".join(chance.choice(BYTES) for _ in range(size))


def _changed(chance: random.Random, message: Message, depth: int) -> Message:
    """Return a copy of the message, changed at some place at most so deep."""
    if depth and message:
        place = chance.randrange(len(message))
        number, wire_type, payload = message[place]
        if isinstance(payload, list):
            changed = (number, wire_type, _changed(chance, payload, depth - 1))
            return [*message[:place], changed, *message[place + 1 :]]
    return chance.choice(_CHANGES)(chance, message)


def _removed(chance: random.Random, message: Message) -> Message:
    place = chance.randrange(len(message) + 1)
    return [*message[:place], *message[place + 1 :]]


def _repeated(chance: random.Random, message: Message) -> Message:
    return _inserted(chance, message, chance.choice(message)) if message else message


def _moved(chance: random.Random, message: Message) -> Message:
    return chance.sample(message, len(message))


def _split(chance: random.Random, message: Message) -> Message:
    """Return the message with a submessage in two halves, which a parser merges."""
    places = [place for place, field in enumerate(message) if isinstance(field[2], list)]
    if not places:
        return message
    place = chance.choice(places)
    number, wire_type, payload = message[place]
    cut = chance.randrange(len(payload) + 1)
    halves = [(number, wire_type, payload[:cut]), (number, wire_type, payload[cut:])]
    return [*message[:place], *halves, *message[place + 1 :]]


def _with_unknown(chance: random.Random, message: Message) -> Message:
    number = chance.choice(NUMBERS)
    payloads: tuple[Field, ...] = (
        (number, VARINT, chance.getrandbits(64) >> chance.randrange(64)),
        (number, FIXED64, chance.randbytes(8)),
        (number, FIXED32, chance.randbytes(4)),
        (number, LENGTH, chance.randbytes(chance.randrange(12))),
        (number, GROUP, [(chance.choice(NUMBERS), VARINT, 1)]),
        (number, GROUP, []),
    )
    return _inserted(chance, message, chance.choice(payloads))


def _with_raw(chance: random.Random, message: Message) -> Message:
    """Put in a field that is written oddly, or wrongly."""
    number = chance.choice(NUMBERS)
    length = varint(chance.choice((0, 1, 5, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1)))
    odd = (
        tag(number, GROUP_END),
        tag(number, GROUP),
        tag(number, GROUP) + tag(number + 1, GROUP_END),
        tag(number, 6),
        tag(number, 7) + b"\x00",
        tag(0, chance.randrange(8)) + b"\x00",
        varint(number << 3 | VARINT, chance.randrange(2, 12)) + b"\x01",
        varint(number << 3 | LENGTH, chance.randrange(2, 12)) + b"\x00",
        varint((2**29 + number) << 3 | VARINT) + b"\x01",
        varint((2**32 + number) << 3 | VARINT) + b"\x01",
        varint(2**64 - 1 - chance.randrange(16)) + b"\x01",
        tag(number, VARINT) + varint(chance.randrange(300), chance.randrange(2, 12)),
        tag(number, VARINT) + b"\xff" * chance.randrange(8, 12) + chance.choice((b"\x00", b"\x01", b"\x02", b"\x7f")),
        tag(number, LENGTH) + varint(chance.randrange(4), chance.randrange(2, 12)) + bytes(chance.randrange(4)),
        tag(number, LENGTH) + length,
        tag(number, LENGTH) + b"\xff" * chance.randrange(1, 12),
        tag(number, FIXED64) + bytes(chance.randrange(8)),
        tag(number, FIXED32) + bytes(chance.randrange(4)),
    )
    return _inserted(chance, message, (0, RAW, chance.choice(odd)))


def _overlong(chance: random.Random, message: Message) -> Message:
    """Write a field's tag, length or number in more bytes than it takes."""
    if not message:
        return message
    place = chance.randrange(len(message))
    number, wire_type, payload = message[place]
    sizes = (1, chance.randrange(2, 12)) if chance.random() < 0.5 else (chance.randrange(2, 7), 1)
    raw = varint(number << 3 | max(wire_type, 0), sizes[0])
    match wire_type:
        case 0:
            raw += varint(payload, sizes[1])
        case 2:
            content = encode(payload) if isinstance(payload, list) else payload
            raw += varint(len(content), sizes[1]) + content
        case _:
            return message
    return [*message[:place], (0, RAW, raw), *message[place + 1 :]]


def _wrong_length(chance: random.Random, message: Message) -> Message:
    places = [place for place, field in enumerate(message) if field[1] == LENGTH]
    if not places:
        return message
    place = chance.choice(places)
    number, _, payload = message[place]
    content = encode(payload) if isinstance(payload, list) else payload
    size = max(len(content) + chance.choice((-2, -1, 1, 2, 5, 100, 2**20)), 0)
    return [*message[:place], (0, RAW, tag(number, LENGTH) + varint(size) + content), *message[place + 1 :]]


def _renumbered(chance: random.Random, message: Message) -> Message:
    if not message:
        return message
    place = chance.randrange(len(message))
    _, wire_type, payload = message[place]
    return [*message[:place], (chance.choice(NUMBERS), wire_type, payload), *message[place + 1 :]]


def _retyped(chance: random.Random, message: Message) -> Message:
    """Give a field another wire type: a parser takes it for an unknown one."""
    if not message:
        return message
    place = chance.randrange(len(message))
    number, _, payload = message[place]
    others: tuple[Field, ...] = (
        (number, VARINT, chance.randrange(300)),
        (number, FIXED64, bytes(8)),
        (number, FIXED32, bytes(4)),
        (number, GROUP, payload if isinstance(payload, list) else []),
        (number, LENGTH, b"\x08\x01"),
    )
    return [*message[:place], chance.choice(others), *message[place + 1 :]]


def _with_text(chance: random.Random, message: Message) -> Message:
    """Put bytes that may be no UTF-8 in the place of a text, or of an id."""
    places = [place for place, field in enumerate(message) if isinstance(field[2], bytes) and field[1] == LENGTH]
    if not places:
        return message
    place = chance.choice(places)
    number, _, payload = message[place]
    cut = chance.randrange(len(payload) + 1)
    content = payload[:cut] + chance.choice(BAD_TEXTS) + (payload[cut:] if chance.random() < 0.5 else b"")
    return [*message[:place], (number, LENGTH, content), *message[place + 1 :]]


def _nested(chance: random.Random, message: Message) -> Message:
    """Put in a value, or groups, as deep as a parser goes, or deeper."""
    depth = chance.choice(DEPTHS)
    match chance.randrange(4):
        case 0:
            value: Message = []
            for _ in range(depth):
                value = [(5, LENGTH, [(1, LENGTH, value)])]
            return _inserted(chance, message, (9, LENGTH, [(1, LENGTH, b"deep"), (2, LENGTH, value)]))
        case 1:
            value = []
            for _ in range(depth * 2 // 3):
                value = [(6, LENGTH, [(1, LENGTH, [(1, LENGTH, b"k"), (2, LENGTH, value)])])]
            return _inserted(chance, message, (9, LENGTH, [(1, LENGTH, b"deep"), (2, LENGTH, value)]))
        case 2:
            return _inserted(chance, message, (0, RAW, tag(20, GROUP) * depth + tag(20, GROUP_END) * depth))
    return _inserted(chance, message, (0, RAW, tag(20, GROUP) * depth))


def _with_group_inside(chance: random.Random, message: Message) -> Message:
    """Put a group around some of the message's fields, which hides them."""
    cut = chance.randrange(len(message) + 1)
    return [*message[:cut], (chance.choice(NUMBERS), GROUP, message[cut:])]


def _inserted(chance: random.Random, message: Message, field: Field) -> Message:
    place = chance.randrange(len(message) + 1)
    return [*message[:place], field, *message[place:]]


_CHANGES: tuple[Callable[[random.Random, Message], Message], ...] = (
    _removed,
    _repeated,
    _moved,
    _split,
    _with_unknown,
    _with_raw,
    _with_raw,
    _overlong,
    _wrong_length,
    _renumbered,
    _retyped,
    _with_text,
    _nested,
    _with_group_inside,
)


def _bytes_changed(chance: random.Random, data: bytes) -> bytes:
    place = chance.randrange(len(data) + 1)
    match chance.randrange(6):
        case 0 | 1 if place < len(data):
            return data[:place] + bytes((data[place] ^ 1 << chance.randrange(8),)) + data[place + 1 :]
        case 2:
            return data[:place] + chance.choice(BYTES) + data[place:]
        case 3:
            return data[:place] + data[place + chance.randrange(1, 8) :]
        case 4 if place < len(data):
            return data[:place] + chance.choice(BYTES) + data[place + 1 :]
    return data[:place]
