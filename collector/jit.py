"""How hot functions are compiled: by numba, without the interpreter's lock, kept on disk from start to start.

numba's cache notices a change of the file that a function stands in, not of the files whose functions it calls. So the
cache's folder is named by a digest of all sources that are compiled.
"""

import hashlib
import os
from functools import partial
from pathlib import Path
from typing import Any

import numba
from numba.core.compiler import Compiler

_PACKAGE = Path(__file__).parent


def _digest() -> str:
    """Return a digest of numba's version and of every source here that is compiled."""
    digest = hashlib.blake2b(numba.__version__.encode(), digest_size=8)
    for path in sorted(_PACKAGE.rglob("*.py")):
        source = path.read_bytes()
        if b"collector.jit" in source or path.parent.name == "compiled":
            digest.update(source)
    # Compiled as constants.
    for path in sorted((_PACKAGE.parent / "schemas").rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _cache_directory() -> Path:
    """Return a folder for compiled code: beside the sources, or the user's own where these can't be written to."""
    beside = _PACKAGE / "__pycache__"
    base = beside if os.access(beside if beside.exists() else _PACKAGE, os.W_OK) else Path.home() / ".cache" / "fallom"
    return base / f"compiled-{_digest()}"


if not os.environ.get("NUMBA_CACHE_DIR"):
    setattr(numba.config, "CACHE_DIR", str(_cache_directory()))  # noqa: B010 - as mypy sees it, config has no members


class _Inner(Compiler):
    """Compiles a function for its callers alone: they optimise it, and make machine code of it, as a part of them.

    numba would optimise a function again for each of its callers, and their callers: minutes for what takes seconds.
    """

    def __init__(self, typingctx: Any, targetctx: Any, library: Any, args: Any, *others: Any) -> None:
        library = targetctx.codegen().create_library("inner")
        library._optimize_final_module = lambda: None  # there is no setting for it
        super().__init__(typingctx, targetctx, library, args, *others)  # type: ignore[no-untyped-call]
        self.state.flags.no_compile = True

    def _compile_core(self) -> Any:
        compiled = super()._compile_core()  # type: ignore[no-untyped-call]
        # Something of its own that could be called, but never is: Python has no wrapper for these functions.
        compiled = compiled._replace(entry_point=[].append)
        compiled.target_context.insert_user_function(compiled.entry_point, compiled.fndesc, [compiled.library])
        return compiled


_options = {"nogil": True, "error_model": "numpy"}
_inner = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}

jit = partial(numba.njit, cache=True, forceinline=False, **_options)
"""``@jit()`` for what Python calls: kept on disk, compiled at the first call."""

inner = partial(numba.njit, forceinline=False, pipeline_class=_Inner, **_options, **_inner)
"""``@inner()`` for what only compiled functions call."""

inlined = partial(numba.njit, forceinline=True, pipeline_class=_Inner, **_options, **_inner)
"""``@inlined()`` for what only compiled functions call, and is so small that it becomes a part of them."""


def is_cached(function: str) -> bool:
    """Return whether compiled code of a function, named as ``module.function``, is on disk as its sources are now."""
    return any(Path(os.environ.get("NUMBA_CACHE_DIR") or _cache_directory()).rglob(f"{function}-*.nbc"))
