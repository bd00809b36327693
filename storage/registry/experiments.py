"""What an experiment needs beside its own text: what it looks at, its variants, and what holds once it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

import orjson
from sqlalchemy import Connection

from fallom.assignment import variant_keys
from schemas.api.experiment import Experiment
from schemas.api.problems import Problem
from schemas.api.rollout import moment_text
from storage.registry import versions
from storage.registry.bodies import resource_of, stored
from storage.registry.errors import DocumentError
from storage.registry.resources import Version

_NAMES = {"config": "config", "prompt_ab_test": "prompt test"}
_JUDGED_BY = ("control", "alpha", "inference", "metrics")


def next_version(
    connection: Connection, project: str, wanted: Experiment, before: Version | None, *, is_restored: bool
) -> tuple[Experiment, tuple[str, ...]]:
    """Return what becomes the latest version, and what its author should know.

    The end of one that has ended stays, also where an older file, which does not know of it, is applied; a roll-back
    opens it again. Raises DocumentError.
    """
    now = datetime.now(UTC)
    known = None if before is None else experiment_of(before)
    made = wanted
    advice: list[str] = []
    if known is not None:
        if not is_restored:
            made, advice = _with_end(known, wanted)
        advice += _changes_while_it_runs(known, made, now)
    problems = [*_fixed_problems(known, made, now), *_time_problems(made, now)]
    for problem in lost(connection, project, made):
        # What has ended is a record: a config of before may be gone, but what is decided now must be there.
        is_decided = known is not None and known.decision != made.decision and problem.path == "decision.variant"
        if made.ended_at is None or is_decided:
            problems.append(problem)
        else:
            advice.append(str(problem))
    if problems:
        raise DocumentError(problems)
    return made, tuple(advice)


def experiment_of(version: Version) -> Experiment:
    """Return the experiment of a version."""
    found = resource_of("experiment", version.key, version.body)
    if not isinstance(found, Experiment):
        raise TypeError(f"an experiment expected, got {type(found).__name__}")
    return found


def users(connection: Connection, project: str, kind: Literal["config", "prompt_ab_test"], key: str) -> Iterator[str]:
    """Yield the keys of the experiments, not ended nor archived, that look at a config or a prompt test."""
    events = versions.last_events(connection, project, "experiment")
    for latest in versions.all_latest(connection, project, "experiment"):
        found = experiment_of(latest)
        if found.ended_at is None and found.looks_at == (kind, key) and not versions.is_archived(events.get(found.key)):
            yield found.key


def prompt_variant_keys(variants: Sequence[dict[str, object]]) -> list[str]:
    """Return the keys of a prompt test's variants: the prompt's, with ``@version`` where that is a fixed one."""
    return [prompt_name(str(variant["prompt_key"]), variant.get("prompt_version")) for variant in variants]


def prompt_name(prompt_key: str, prompt_version: object) -> str:
    """Return how a prompt is named as a variant: with its version, where it has a fixed one."""
    return prompt_key if prompt_version is None else f"{prompt_key}@{prompt_version}"


def _with_end(known: Experiment, wanted: Experiment) -> tuple[Experiment, list[str]]:
    if known.ended_at is None or wanted.ended_at is not None:
        return wanted, []
    body = orjson.loads(stored(wanted))
    end = {name: value for name, value in orjson.loads(stored(known)).items() if name in _END}
    told = f"ended_at: kept, it ended at {moment_text(known.ended_at)}: a roll-back opens it again"
    made = resource_of("experiment", wanted.key, {**body, "status": "ended", **end})
    if not isinstance(made, Experiment):
        raise TypeError(f"an experiment expected, got {type(made).__name__}")
    return made, [told]


_END = ("status", "ended_at", "decision")


def _fixed_problems(known: Experiment | None, made: Experiment, now: datetime) -> Iterator[Problem]:
    if known is None or known.status_at(now) == "planned":
        return
    advice = "declare another experiment, under another key"
    if made.n_star != known.n_star:
        message = f"can't be changed once the experiment runs, since the sequences rest on it (was {known.n_star})"
        yield Problem("n_star", f"{message}: {advice}; got {made.n_star}")
    if made.looks_at != known.looks_at:
        kind, key = known.looks_at
        field = made.looks_at[0]
        message = f"can't be changed once the experiment runs (was the {_NAMES[kind]} {key!r})"
        yield Problem(field, f"{message}: {advice}; got {made.looks_at[1]!r}")


def _changes_while_it_runs(known: Experiment, made: Experiment, now: datetime) -> Iterator[str]:
    if known.status_at(now) == "planned":
        return
    for field in _JUDGED_BY:
        if getattr(known, field) != getattr(made, field):
            yield f"{field}: changed after the start: who reads the results finds what it was in the history"


def _time_problems(made: Experiment, now: datetime) -> Iterator[Problem]:
    if made.ended_at is not None and made.ended_at > now:
        message = f"must not be in the future, for which there is planned_end; got {moment_text(made.ended_at)}"
        yield Problem("ended_at", message)


def lost(connection: Connection, project: str, made: Experiment) -> Iterator[Problem]:
    """Yield what the experiment names and what is not there."""
    kind, key = made.looks_at
    latest = versions.latest(connection, project, kind, key)
    if latest is None:
        yield Problem(kind, _unknown(connection, project, made))
        return
    if versions.is_archived(versions.last_event(connection, project, kind, key)):
        yield Problem(kind, f"{_NAMES[kind]} {key!r} is archived: restore it first")
    variants = latest.body["variants"]
    keys = variant_keys(variants) if kind == "config" else prompt_variant_keys(variants)
    named = {"control": made.control, "decision.variant": made.decision and made.decision.variant}
    for field, variant in named.items():
        if variant is not None and variant not in keys:
            there = ", ".join(map(repr, keys))
            yield Problem(field, f"no variant {variant!r} in the {_NAMES[kind]} {key!r}: there are {there}")


def _unknown(connection: Connection, project: str, made: Experiment) -> str:
    kind, key = made.looks_at
    other: Literal["config", "prompt_ab_test"] = "prompt_ab_test" if kind == "config" else "config"
    advice = "define it in this document, or apply it before"
    if versions.latest(connection, project, other, key) is not None:
        advice = f"there is a {_NAMES[other]} of that key: write {other}: {key}"
    elif made.config is None and kind == "config":
        advice = "an experiment looks at the config of its own key, unless config or prompt_ab_test names another"
    return f"unknown {_NAMES[kind]} {key!r}: {advice}"
