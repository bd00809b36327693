"""What a process gives up before it runs a user's statement, as far as its kernel knows how."""

import ctypes
import os
import resource
import signal
import struct
import sys
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
# These numbers are the same on all processors.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_CREATE_RULESET_VERSION, _LANDLOCK_RULE_PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
# All that a version of Landlock knows about files: its first 13 bits, then one more each for moving, truncating, ioctl.
_FILE_BITS_BY_VERSION = {1: 13, 2: 14, 3: 15, 4: 15}
_FILE_BITS_MAX = 16
_NETWORK_FROM, _NETWORK_BITS = 4, 0b11
_SCOPES_FROM, _SCOPE_BITS = 6, 0b11
# The database asks there how much memory and how many processors it has.
_OWN_LIMITS = (Path("/proc/self"), Path("/sys/fs/cgroup"))
_FIRST_TO_BE_KILLED = "1000"


def only_reads(directory: Path) -> bool:
    """Let this process read beneath the directory, and what it may take; nothing else of files, TCP or signals.

    Call it before there are threads. Return False, with nothing changed, where the kernel has no Landlock.
    """
    if not sys.platform.startswith("linux"):
        return False
    kernel = ctypes.CDLL(None, use_errno=True)
    version = kernel.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), _LANDLOCK_CREATE_RULESET_VERSION)
    if version < 1:
        return False
    rights = struct.pack(
        "=QQQ",
        (1 << _FILE_BITS_BY_VERSION.get(version, _FILE_BITS_MAX)) - 1,
        _NETWORK_BITS if version >= _NETWORK_FROM else 0,
        _SCOPE_BITS if version >= _SCOPES_FROM else 0,
    )
    # A kernel refuses fields that it does not know.
    size_bytes = 24 if version >= _SCOPES_FROM else 16 if version >= _NETWORK_FROM else 8
    rules = _checked(kernel.syscall(_LANDLOCK_CREATE_RULESET, rights[:size_bytes], ctypes.c_size_t(size_bytes), 0))
    try:
        for readable in (directory, *(place for place in _OWN_LIMITS if place.exists())):
            folder = os.open(readable, os.O_RDONLY | os.O_DIRECTORY)
            try:
                beneath = struct.pack("=Qi", _READ_FILE | _READ_DIRECTORY, folder)
                _checked(kernel.syscall(_LANDLOCK_ADD_RULE, rules, _LANDLOCK_RULE_PATH_BENEATH, beneath, 0))
            finally:
                os.close(folder)
        _checked(kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(kernel.syscall(_LANDLOCK_RESTRICT_SELF, rules, 0))
    finally:
        os.close(rules)
    return True


def be_killed_first() -> None:
    """Where memory runs out, let the kernel end this process and its forks before the server."""
    try:
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_BE_KILLED)
    except OSError:
        # Not Linux, or a container that forbids it: the limits below hold all the same.
        return


def write_nothing() -> None:
    """Let this process and its forks make no file longer, and leave no core."""
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))


def end_with(parent: int) -> None:
    """Kill this process when its parent ends, where the kernel can; end it now where the parent is gone already."""
    if sys.platform.startswith("linux"):
        _checked(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        os._exit(0)


def limit_memory(size_bytes: int) -> None:
    """Let this process take so much more address space than it has: whatever in it takes memory, it gets no more."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        # Not Linux: the database's own limit holds all the same.
        return
    limit = pages * resource.getpagesize() + size_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def limit_processor_time(time_s: float) -> None:
    """Let the kernel kill this process after so much processor time, should nobody else do it."""
    limit_s = int(time_s) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit_s, limit_s))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
