"""The keyed hash of rows: the published function, and its key its own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from collector.siphash import RowHash

CONTENT = "".join(chr(33 + number % 90) for number in range(248))


@pytest.mark.skipif(sys.hash_info.algorithm != "siphash13", reason="this Python hashes by another function")
def test_it_is_siphash_1_3_as_python_itself_computes_it() -> None:
    """Python's own is over bytes, and ends with a word of their length modulo 256: here 0, as an empty string is."""
    message = len(CONTENT).to_bytes(8, "little") + CONTENT.encode()
    script = "import sys; print(hash(bytes.fromhex(sys.argv[1])))"
    found = subprocess.run(
        [sys.executable, "-c", script, message.hex()], env={"PYTHONHASHSEED": "0"}, stdout=subprocess.PIPE, check=True
    )
    unkeyed = RowHash()
    unkeyed._state = np.frombuffer(b"uespemosmodnarodarenegylsetybdet", np.uint64)

    (computed,) = unkeyed([pa.array([CONTENT]), pa.array([""])])

    assert int(np.int64(computed.view(np.int64))) == int(found.stdout)


def test_every_key_gives_other_hashes() -> None:
    column = pa.array([CONTENT])

    assert len({int(RowHash()([column])[0]) for _ in range(10)}) == 10


def test_a_string_of_another_arrow_type_has_the_same_hash() -> None:
    row_hash = RowHash()
    column = pa.array(["a", None, "bcdefghij", ""])

    for arrow_type in (pa.large_string(), pa.string_view()):
        assert row_hash([column.cast(arrow_type)]).tolist() == row_hash([column]).tolist()
