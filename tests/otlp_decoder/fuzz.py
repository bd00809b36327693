"""Holds the native decoder against the reference on a million inputs, and shows the first disagreement made small.

    make fuzz                                            a million, then 100,000 with every index checked
    export PYTHONPATH=tests
    python -m otlp_decoder.fuzz --inputs 50000 --seed 7  the same inputs each time
    python -m otlp_decoder.fuzz --seed 7 --batch 31      one batch of them
    python -m otlp_decoder.fuzz --checked                every index is checked against its array; compiles anew

The inputs run in a process of their own, so that one that kills it or hangs is told, too. The decoder's buffers end
where the memory ends (``guards.py``).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized

from otlp_decoder.inputs import BATCH, batch
from otlp_decoder.reduce import reduced
from rich.console import Console

from collector.request import Received

# The decoder itself is imported where it runs, in the other process: importing compiles.
CONSOLE = Console(markup=False, highlight=False, soft_wrap=True)
HANG_S = 120
PROGRESS_S = 5
COMPILE_S = 900


@dataclass(frozen=True, slots=True)
class Run:
    """What is run: batches of a seed; ``one_by_one`` decodes each input alone, to see which of them kills."""

    seed: int
    first: int
    count: int
    one_by_one: bool = False


def main() -> int:
    """Run as the arguments say; 1 where the decoders disagree or ours dies."""
    arguments = _arguments()
    if arguments.checked:
        # numba's cache does not tell checked code from unchecked: it must not be the server's.
        folder = tempfile.TemporaryDirectory(prefix="fallom-checked-")
        # Memory that is read before it is written shows, since the allocator fills it.
        os.environ |= {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": folder.name, "MALLOC_PERTURB_": "165"}
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    count = -(-arguments.inputs // BATCH)
    run = Run(seed, 0, count) if arguments.batch is None else Run(seed, arguments.batch, 1)
    CONSOLE.print(f"seed {seed}: {run.count * BATCH:,} inputs{', indices checked' if arguments.checked else ''}")
    return _watched(run, BATCH)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, help="the same seed gives the same inputs; default: a new one")
    parser.add_argument("--batch", type=int, help="run this batch alone")
    parser.add_argument("--checked", action="store_true", help="compile with numba's bounds checks")
    return parser.parse_args()


def _watched(run: Run, size: int) -> int:
    """Run in another process, and tell where it got to, or what killed it."""
    context = multiprocessing.get_context("spawn")
    done: Synchronized[int] = context.Value("q", -1)
    process = context.Process(target=_work, args=(run, done))
    process.start()
    started = heard = told = time.monotonic()
    last = -1
    while process.is_alive():
        process.join(0.2)
        now = time.monotonic()
        if done.value != last:
            if last < 0:
                started = told = now
            last, heard = done.value, now
        if now - heard > (HANG_S if last >= 0 else COMPILE_S):
            process.kill()
            process.join()
            return _died(run, last, f"hangs: nothing for {now - heard:.0f} s")
        if now - told > PROGRESS_S and last > 0:
            inputs = last * size
            CONSOLE.print(f"{inputs:>12,} inputs, {inputs / (now - started):,.0f}/s")
            told = now
    if process.exitcode in (0, 1):
        return int(process.exitcode)
    return _died(run, done.value, f"dies with exit code {process.exitcode}")


def _died(run: Run, done: int, how: str) -> int:
    if run.one_by_one:
        body = batch(run.seed, run.first)[max(done, 0)][0].body
        CONSOLE.print(f"input {max(done, 0)} of it: {body.hex()}")
        return 1
    number = run.first + max(done, 0)
    CONSOLE.print(f"the decoder {how}: --seed {run.seed} --batch {number}")
    return _watched(Run(run.seed, number, 1, one_by_one=True), 1) or 1


def _work(run: Run, done: Synchronized[int]) -> None:
    import faulthandler

    from otlp_decoder.guards import guard_buffers

    from collector.otlp.wire import decode

    guard_buffers()
    faulthandler.enable()
    decode([])  # Compiled here, before the clock of the inputs runs.
    done.value = 0
    if run.one_by_one:
        for received in batch(run.seed, run.first):
            decode([received])
            done.value += 1
        return
    for number in range(run.first, run.first + run.count):
        _check(batch(run.seed, number), f"--seed {run.seed} --batch {number}")
        done.value += 1
    CONSOLE.print(f"{run.count * len(batch(run.seed, run.first)):,} inputs, and the decoders agree on all")


def _check(requests: Sequence[Received], place: str) -> None:
    found = _found(requests)
    if found is None:
        return
    CONSOLE.print(f"{place}, input {found[0]}: {found[1]}\n… made smaller:")
    kind = found[1].split(":")[0]

    def fails(left: Sequence[Received]) -> bool:
        # Smaller, but still the same finding.
        other = _found(left)
        return other is not None and other[1].split(":")[0] == kind

    alone = [requests[found[0]]]
    small = reduced(alone if fails(alone) else requests, fails)
    CONSOLE.print(_found(small))
    for request, _ in small:
        CONSOLE.print(f"project={request.project!r} headers={request.headers!r} body={request.body.hex()}")
    sys.exit(1)


def _found(requests: Sequence[Received]) -> tuple[int, str] | None:
    """Return where the decoders disagree, or ours raises, and how."""
    from otlp_decoder.differences import first_difference

    try:
        difference = first_difference(requests)
    except Exception as error:  # whatever the decoder raises is a finding
        return 0, f"{type(error).__name__}: {error}"
    return (difference.place, difference.what) if difference else None


if __name__ == "__main__":
    sys.exit(main())
