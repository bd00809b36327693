"""Sessions are numbered as a dict would, and hashed as the SDK does."""

import random
from hashlib import md5

import pyarrow as pa
import pytest

from analytics.experiments.session_index import SessionIndex, md5_numbers

# Alike but for their end, of all lengths about a word's and a block's; zeros pad what is hashed.
ALIKE = [letter * length + end for length in range(140) for letter in "sé" for end in ("", "x", "\0", "\0\0")]


def dict_numbers(texts: list[str | None], known: dict[str, int]) -> list[int]:
    return [-1 if text is None else known.setdefault(text, len(known)) for text in texts]


@pytest.mark.parametrize("salt", ["", "seed\x1fkey\x1f", "s" * 55, "s" * 64, "s" * 120])
def test_texts_are_hashed_as_hashlib_does(salt: str) -> None:
    texts = pa.array(ALIKE)[3:]

    found = md5_numbers(salt, texts)

    wanted = [int.from_bytes(md5((salt + text).encode()).digest()[:8], "little") for text in ALIKE[3:]]
    assert found.tolist() == wanted


def test_no_text_has_no_hash() -> None:
    assert md5_numbers("", pa.array([], pa.string())).tolist() == []


def test_each_text_has_a_number_of_its_own_whatever_comes_between() -> None:
    chance = random.Random(3)
    index, known = SessionIndex(), dict[str, int]()
    names: list[str | None] = [*ALIKE, *(f"session-{number}" for number in range(20_000)), None]

    for _ in range(5):
        texts = chance.choices(names, k=7_000)
        # Not from the beginning of what it is a part of.
        part = pa.array(["before", *texts])[1:]
        assert index.add(part).tolist() == dict_numbers(texts, known)

    assert index.count == len(known)
    asked = [*names, "nobody"]
    found = index.find(pa.array(asked)).tolist()
    assert found == [-1 if name is None else known.get(name, -1) for name in asked]
    assert index.count == len(known)


def test_no_session_has_no_number() -> None:
    index = SessionIndex()

    assert index.add(pa.array([], pa.string())).tolist() == []
    assert index.find(pa.array(["s"])).tolist() == [-1]
    assert index.find(pa.nulls(2, pa.string())).tolist() == [-1, -1]
