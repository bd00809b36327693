"""Lays the decoder's buffers against memory that can't be touched: a load or store beyond their end kills the process.

Compiled code knows its input and output by address, and checks no position there; numba's NUMBA_BOUNDSCHECK sees only
what is indexed. Output buffers begin small, so that running out of room is part of every run.
"""

from __future__ import annotations

import ctypes
import mmap

import numpy as np
from numpy.typing import NDArray

_NO_ACCESS = 0
_JUNK = 0xA5
_BUFFER_BYTES_MIN = 256
_libc = ctypes.CDLL(None, use_errno=True)


def guard_buffers() -> None:
    """Make ``decode`` use guarded buffers from now on, new ones for each call, full of junk."""
    from collector.otlp import scan
    from collector.otlp.compiled.memory import PADDING, Workspace

    def guarded_bytes(_workspace: Workspace, _name: str, size_bytes: int) -> NDArray[np.uint8]:
        return guarded(size_bytes + PADDING)

    _replace(Workspace, "bytes", guarded_bytes)
    _replace(scan, "_BUFFER_BYTES_MIN", _BUFFER_BYTES_MIN)


def guarded(size_bytes: int) -> NDArray[np.uint8]:
    """Return a buffer of junk whose end is the end of the memory that may be touched."""
    pages = -(-size_bytes // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    whole = np.frombuffer(memory, np.uint8)
    guard = ctypes.c_void_p(whole.ctypes.data + pages * mmap.PAGESIZE)
    if _libc.mprotect(guard, mmap.PAGESIZE, _NO_ACCESS):
        raise OSError(ctypes.get_errno(), "mprotect")
    data = whole[pages * mmap.PAGESIZE - size_bytes : pages * mmap.PAGESIZE]
    data[:] = _JUNK
    return data


def _replace(module: object, name: str, value: object) -> None:
    if not hasattr(module, name):
        raise AttributeError(f"{module} has no {name} any more: make the guards fit the decoder")
    setattr(module, name, value)
