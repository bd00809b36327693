"""What people do with resources one at a time: versions, drafts, roll-backs, archiving; one code for all kinds.

Each change may be bound to a precondition, which is checked in the transaction that makes the change: of two people who
both change what they both read, the second is told so (StaleError).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from schemas.api.alert import Alert
from schemas.api.experiment import Experiment
from schemas.api.problems import Problem
from schemas.api.prompt import PromptTest
from schemas.api.registry import RegistryDocument
from storage.registry import changes, drafts, experiments, versions
from storage.registry.alerts import shown_body, shown_differences, shown_draft, shown_version, with_known_secret
from storage.registry.bodies import LISTS, AnyResource, resource_of, stored
from storage.registry.differences import Difference
from storage.registry.errors import (
    DocumentError,
    ResourceInUseError,
    ResourceNotFoundError,
    StaleError,
)
from storage.registry.registry import Registry
from storage.registry.resources import (
    UNCONDITIONAL,
    Authorship,
    Draft,
    Kind,
    Precondition,
    Published,
    Resource,
    Version,
)
from storage.registry.versions import Event

DRAFTS_MAX = 10_000


class Management:
    """The resources of one kind in a registry, secrets masked. Raises RegistryError (storage/registry/errors.py)."""

    def __init__(self, registry: Registry, kind: Kind) -> None:
        self.kind = kind
        self._registry = registry

    def all(self, project: str, *, archived: bool = False) -> list[Resource]:
        """Return the resources that are in use, or those that are archived, by key."""

        def work(connection: Connection) -> list[Resource]:
            events = versions.last_events(connection, project, self.kind)
            with_draft = drafts.keys(connection, project, self.kind)
            return [
                self._shown(_resource(latest, events.get(latest.key), has_draft=latest.key in with_draft))
                for latest in versions.all_latest(connection, project, self.kind)
                if versions.is_archived(events.get(latest.key)) == archived
            ]

        return self._registry.read(work)

    def get(self, project: str, key: str) -> Resource:
        """Return one resource, also one that is archived. Raises ResourceNotFoundError."""
        return self._shown(self._registry.read(lambda connection: self._known(connection, project, key)))

    def put(
        self,
        project: str,
        key: str,
        body: Mapping[str, Any],
        by: Authorship,
        expected: Precondition = UNCONDITIONAL,
    ) -> Published:
        """Make the body the resource's latest version. Raises DocumentError, StaleError, ResourceArchivedError."""
        resource = resource_of(self.kind, key, body)
        return self._registry.change(lambda connection: self._put(connection, project, resource, by, expected))

    def reshape(
        self,
        project: str,
        key: str,
        shape: Callable[[AnyResource], AnyResource],
        by: Authorship,
        expected: Precondition = UNCONDITIONAL,
        *,
        also: Callable[[Connection, AnyResource], None] | None = None,
    ) -> Published:
        """Make what ``shape`` makes of the latest version the next one. Raises as ``put``; ResourceNotFoundError.

        ``also`` does what belongs to it, in the same transaction.
        """

        def work(connection: Connection) -> Published:
            latest = self._known(connection, project, key).latest
            resource = shape(resource_of(self.kind, key, latest.body))
            made = self._put(connection, project, resource, by, expected)
            if also is not None:
                also(connection, resource)
            return made

        return self._registry.change(work)

    def history(self, project: str, key: str) -> Sequence[Version]:
        """Return all versions, oldest first. Raises ResourceNotFoundError."""

        def work(connection: Connection) -> Sequence[Version]:
            self._known(connection, project, key)
            found = versions.history(connection, project, self.kind, key)
            return [shown_version(self.kind, version) for version in found]

        return self._registry.read(work)

    def version(self, project: str, key: str, version: int) -> tuple[Version, tuple[Difference, ...]]:
        """Return one version, and what it changed of the one before. Raises ResourceNotFoundError."""

        def work(connection: Connection) -> tuple[Version, tuple[Difference, ...]]:
            found = self._at(connection, project, key, version)
            before = versions.at(connection, project, self.kind, key, version - 1)
            differences = shown_differences(self.kind, {} if before is None else before.body, found.body)
            return shown_version(self.kind, found), differences

        return self._registry.read(work)

    def diff(self, project: str, key: str, from_version: int, to_version: int) -> tuple[Difference, ...]:
        """Return what differs between two versions. Raises ResourceNotFoundError."""

        def work(connection: Connection) -> tuple[Difference, ...]:
            before = self._at(connection, project, key, from_version)
            after = self._at(connection, project, key, to_version)
            return shown_differences(self.kind, before.body, after.body)

        return self._registry.read(work)

    def rollback(
        self, project: str, key: str, version: int, by: Authorship, expected: Precondition = UNCONDITIONAL
    ) -> Published:
        """Make a new version with the body of an older one. Raises as ``put``, and ResourceNotFoundError."""

        def work(connection: Connection) -> Published:
            older = self._at(connection, project, key, version)
            resource = resource_of(self.kind, key, older.body)
            return self._put(connection, project, resource, by, expected, restored_from=version)

        return self._registry.change(work)

    def archive(self, project: str, key: str, by: Authorship, expected: Precondition = UNCONDITIONAL) -> Resource:
        """Take the resource out of all lists; its versions stay. Nothing happens where it is archived already.

        Raises ResourceNotFoundError, StaleError, ResourceInUseError.
        """

        def work(connection: Connection) -> Resource:
            known = self._expected(connection, project, key, expected)
            if known.archived_at is not None:
                return self._shown(known)
            self._refuse_use(connection, project, key)
            versions.add_event(connection, project, self.kind, key, "archived", by)
            return self._shown(self._known(connection, project, key))

        return self._registry.change(work)

    def restore(self, project: str, key: str, by: Authorship, expected: Precondition = UNCONDITIONAL) -> Resource:
        """Put an archived resource back. Raises ResourceNotFoundError, StaleError; DocumentError for what it needs."""

        def work(connection: Connection) -> Resource:
            known = self._expected(connection, project, key, expected)
            if known.archived_at is None:
                return self._shown(known)
            resource = resource_of(self.kind, key, known.latest.body)
            self._check_prompts(connection, project, resource)
            if isinstance(resource, Experiment) and resource.ended_at is None:
                problems = list(experiments.lost(connection, project, resource))
                if problems:
                    raise DocumentError(problems)
            versions.add_event(connection, project, self.kind, key, "restored", by)
            return self._shown(self._known(connection, project, key))

        return self._registry.change(work)

    def draft(self, project: str, key: str) -> tuple[Draft, tuple[Difference, ...]]:
        """Return the draft, and what it would change. Raises ResourceNotFoundError."""

        def work(connection: Connection) -> tuple[Draft, tuple[Difference, ...]]:
            draft = self._draft(connection, project, key)
            latest = versions.latest(connection, project, self.kind, key)
            differences = shown_differences(self.kind, {} if latest is None else latest.body, draft.body)
            return shown_draft(self.kind, draft), differences

        return self._registry.read(work)

    def put_draft(
        self,
        project: str,
        key: str,
        body: Mapping[str, Any],
        by: Authorship,
        expected: Precondition = UNCONDITIONAL,
    ) -> Draft:
        """Keep the body as the draft, based on what is the latest version now. Raises DocumentError, StaleError."""
        resource = resource_of(self.kind, key, body)

        def work(connection: Connection) -> Draft:
            before = drafts.get(connection, project, self.kind, key)
            expected.check(f"the draft of {self._named(key)}", None if before is None else before.tag)
            latest = versions.latest(connection, project, self.kind, key)
            if before is None and drafts.count(connection, project) >= DRAFTS_MAX:
                raise DocumentError([Problem("", f"there are {DRAFTS_MAX} drafts, the limit: publish or delete some")])
            known = with_known_secret(resource, before, latest) if isinstance(resource, Alert) else resource
            draft = drafts.put(
                connection,
                project,
                self.kind,
                key,
                body=stored(known),
                based_on=0 if latest is None else latest.version,
                by=by,
            )
            return shown_draft(self.kind, draft)

        return self._registry.change(work)

    def delete_draft(self, project: str, key: str, expected: Precondition = UNCONDITIONAL) -> None:
        """Give the draft up. Raises ResourceNotFoundError, StaleError."""

        def work(connection: Connection) -> None:
            expected.check(f"the draft of {self._named(key)}", self._draft(connection, project, key).tag)
            drafts.remove(connection, project, self.kind, key)

        self._registry.change(work)

    def publish(self, project: str, key: str, by: Authorship, expected: Precondition = UNCONDITIONAL) -> Published:
        """Make the draft the latest version, and remove it.

        Raises ResourceNotFoundError, DocumentError; StaleError where the draft is not as expected, or where the
        resource has got another version since the draft was written.
        """

        def work(connection: Connection) -> Published:
            draft = self._draft(connection, project, key)
            expected.check(f"the draft of {self._named(key)}", draft.tag)
            latest = versions.latest(connection, project, self.kind, key)
            current = 0 if latest is None else latest.version
            if draft.based_on != current:
                raise StaleError(
                    f"the draft of {self._named(key)} is based on version {draft.based_on}, the latest is {current}: "
                    "compare them, and put the draft again",
                    draft.tag,
                )
            published = self._put(connection, project, resource_of(self.kind, key, draft.body), by, UNCONDITIONAL)
            drafts.remove(connection, project, self.kind, key)
            return published

        return self._registry.change(work)

    def _put(
        self,
        connection: Connection,
        project: str,
        resource: AnyResource,
        by: Authorship,
        expected: Precondition,
        *,
        restored_from: int | None = None,
    ) -> Published:
        key = resource.key
        expected.check(self._named(key), self._tag(connection, project, key))
        change = changes.make_latest(connection, project, self.kind, resource, by, restored_from=restored_from)
        self._check_prompts(connection, project, resource)
        if change.action == "created" and (problems := changes.room_problems(connection, project)):
            raise DocumentError(problems)
        return Published(replace(change, differences=()), self._known(connection, project, key).tag)

    def _check_prompts(self, connection: Connection, project: str, resource: AnyResource) -> None:
        if isinstance(resource, PromptTest):
            problems = changes.prompt_problems(connection, project, [("", resource)])
            if problems:
                raise DocumentError(problems)

    def _refuse_use(self, connection: Connection, project: str, key: str) -> None:
        if self.kind == "config" or self.kind == "prompt_ab_test":
            for user in experiments.users(connection, project, self.kind, key):
                raise ResourceInUseError(
                    f"{self._named(key)} is used by the experiment {user!r}: end or archive that first"
                )
        if self.kind != "prompt":
            return
        events = versions.last_events(connection, project, "prompt_ab_test")
        users = [
            test.key
            for test in versions.all_latest(connection, project, "prompt_ab_test")
            if not versions.is_archived(events.get(test.key))
            and any(variant["prompt_key"] == key for variant in test.body["variants"])
        ]
        if users:
            raise ResourceInUseError(
                f"{self._named(key)} is used by the prompt test {users[0]!r}: archive that first, or change it"
            )

    def _expected(self, connection: Connection, project: str, key: str, expected: Precondition) -> Resource:
        known = self._known(connection, project, key)
        expected.check(self._named(key), known.tag)
        return known

    def _shown(self, resource: Resource) -> Resource:
        return replace(resource, latest=shown_version(self.kind, resource.latest))

    def _known(self, connection: Connection, project: str, key: str) -> Resource:
        latest = versions.latest(connection, project, self.kind, key)
        if latest is None:
            raise ResourceNotFoundError(f"unknown {self.kind} {key!r}")
        event = versions.last_event(connection, project, self.kind, key)
        return _resource(latest, event, has_draft=drafts.get(connection, project, self.kind, key) is not None)

    def _tag(self, connection: Connection, project: str, key: str) -> str | None:
        latest = versions.latest(connection, project, self.kind, key)
        return None if latest is None else _tag(latest, versions.last_event(connection, project, self.kind, key))

    def _at(self, connection: Connection, project: str, key: str, version: int) -> Version:
        found = versions.at(connection, project, self.kind, key, version)
        if found is None:
            latest = self._known(connection, project, key).latest.version
            raise ResourceNotFoundError(f"{self._named(key)} has no version {version}: its latest is {latest}")
        return found

    def _draft(self, connection: Connection, project: str, key: str) -> Draft:
        found = drafts.get(connection, project, self.kind, key)
        if found is None:
            raise ResourceNotFoundError(f"{self._named(key)} has no draft")
        return found

    def _named(self, key: str) -> str:
        return f"{self.kind} {key!r}"


def export(registry: Registry, project: str) -> RegistryDocument:
    """Return all resources that are not archived, at their latest versions, as the document that ``apply`` takes."""

    def work(connection: Connection) -> RegistryDocument:
        lists: dict[str, list[dict[str, Any]]] = {}
        for kind, name in LISTS.items():
            events = versions.last_events(connection, project, kind)
            lists[name] = [
                {"key": latest.key, **shown_body(kind, latest.body)}
                for latest in versions.all_latest(connection, project, kind)
                if not versions.is_archived(events.get(latest.key))
            ]
        return RegistryDocument.model_validate(lists)

    return registry.read(work)


def _resource(latest: Version, event: Event | None, *, has_draft: bool) -> Resource:
    archived_at = event.created_at if event is not None and versions.is_archived(event) else None
    return Resource(latest, archived_at, has_draft, _tag(latest, event))


def _tag(latest: Version, event: Event | None) -> str:
    return str(latest.version) if event is None else f"{latest.version}.{event.id}"
