"""All simulations in full, and docs/statistics.md written from them: `make simulate`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from simulations.checks import CHECKS, Check

PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
SEED = 2026
_HEAD = """# What the statistics keep

Written by `make simulate`; a short version of the same runs with the tests (`tests/statistics/`).

Experiments are simulated and go through the comparisons that the results show. A session has 6.7 calls on average, some
have 40; a slow session is slow in all its calls, and a failing one fails often, so that calls are far from independent:
a test that takes them for independent calls a third to two thirds of such experiments different. *Heavy tail* means
that the sessions' slowness is lognormal with σ = 1.2 instead of 0.6. *Few sessions of very unequal size*: the sizes of
sessions are lognormal with σ = 1.2. A/A: two arms without any difference. α = 5 %, N* = 5000. What is *measured* is a
share of the experiments, and varies itself: of 10,000 experiments by ±0.4 points, of 1,000 by ±1.4.

| promise | case | experiments | measured | promised |
|---|---|---|---|---|
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all checks, write the page, and return 0 if all promises hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the experiments, to try it out")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args(arguments)
    found: list[Check] = []
    for place, (check, _, experiments) in enumerate(CHECKS):
        for each in check(np.random.default_rng([SEED, place]), max(1, round(experiments * options.share))):
            sys.stdout.write(_row(each) + "\n")
            sys.stdout.flush()
            found.append(each)
    options.page.write_text(_HEAD + "".join(_row(each) + "\n" for each in found))
    broken = [each for each in found if not each.holds]
    for each in broken:
        sys.stderr.write(f"not kept: {each.promise}, {each.case}: {each.rate:.2%}\n")
    return 1 if broken else 0


def _row(check: Check) -> str:
    return f"| {check.promise} | {check.case} | {check.experiments:,} | {100 * check.rate:.1f} % | {_promised(check)} |"


def _promised(check: Check) -> str:
    if check.least and check.most < 1:
        return f"{100 * check.least:g} to {100 * check.most:g} %"
    if check.least:
        return f"≥ {100 * check.least:g} %"
    return f"≤ {100 * check.most:g} %" if check.most < 1 else "–"


if __name__ == "__main__":
    sys.exit(main())
