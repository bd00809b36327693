"""Valid export requests at random, as trees: every field, every kind of value, the dialects' keys, families, events.

All draws come from one ``random.Random``, so that the same seed gives the same requests; hypothesis can stand behind it
too (``st.randoms``).
"""

from __future__ import annotations

import random
import struct
from functools import cache

from otlp_decoder.protobuf import FIXED32, FIXED64, LENGTH, VARINT, Field, Message
from otlp_decoder.reference import FAMILIES

from schemas.dialects import DIALECTS, READINGS, columns_by_key

START_UNIX_NANO = 1_795_262_400_000_000_000

TEXTS = (
    "",
    "a",
    "stop",
    "gpt-4o",
    "true",
    "FALSE",
    "True",
    "tRuE",
    "null",
    '{"a":1}',
    '{"input":1,"input_cache_read":2,"output":3,"total":0.5}',
    '{"input_tokens":"4","output_tokens":-1,"cache_read":9,"total_cost":2}',
    '[{"role":"user","content":"hi"}]',
    '[{"role":"system"}]',
    '{"message":"{\\"content\\":1}","finish_reason":"stop"}',
    '{ "openai" : {"cachedPromptTokens":3,"reasoningTokens":"4"},"anthropic":{"usage":{"cache_read_input_tokens":5}} }',
    '{"input":{"a":1},"input_b":2,"input_b":3,"cache_read":[1],"model":"m\\u0041","total":0.00042750000000000003}',
    '{"input_token_details":{"cache_read":7,"ephemeral_5m_input_tokens":1,"ephemeral_1h_input_tokens":2.9}}',
    '{"input_tokens":-0,"output":-0.0,"total":1e2,"total_tokens":9007199254740993,"total_cost":"1.1e0","model":5}',
    '{"total_cost":0.30000000000000004,"input":12345678901234567,"output":"x","cached_tokens":null,"model":"gpt-4o"}',
    '{"input":5,"output":6',
    '{"input":5,}',
    "{}",
    "[]",
    " [ ] ",
    ' [ { "role" : "system" , "content" : [ ] } , 1 ] ',
    '[{"role":"user","role":"system"}]',
    '[{"ro\\u006ce":"system"}]',
    '[{"a":"\\ud83d\\ude00 \\n","b":"\\ud83d"}]',
    '[{"a":"\\ud83d\\ude00 \\/","b":[true,false,null,-1.50,1e5]}]',
    '[{"type":"text","content":"Be brief."}]',
    '{"type":"text","content":"Be brief."}',
    '"Be brief."',
    " Be brief. ",
    '[{"a":01}]',
    "[" * 70 + "]" * 70,
    '"2026-11-21T12:00:01.5Z"',
    '"2026-11-21T12:00:01.500Z"',
    "2026-11-21T12:00:02.123456+00:30",
    "2026-02-29T12:00:02Z",
    "2026-11-21 12:00:02",
    "2026-11-21T12:00:02",
    "tool",
    '"',
    "\\",
    'a\\"b\\',
    "\x00",
    "\x01\x1f\x7f\t\r\n\b\f",
    "é",
    "日本",
    "🎉",
    "\u2028\u2029",
    "\ufeff",
    "\uffff",
    "\U0010ffff",
    "a" * 31 + "\n",
    "a" * 63 + '"',
    "é" * 40,
    "word " * 60,
    "k\u0131",
    "</script>",
)
NUMBERS = (
    "0",
    "7",
    "+7",
    "-7",
    "-0",
    "007",
    "1234567890123",
    "1000000000000",
    "1000000000001",
    "999999999999.5",
    "9223372036854775807",
    "18446744073709551617",
    "9" * 400,
    "0" * 400 + "5",
    "1.5",
    "1.",
    ".5",
    "0.1",
    "2.5",
    "-0.0",
    "-0.5",
    "1e3",
    "1E+3",
    "1e-3",
    "25e-1",
    "1e9",
    "1e12",
    "1e308",
    "1e999",
    "1e-999",
    "1e99999999999999999999",
    "0e99999999999999999999",
    "0.000000000000000000000000000001",
    "123456789.123456789123456789",
    "0." + "0" * 320 + "1",
    "1" + "0" * 320 + "e-320",
    ".",
    "e5",
    "1e",
    "1e+",
    "+",
    "-",
    "+-1",
    "1_000",
    " 1",
    "1 ",
    "1\n",
    "0x10",
    "nan",
    "inf",
    "Infinity",
    "٣",
    "１",
    "1.5.5",
    "1,5",
    "1\x00",
)
INTEGERS = (0, 1, 2, 5, 127, 128, 300, 10**6, 10**9, 10**12, 10**12 + 1, 2**31, 2**53 + 1, 2**63 - 1, 2**64 - 1, 2**63)
DOUBLES = (
    *(0.0, -0.0, 0.5, 1.0, 1.5, 2.5, 0.1, 0.7, 100.0, 1e9, 1e9 + 1, 1e12, 1e15, 1e16, 1e17, 1e21, 1e22, 123456.789),
    *(1e-5, 1e-4, 1e-7, 5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 1.7976931348623157e308, -1e300),
    *(9007199254740993.0, 0.0000005, 1.0000005, 0.1234567895, 5e-10, 1.5e-9, 2.5e-9, -1e-10, -5e-10, 999.9999999995),
    *(float("nan"), float("inf"), float("-inf"), 4.35, 2.675, 1 / 3, 1e23, 9.5367431640625e-07),
)
ORDINARY_KEYS = (
    "",
    "a",
    "k",
    "$",
    "$bytes",
    "$double",
    "$kvlist",
    "é",
    '"',
    "\\",
    "\n",
    "gen_ai",
    "http.method",
    "日本",
)
NEAR_KEYS = (
    *("gen_ai.prompt", "gen_ai.prompt.", "gen_ai.prompt.0", "gen_ai.prompt.0.", "gen_ai.prompt..role"),
    *("gen_ai.prompt.00.role", "gen_ai.prompt.01.role", "gen_ai.prompt.10000.role", "gen_ai.prompt.-1.role"),
    *("gen_ai.prompt.+1.role", "gen_ai.prompt.1a.role", "gen_ai.prompt.٣.role", "gen_ai.prompt. 0.role"),
    *("llm.input_messages.0.", "llm.input_messages.0..", "gen_ai.completion.9999.x", "gen_ai.promp.0.role"),
    *("gen_ai.usage.input_token", "gen_ai.usage.input_tokenss", "Gen_ai.system", "gen_ai.system\x00", "session.i"),
)
RESTS = ("role", "content", "finish_reason", "tool_calls.0.name", "message.role", ".", "$kvlist", "é", '"', "0.role")
EVENTS = (
    *sorted({reading.event for reading in READINGS if getattr(reading, "event", None)}),
    *("exception", "exceptions", "other", ""),
)
EVENT_KEYS = (
    *("exception.type", "exception.type", "exception.message", "finish_reason", "message", "content", "role", "k"),
    *("gen_ai.system", "gen_ai.event.content", "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.prompt"),
    *("gen_ai.system_instructions", "gen_ai.completion"),
)
SCOPES = ("", "ai", "ai ", "a", "AI", "opentelemetry.instrumentation.openai.v1")
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {},
    {"x-fallom-config-key": "config", "x-fallom-session-id": "session"},
    {"x-fallom-session-id": "", "x-fallom-customer-id": "é日🎉", "x-fallom-other": "x"},
    {"x-fallom-prompt-version": "3", "x-fallom-prompt-variant": "1.9", "x-fallom-prompt-key": '"\\'},
    {"x-fallom-prompt-version": "three", "x-fallom-prompt-variant": "-1", "x-fallom-prompt-ab-test": "t"},
)


