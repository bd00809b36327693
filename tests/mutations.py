"""Valid input made wrong at random: bytes, text, and JSON documents; the same for the same seed."""

import copy
import random
from typing import Any

JUNK: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    2**31,
    2**53 + 1,
    2**63,
    2**64,
    -(2**63) - 1,
    10**400,
    "",
    " ",
    "0",
    "NaN",
    "-1e999",
    "\x00",
    "\ud800",
    "é日🎉",
    "x" * 3_000,
    "2026-02-30T00:00:00Z",
    "9999-12-31T23:59:59.999999999+14:00",
    "0001-01-01",
    "0" * 32,
    "{}",
    "[" * 2_000,
    [],
    {},
    [[]],
    [None],
    [{}],
    {"": ""},
    {"key": None, "value": {"intValue": {}}},
    {"a": {"b": {"c": [1, {"d": []}]}}},
)
INSERTED = (
    b"",
    b"\x00",
    b"\xff",
    b'"',
    b"{",
    b"}",
    b",",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
    b"null",
    b"\x0a\xff\xff\x03",
)
INSERTED_TEXT = (
    "",
    "'",
    '"',
    ";",
    "--",
    "/*",
    "$1",
    "?",
    "(",
    ")",
    "\x00",
    "é",
    "*",
    "NULL",
    "1e999",
    "%",
    "/",
    "//",
    "..",
)


def mutated_bytes(chance: random.Random, data: bytes) -> bytes:
    """Return the bytes with some flipped, cut, put in or repeated."""
    result = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        place = chance.randrange(len(result) + 1)
        match chance.randrange(5):
            case 0 if place < len(result):
                result[place] ^= 1 << chance.randrange(8)
            case 1:
                result[place:place] = chance.choice(INSERTED)
            case 2:
                del result[place : place + chance.randrange(1, 20)]
            case 3:
                result[place:place] = result[: chance.randrange(30)]
            case _ if chance.random() < 0.3:
                del result[place:]
    return bytes(result)


def mutated_text(chance: random.Random, text: str) -> str:
    """Return the text with some characters put in or cut."""
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(text) + 1)
        cut = chance.randrange(0, 5) if chance.random() < 0.5 else 0
        text = text[:place] + chance.choice(INSERTED_TEXT) + text[place + cut :]
    return text


def mutated_json(chance: random.Random, document: Any) -> Any:
    """Return a copy of the document with some of its values replaced, removed or renamed."""
    root = [copy.deepcopy(document)]
    for _ in range(chance.randrange(1, 4)):
        parent, key = chance.choice(_places(root))
        match chance.randrange(4):
            case 0 if len(parent) > 1 or parent is not root:
                del parent[key]
            case 1 if isinstance(parent, dict):
                parent[chance.choice(["", "a", "keys", "\x00", "é", key + "x"])] = parent.pop(key)
            case 2 if isinstance(parent, list) and parent is not root:
                parent.insert(key, copy.deepcopy(parent[key]))
            case _:
                parent[key] = copy.deepcopy(chance.choice(JUNK))
    return root[0] if root else {}


def _places(node: Any) -> list[tuple[Any, Any]]:
    keys = list(node) if isinstance(node, dict) else range(len(node))
    found = [(node, key) for key in keys]
    for key in keys:
        if isinstance(node[key], dict | list):
            found += _places(node[key])
    return found
