"""The end of an experiment: its decision, its time, and, where asked for, all sessions to the variant that won."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Connection

from schemas.api.config import Config
from schemas.api.experiment import Experiment
from schemas.api.experiment_requests import EndBody
from schemas.api.problems import Problem
from schemas.api.rollout import moment_text
from storage.registry import changes, versions
from storage.registry.bodies import AnyResource, resource_of
from storage.registry.errors import DocumentError, ExperimentEndedError
from storage.registry.management import Management
from storage.registry.resources import UNCONDITIONAL, Authorship, Precondition, Published
from storage.registry.rollouts import conclude, variant_names


def end(
    resources: Management,
    project: str,
    key: str,
    body: EndBody,
    by: Authorship,
    expected: Precondition = UNCONDITIONAL,
) -> Published:
    """End an experiment, and conclude its config where the body says so: both or neither.

    Raises ResourceNotFoundError, ExperimentEndedError, DocumentError, StaleError.
    """
    now = datetime.now(UTC)
    signed = Authorship(by.author, by.note or f"ended: {body.action}")

    def shape(resource: AnyResource) -> AnyResource:
        return _ended(resource, body, by.author, now)

    def also(connection: Connection, resource: AnyResource) -> None:
        if body.conclude:
            _conclude(connection, project, resource, signed)

    return resources.reshape(project, key, shape, signed, expected, also=also)


def _ended(resource: AnyResource, body: EndBody, by: str, now: datetime) -> AnyResource:
    if not isinstance(resource, Experiment):
        raise TypeError(f"an experiment expected, got {type(resource).__name__}")
    if resource.ended_at is not None:
        raise ExperimentEndedError(
            f"experiment {resource.key!r} ended at {moment_text(resource.ended_at)} already: "
            "put its decision to correct it, or roll it back to open it again"
        )
    if resource.status_at(now) == "planned":
        message = f"experiment {resource.key!r} has not begun: archive it, or set its start first"
        raise DocumentError([Problem("ended_at", message)])
    # Left open, it is the control of now: the config's first variant may be another one some day.
    variant = body.variant or (resource.control if body.action == "rollback" else None)
    decision = {
        "action": body.action,
        "variant": variant,
        "reason": body.reason,
        "learnt": body.learnt,
        "decided_at": moment_text(now),
        "by": by,
    }
    ended_at = moment_text(body.ended_at or now)
    wanted = resource.model_dump(mode="json", by_alias=True, exclude_none=True)
    return resource_of(
        "experiment", resource.key, {**wanted, "status": "ended", "ended_at": ended_at, "decision": decision}
    )


def _conclude(connection: Connection, project: str, resource: AnyResource, by: Authorship) -> None:
    if not isinstance(resource, Experiment) or resource.decision is None:
        raise TypeError("an experiment that has ended expected")
    kind, key = resource.looks_at
    if kind != "config":
        raise DocumentError([Problem("conclude", f"is for configs, and {resource.key!r} looks at a prompt test")])
    latest = versions.latest(connection, project, "config", key)
    config = None if latest is None else resource_of("config", key, latest.body)
    if not isinstance(config, Config):
        raise DocumentError([Problem("conclude", f"config {key!r} is not there")])
    winner = resource.decision.variant or variant_names(config)[0]
    changes.make_latest(connection, project, "config", conclude(config, winner), by)