def request(chance: random.Random) -> Message:
    """Return a small request: mostly one to three spans with some attributes."""
    return [
        *[(1, LENGTH, _resource_spans(chance)) for _ in range(_few(chance))],
        *([(chance.randrange(2, 20), VARINT, 5)] if chance.random() < 0.05 else []),
    ]


def any_value(chance: random.Random, depth: int = 0) -> Message:
    """Return a value of any kind."""
    kind = chance.randrange(20)
    if kind < 6:
        return [(1, LENGTH, text(chance).encode())]
    if kind < 8:
        return [(1, LENGTH, chance.choice(NUMBERS).encode())]
    if kind < 11:
        return [(3, VARINT, integer(chance))]
    if kind < 14:
        return [(4, FIXED64, double(chance))]
    if kind < 16:
        return [(2, VARINT, chance.choice((0, 1, 1, 1, 2, 2**63)))]
    if kind == 16:
        return [(7, LENGTH, chance.randbytes(chance.randrange(9)))]
    if kind == 17:
        return [(8, VARINT, 3)] if chance.random() < 0.3 else []
    values = range(chance.randrange(0 if depth < 4 else 1, 4) if depth < 4 else 0)
    if kind == 18:
        return [(5, LENGTH, [(1, LENGTH, any_value(chance, depth + 1)) for _ in values])]
    return [(6, LENGTH, [(1, LENGTH, _pair(chance, _key(chance), depth + 1)) for _ in values])]


