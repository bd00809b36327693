"""Texts as numbers: the MD5 that clients deal sessions by, and a table that gives each different text a number.

Theory of operation. Texts are read where Arrow has them: the bytes of all, and where each ends. A text is put into a
block of 64 bytes, padded by zeros, whose words are hashed. The table knows a text by 128 bits of SipHash-1-3 under a
secret key: that two different texts have the same is as good as impossible, also where somebody tries. Rows of one
session lie side by side in most files, and the same sessions follow each other in several tables: so the number that
was found last, and the one after it, are tried before the table is.
"""

import numba
import numpy as np

_jit = numba.njit(cache=True, nogil=True, error_model="numpy")
_inlined = numba.njit(forceinline=True, nogil=True, error_model="numpy")

BLOCK = 64
_MD5_START = np.array([0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476], np.uint32)
_MD5_SINES = np.floor(np.abs(np.sin(np.arange(1, 65))) * 2.0**32).astype(np.uint32)
_MD5_SHIFTS = np.array(
    [*[7, 12, 17, 22] * 4, *[5, 9, 14, 20] * 4, *[4, 11, 16, 23] * 4, *[6, 10, 15, 21] * 4], np.uint32
)
_MD5_PLACES = np.array([(first + by * i) % 16 for first, by in ((0, 1), (1, 5), (5, 3), (0, 7)) for i in range(16)])
_U32 = np.uint32
_U64 = np.uint64


@_inlined
def _md5_step(a, b, mixed, word, step):
    total = _U32(_U32(a + mixed) + _U32(_MD5_SINES[step] + word))
    bits = _MD5_SHIFTS[step]
    return _U32(b + _U32(_U32(total << bits) | _U32(total >> _U32(_U32(32) - bits))))


@_inlined
def _md5_block(state, words):
    a, b, c, d = state[0], state[1], state[2], state[3]
    # A loop a turn, which the compiler writes out step by step.
    for step in range(16):
        mixed = (b & c) | (~b & d)
        word = words[_MD5_PLACES[step]]
        a, b, c, d = d, _md5_step(a, b, mixed, word, step), b, c
    for step in range(16, 32):
        mixed = (d & b) | (~d & c)
        word = words[_MD5_PLACES[step]]
        a, b, c, d = d, _md5_step(a, b, mixed, word, step), b, c
    for step in range(32, 48):
        mixed = b ^ c ^ d
        word = words[_MD5_PLACES[step]]
        a, b, c, d = d, _md5_step(a, b, mixed, word, step), b, c
    for step in range(48, 64):
        mixed = c ^ (b | ~d)
        word = words[_MD5_PLACES[step]]
        a, b, c, d = d, _md5_step(a, b, mixed, word, step), b, c
    state[0] += a
    state[1] += b
    state[2] += c
    state[3] += d


@_jit
def md5_heads(data, ends, salt, heads):
    """Set ``heads`` to the first eight bytes of the MD5 of the salt and each text, as little-endian numbers.

    ``ends[i]`` and ``ends[i + 1]`` are where text i begins and ends in ``data``.
    """
    block = np.empty(BLOCK, np.uint8)
    words, counts = block.view(np.uint32), block.view(np.uint64)
    state = np.empty(4, np.uint32)
    salted = len(salt)
    for row in range(len(heads)):
        begin = np.int64(ends[row])
        size = salted + np.int64(ends[row + 1]) - begin
        state[:] = _MD5_START
        position = 0
        # The byte 128 and eight bytes of the size follow the text.
        while position < size + 9:
            counts[:] = _U64(0)
            for place in range(position, min(size, position + BLOCK)):
                block[place - position] = salt[place] if place < salted else data[begin + place - salted]
            if position <= size < position + BLOCK:
                block[size - position] = np.uint8(128)
            position += BLOCK
            if position >= size + 9:
                counts[7] = _U64(size * 8)
            _md5_block(state, words)
        heads[row] = _U64(state[0]) | (_U64(state[1]) << _U64(32))


