"""Compressed bodies of each encoding: they come back, end where they end, and cost no more than they are worth."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import zlib
from collections.abc import Callable

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from collector.component import DecodeError, TooLargeError, UnsupportedError
from collector.decompression import CHUNK_BYTES, check_encoding, decompress, inflated_at_once

MIB = 1 << 20
COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}
each_encoding = pytest.mark.parametrize("encoding", COMPRESSORS)


@each_encoding
@given(st.binary(max_size=50), st.sampled_from([0, 1, 3_000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1]))
def test_what_is_compressed_comes_back(encoding: str, text: bytes, size: int) -> None:
    data = (text * size)[:size]

    assert decompress(COMPRESSORS[encoding](data), encoding, 2 * MIB) == data
    assert inflated_at_once(COMPRESSORS[encoding](data), encoding, 2 * MIB) == data


@each_encoding
def test_what_does_not_get_smaller_comes_back(encoding: str) -> None:
    data = os.urandom(3 * MIB)

    assert decompress(COMPRESSORS[encoding](data), encoding, 4 * MIB) == data


@each_encoding
def test_what_grows_a_thousandfold_within_the_limit_comes_back_whole(encoding: str) -> None:
    data = bytes(40 * MIB)
    admitted = []

    found = decompress(COMPRESSORS[encoding](data), encoding, len(data), admitted.append)

    assert found == data
    assert sum(admitted) == len(data)


def test_frames_one_behind_the_other_come_back_as_one_body() -> None:
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"

    assert decompress(zstd.compress(b"ab") + skippable + zstd.compress(b"cd"), "zstd", MIB) == b"abcd"


@each_encoding
def test_a_stream_that_ends_anywhere_or_goes_on_with_garbage_is_refused(encoding: str) -> None:
    data = COMPRESSORS[encoding](b"some text that is compressed" * 9)

    for wrong in (*(data[:size] for size in range(1, len(data))), data + b"garbage", b"not compressed at all"):
        assert inflated_at_once(wrong, encoding, MIB) is None
        with pytest.raises(DecodeError, match=f"not valid {encoding}"):
            decompress(wrong, encoding, MIB)


@each_encoding
def test_a_body_of_too_many_members_is_refused(encoding: str) -> None:
    with pytest.raises(DecodeError, match="members"):
        decompress(COMPRESSORS[encoding](b"") * 2_000, encoding, MIB)


def test_a_frame_that_asks_for_a_large_window_is_refused() -> None:
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 27})
    data = compressor.compress(os.urandom(100)) + compressor.flush()

    with pytest.raises(DecodeError, match="too much memory"):
        decompress(data, "zstd", MIB)


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "zip", "ZSTD"])
def test_an_unknown_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(UnsupportedError, match="use gzip, zstd, deflate or identity"):
        check_encoding(encoding)


# In a process of its own: only there is the peak of memory that of the bomb.
BOMB = """
import resource, sys, zlib
from backports import zstd
from collector.component import TooLargeError
from collector.decompression import decompress

zeros = bytes(1 << 24)
stream = zstd.ZstdCompressor() if sys.argv[1] == "zstd" else zlib.compressobj(9, zlib.DEFLATED, 31)
bomb = b"".join(stream.compress(zeros) for _ in range(int(sys.argv[2]))) + stream.flush()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decompress(bomb, sys.argv[1], 64 << 20)
except TooLargeError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_a_bomb_of_a_gigabyte_is_refused_with_less_memory_than_the_limit(encoding: str) -> None:
    done = subprocess.run([sys.executable, "-c", BOMB, encoding, "64"], capture_output=True, text=True, check=True)

    grown_kib = int(done.stdout) // (1024 if sys.platform == "darwin" else 1)
    assert grown_kib < 48 * 1024


def test_a_body_just_beyond_the_limit_is_refused() -> None:
    with pytest.raises(TooLargeError, match="decompresses to more than 99 bytes"):
        decompress(zstd.compress(b"x" * 100), "zstd", 99)
