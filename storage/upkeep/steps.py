"""Steps of upkeep that don't depend on each other: one that fails keeps none of the others from being taken."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from storage.upkeep.rewrite import StoppedError

Result = TypeVar("Result")


def take_all(steps: Iterable[Callable[[], Result]]) -> list[Result]:
    """Take all steps, then return what they did, or raise the first error of any. StoppedError ends them."""
    results: list[Result] = []
    failures: list[Exception] = []
    for step in steps:
        try:
            results.append(step())
        except StoppedError:
            raise
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]
    return results