@_inlined
def _rotated(value, bits):
    return (value << _U64(bits)) | (value >> _U64(64 - bits))


@_inlined
def _sip_round(a, b, c, d):
    a += b
    c += d
    b = _rotated(b, 13) ^ a
    d = _rotated(d, 16) ^ c
    a = _rotated(a, 32)
    c += b
    a += d
    b = _rotated(b, 17) ^ c
    d = _rotated(d, 21) ^ a
    c = _rotated(c, 32)
    return a, b, c, d


@_jit
def sip_hashes(data, ends, key, lows, highs):
    """Set ``lows`` and ``highs`` to the halves of each text's SipHash-1-3 of 128 bits; texts as in ``md5_heads``."""
    block = np.empty(BLOCK, np.uint8)
    words = block.view(np.uint64)
    for row in range(len(lows)):
        begin, end = np.int64(ends[row]), np.int64(ends[row + 1])
        size = end - begin
        a = key[0] ^ _U64(0x736F6D6570736575)
        b = key[1] ^ _U64(0x646F72616E646F6D) ^ _U64(0xEE)
        c = key[0] ^ _U64(0x6C7967656E657261)
        d = key[1] ^ _U64(0x7465646279746573)
        position = 0
        while position <= size:
            part = min(size - position, BLOCK)
            words[part >> 3 if part < BLOCK else 0] = _U64(0)
            for place in range(part):
                block[place] = data[begin + position + place]
            # A word that is not full has the size in its last byte; of eight full ones another one follows.
            for place in range((part >> 3) + (1 if part < BLOCK else 0)):
                word = words[place]
                if place == part >> 3:
                    word |= _U64(size & 255) << _U64(56)
                d ^= word
                a, b, c, d = _sip_round(a, b, c, d)
                a ^= word
            position += BLOCK
        c ^= _U64(0xEE)
        for _ in range(3):
            a, b, c, d = _sip_round(a, b, c, d)
        lows[row] = a ^ b ^ c ^ d
        b ^= _U64(0xDD)
        for _ in range(3):
            a, b, c, d = _sip_round(a, b, c, d)
        highs[row] = a ^ b ^ c ^ d


@_jit
def number_hashes(of_low, of_high, is_valid, slots, lows, highs, count, is_adding, numbers):
    """Set ``numbers`` to each text's number, -1 where it is NULL or not known; return how many texts are known then.

    ``of_low`` and ``of_high`` are the texts' hashes: made before, so that what is waited for in the table is asked for
    many texts at once. ``slots`` is the table, a power of two long and at most half full: numbers, -1 where empty.
    ``lows`` and ``highs`` are the hashes by number. A text that is not known gets the next number, if ``is_adding``.
    """
    mask = np.int64(len(slots) - 1)
    last = np.int64(-1)
    for row in range(len(numbers)):
        if len(is_valid) and not is_valid[row]:
            numbers[row] = -1
            continue
        low, high = of_low[row], of_high[row]
        number = np.int64(-1)
        if last >= 0 and lows[last] == low and highs[last] == high:
            number = last
        elif last + 1 < count and lows[last + 1] == low and highs[last + 1] == high:
            number = last + 1
        else:
            slot = np.int64(low) & mask
            while slots[slot] >= 0:
                known = np.int64(slots[slot])
                if lows[known] == low and highs[known] == high:
                    number = known
                    break
                slot = (slot + 1) & mask
            if number < 0 and is_adding:
                number = np.int64(count)
                slots[slot] = number
                lows[number], highs[number] = low, high
                count += 1
        numbers[row] = number
        if number >= 0:
            last = number
    return count


@_jit
def place_again(slots, lows, count):
    """Fill an empty table with the numbers of all texts that are known."""
    mask = np.int64(len(slots) - 1)
    for number in range(count):
        slot = np.int64(lows[number]) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number