def text(chance: random.Random) -> str:
    """Return a text, mostly an odd one."""
    if chance.random() < 0.8:
        return chance.choice(TEXTS)
    return "".join(chance.choice('a"\\\x00é日🎉') for _ in range(chance.randrange(1, 70)))


def integer(chance: random.Random) -> int:
    """Return an integer as a varint holds it: of 64 bits, without a sign."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randrange(5_000)
    if kind == 1:
        return chance.getrandbits(64) >> chance.randrange(64)
    return chance.choice(INTEGERS) if kind == 2 else -chance.choice(INTEGERS[:13]) % 2**64


def double(chance: random.Random) -> bytes:
    """Return the bytes of a double."""
    kind = chance.randrange(4)
    if kind == 0:
        return chance.randbytes(8)
    return struct.pack("<d", chance.choice(DOUBLES) if kind < 3 else chance.random() * 10.0 ** chance.randrange(-9, 13))


@cache
def promoted_keys() -> tuple[str, ...]:
    """Return all keys that can fill a column."""
    conditions = [source.where[0] for dialect in DIALECTS for source in dialect.sources if source.where]
    return tuple(sorted((*columns_by_key(), *conditions)))


def _resource_spans(chance: random.Random) -> Message:
    message: Message = []
    if chance.random() < 0.8:
        keys = ("service.name", "service.name", "k", "é")
        pairs = [(1, LENGTH, _pair(chance, chance.choice(keys))) for _ in range(chance.randrange(3))]
        message.append((1, LENGTH, [*pairs, *_now_and_then(chance, (2, VARINT, 1), (3, LENGTH, _entity(chance)))]))
    message += [(2, LENGTH, _scope_spans(chance)) for _ in range(_few(chance))]
    return _shuffled(chance, [*message, *_now_and_then(chance, (3, LENGTH, b"https://example.org"))])


def _entity(chance: random.Random) -> Message:
    return [(1 + chance.randrange(4), LENGTH, text(chance).encode()) for _ in range(chance.randrange(4))]


def _scope_spans(chance: random.Random) -> Message:
    message: Message = []
    if chance.random() < 0.7:
        scope: Message = [(1, LENGTH, chance.choice(SCOPES).encode())]
        scope += _now_and_then(chance, (2, LENGTH, b"1.0"), (3, LENGTH, _pair(chance, _key(chance))), (4, VARINT, 1))
        message.append((1, LENGTH, scope))
    message += [(2, LENGTH, span(chance)) for _ in range(_few(chance))]
    return _shuffled(chance, [*message, *_now_and_then(chance, (3, LENGTH, b"url"))])


def span(chance: random.Random) -> Message:
    """Return a span, now and then one with unusable ids."""
    start = START_UNIX_NANO + chance.randrange(10**12)
    if chance.random() < 0.1:
        start = chance.choice((0, 1, 999, 1_000, 2**63 - 1, 2**63, 2**64 - 1, START_UNIX_NANO - 10**17))
    end = start + chance.choice((0, 1, 10**9, -1, -start)) if chance.random() < 0.9 else chance.getrandbits(64)
    message: Message = [
        (1, LENGTH, _id(chance, 16)),
        (2, LENGTH, _id(chance, 8)),
        (5, LENGTH, text(chance).encode()),
        (6, VARINT, chance.choice((0, 1, 2, 3, 3, 4, 5, 6, 2**32 + 3, 2**64 - 1))),
        (7, FIXED64, struct.pack("<Q", start)),
        (8, FIXED64, struct.pack("<Q", end % 2**64)),
    ]
    message += [(9, LENGTH, pair) for pair in attributes(chance)]
    message += [(11, LENGTH, _event(chance, start)) for _ in range(chance.randrange(-4, 4))]
    message += [(13, LENGTH, _link(chance)) for _ in range(chance.randrange(-6, 3))]
    message += _now_and_then(
        chance,
        (3, LENGTH, b"a=b"),
        (4, LENGTH, chance.choice((b"", bytes(8), b"parentid", b"short"))),
        (16, FIXED32, b"\x01\x00\x00\x00"),
        (10, VARINT, 3),
        (12, VARINT, 3),
        (14, VARINT, 3),
        (15, LENGTH, _status(chance)),
        (5, LENGTH, b"another name"),
        (1000, LENGTH, b"unknown"),
    )
    return _shuffled(chance, message)


def attributes(chance: random.Random) -> list[Message]:
    """Return the attributes of a span: now and then a family, now and then a key twice."""
    pairs = [_pair(chance, _key(chance)) for _ in range(chance.randrange(6))]
    if chance.random() < 0.3:
        prefix = chance.choice(list(FAMILIES))
        for number in _numbers(chance):
            rests = [chance.choice(RESTS) for _ in range(chance.randrange(1, 4))]
            pairs += [_pair(chance, f"{prefix}{number}.{rest}") for rest in rests]
    if pairs and chance.random() < 0.2:
        pairs.append(chance.choice(pairs))
    if chance.random() < 0.1:
        chance.shuffle(pairs)
    return pairs


def _numbers(chance: random.Random) -> list[int]:
    numbers = list(range(chance.randrange(1, 4 if chance.random() < 0.9 else 13)))
    match chance.randrange(8):
        case 0:
            numbers.append(chance.choice((5, 9, 10, 99, 100, 4096, 9999)))
        case 1:
            numbers.remove(chance.choice(numbers))
        case 2:
            numbers.reverse()
        case 3:
            numbers += numbers
    return numbers


def _key(chance: random.Random) -> str:
    kind = chance.randrange(12)
    if kind < 7:
        return chance.choice(promoted_keys())
    if kind < 9:
        return chance.choice(ORDINARY_KEYS)
    if kind == 9:
        return chance.choice(NEAR_KEYS)
    if kind == 10:
        return text(chance)
    return f"{chance.choice(list(FAMILIES))}{chance.choice((0, 1, 2, 7))}.{chance.choice(RESTS)}"


def _pair(chance: random.Random, key: str, depth: int = 0) -> Message:
    message: Message = [(1, LENGTH, key.encode()), (2, LENGTH, any_value(chance, depth))]
    if chance.random() < 0.03:
        message.append((3, VARINT, 7))
    if chance.random() < 0.03:
        del message[chance.randrange(len(message))]
    return _shuffled(chance, message)


def _event(chance: random.Random, start: int) -> Message:
    name = chance.choice(EVENTS)
    time = start + chance.choice((0, 1, 10**9, -1)) if chance.random() < 0.9 else chance.getrandbits(64)
    message: Message = [(1, FIXED64, struct.pack("<Q", time % 2**64)), (2, LENGTH, name.encode())]
    message += [(3, LENGTH, _pair(chance, chance.choice(EVENT_KEYS))) for _ in range(chance.randrange(3))]
    return _shuffled(chance, [*message, *_now_and_then(chance, (4, VARINT, 1))])


def _link(chance: random.Random) -> Message:
    message: Message = [(1, LENGTH, _id(chance, 16)), (2, LENGTH, _id(chance, 8))]
    message += [(4, LENGTH, _pair(chance, "k")) for _ in range(chance.randrange(2))]
    return [*message, *_now_and_then(chance, (3, LENGTH, b"s=t"), (5, VARINT, 1), (6, FIXED32, bytes(4)))]


def _status(chance: random.Random) -> Message:
    return [(2, LENGTH, text(chance).encode()), (3, VARINT, chance.choice((0, 1, 2, 3, 2**32 + 2)))]


def _id(chance: random.Random, size: int) -> bytes:
    if chance.random() < 0.97:
        return chance.randbytes(size)
    return chance.choice((b"", bytes(size), b"x" * (size - 1), b"x" * (size + 1), bytes(size - 1) + b"\x01"))


def _few(chance: random.Random) -> int:
    return chance.choice((0, 1, 1, 1, 1, 1, 1, 2, 2, 3))


def _now_and_then(chance: random.Random, *found: Field) -> Message:
    return [each for each in found if chance.random() < 0.12]


def _shuffled(chance: random.Random, message: Message) -> Message:
    if chance.random() < 0.06:
        chance.shuffle(message)
    return message
