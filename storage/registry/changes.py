"""What makes new versions, within a caller's transaction: a resource becomes the latest, if it differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import orjson
from sqlalchemy import Connection

from schemas.api.alert import ALERTS_MAX, Alert
from schemas.api.experiment import Experiment
from schemas.api.problems import Problem
from schemas.api.prompt import Prompt, PromptTest
from schemas.api.registry import PRICES_MAX, RESOURCES_MAX, RegistryDocument
from storage.registry import alerts, experiments, versions
from storage.registry.advice import variable_warnings, warnings
from storage.registry.bodies import LISTS, AnyResource, resource_of, stored
from storage.registry.errors import DocumentError, ResourceArchivedError
from storage.registry.reserved_keys import ACTIONS, ALERT_ACTIONS, EXPERIMENT_ACTIONS, reserved_part
from storage.registry.resources import Authorship, Change, Kind

Place = tuple[str, PromptTest]
"""Where in a document a prompt test stands, and the test."""


def entries(document: RegistryDocument) -> Iterator[tuple[Kind, str, AnyResource]]:
    """Yield a document's resources with their kind and place, in the order in which they may need each other."""
    for index, config in enumerate(document.configs):
        yield "config", f"configs[{index}]", config
    for index, prompt in enumerate(document.prompts):
        yield "prompt", f"prompts[{index}]", prompt
    for index, test in enumerate(document.prompt_ab_tests):
        yield "prompt_ab_test", f"prompt_ab_tests[{index}]", test
    for index, price in enumerate(document.prices):
        yield "price", f"prices[{index}]", price
    for index, experiment in enumerate(document.experiments):
        yield "experiment", f"experiments[{index}]", experiment
    for index, alert in enumerate(document.alerts):
        yield "alert", f"alerts[{index}]", alert


def apply(connection: Connection, project: str, document: RegistryDocument, by: Authorship) -> list[Change]:
    """Make a document's resources the latest ones. Raises DocumentError, upon which nothing may be committed."""
    changes, problems = [], []
    for kind, place, resource in entries(document):
        try:
            changes.append(make_latest(connection, project, kind, resource, by))
        except ResourceArchivedError as err:
            problems.append(Problem(f"{place}.key", str(err)))
        except DocumentError as err:
            problems += [Problem(f"{place}.{problem.path}", problem.message) for problem in err.problems]
    tests = [(f"prompt_ab_tests[{index}]", test) for index, test in enumerate(document.prompt_ab_tests)]
    problems += prompt_problems(connection, project, tests)
    problems += room_problems(connection, project)
    if problems:
        raise DocumentError(problems)
    return changes


def make_latest(
    connection: Connection,
    project: str,
    kind: Kind,
    resource: AnyResource,
    by: Authorship,
    *,
    restored_from: int | None = None,
) -> Change:
    """Write the resource's next version, unless it is as the latest one is.

    Raises ResourceArchivedError; DocumentError for a new key that can't be had.
    """
    before = versions.latest(connection, project, kind, resource.key)
    if versions.is_archived(versions.last_event(connection, project, kind, resource.key)):
        raise ResourceArchivedError(f"{kind} {resource.key!r} is archived: restore it first")
    if before is None:
        _refuse_reserved_key(kind, resource.key)
    advice: tuple[str, ...] = ()
    if isinstance(resource, Experiment):
        resource, advice = experiments.next_version(
            connection, project, resource, before, is_restored=restored_from is not None
        )
    if isinstance(resource, Alert):
        resource = alerts.with_known_secret(resource, before)
        advice = tuple(alerts.unknown_experiments(connection, project, resource))
    text = stored(resource)
    # As text: another order of the variants is another body.
    if before is not None and orjson.dumps(before.body).decode() == text:
        told = _warnings(connection, project, resource, before.version)
        return Change(kind, resource.key, before.version, "unchanged", (*told, *advice))
    version = 1 if before is None else before.version + 1
    versions.add(
        connection, project, kind, resource.key, version=version, body=text, by=by, restored_from=restored_from
    )
    return Change(
        kind,
        resource.key,
        version,
        "created" if before is None else "updated",
        (*_warnings(connection, project, resource, version), *advice),
        alerts.shown_differences(kind, {} if before is None else before.body, orjson.loads(text)),
    )


_RESERVED: Mapping[Kind, frozenset[str]] = {"experiment": EXPERIMENT_ACTIONS, "alert": ALERT_ACTIONS}


def _refuse_reserved_key(kind: Kind, key: str) -> None:
    part = reserved_part(key, _RESERVED.get(kind, ACTIONS))
    if part is not None:
        lead = key.removesuffix(f"/{part}")
        message = f"must not end in /{part}: under /api/ that is the {part} of {kind} {lead!r}; got {key!r}"
        raise DocumentError([Problem("key", message)])


_COUNTS_MAX: Mapping[Kind, int] = {"price": PRICES_MAX, "alert": ALERTS_MAX}


def room_problems(connection: Connection, project: str) -> list[Problem]:
    """Return the kinds of which there are more than there may be: all are in memory, and in one exported document."""
    return [
        Problem(LISTS[kind], f"there may be at most {count_max} of them, archived ones too, got {count}")
        for kind, count in versions.counts(connection, project).items()
        if count > (count_max := _COUNTS_MAX.get(kind, RESOURCES_MAX))
    ]


def prompt_problems(connection: Connection, project: str, tests: Iterable[Place]) -> list[Problem]:
    """Return why prompt tests can't be served: prompts of theirs that are not there, or archived."""
    problems = []
    for place, test in tests:
        for index, variant in enumerate(test.variants):
            problem = _prompt_problem(connection, project, variant.prompt_key, variant.prompt_version)
            if problem:
                field, message = problem
                lead = f"{place}." if place else ""
                problems.append(Problem(f"{lead}variants[{index}].{field}", message))
    return problems


def _prompt_problem(connection: Connection, project: str, key: str, version: int | None) -> tuple[str, str] | None:
    latest = versions.latest(connection, project, "prompt", key)
    if latest is None:
        return "prompt_key", f"unknown prompt {key!r}: define it in this document, or apply it before"
    if versions.is_archived(versions.last_event(connection, project, "prompt", key)):
        return "prompt_key", f"prompt {key!r} is archived: restore it first"
    if version is not None and version > latest.version:
        return "prompt_version", f"prompt {key!r} has no version {version}: its latest is {latest.version}"
    return None


def _warnings(connection: Connection, project: str, resource: AnyResource, version: int) -> tuple[str, ...]:
    told = warnings(resource, version)
    if not isinstance(resource, PromptTest):
        return told
    return (*told, *variable_warnings(_variables(connection, project, resource)))


def _variables(connection: Connection, project: str, test: PromptTest) -> Sequence[tuple[str, Sequence[str]]]:
    """Return each variant's prompt, with the variables that it uses at the version that is served."""
    found = []
    for variant in test.variants:
        key, version = variant.prompt_key, variant.prompt_version
        prompt = (
            versions.latest(connection, project, "prompt", key)
            if version is None
            else versions.at(connection, project, "prompt", key, version)
        )
        if prompt is None:
            # It is refused for that, later.
            return []
        resource = resource_of("prompt", key, prompt.body)
        found.append((key, resource.used_variables() if isinstance(resource, Prompt) else []))
    return found
