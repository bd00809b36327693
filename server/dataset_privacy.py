"""What a project's privacy policy leaves of the entries of its datasets, before they are stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collector.processors.privacy import Privacy
from schemas.api.datasets import Entry
from storage.datasets.datasets import StoredEntry


@dataclass(frozen=True, slots=True)
class DatasetPrivacy:
    """The policies of all projects, or none."""

    privacy: Privacy | None

    def keeps_content(self, project: str) -> bool:
        """Return whether entries may be stored at all: without content they are of no use."""
        return self.privacy is None or self.privacy.keeps_content(project)

    def permitted(self, project: str, entry: Entry) -> Entry:
        """Return an entry without the metadata that are denied."""
        privacy = self.privacy
        if privacy is None or entry.metadata is None:
            return entry
        kept: Mapping[str, Any] = {
            key: value for key, value in entry.metadata.items() if not privacy.denies(project, key)
        }
        return entry.model_copy(update={"metadata": kept or None})

    def redacted(self, project: str, entry: StoredEntry) -> StoredEntry:
        """Return an entry as the patterns leave it; whose it is, by pseudonyms as the lake has them."""
        privacy = self.privacy
        if privacy is None:
            return entry

        def text(value: str | None) -> str | None:
            return None if value is None else privacy.redacted(project, value)

        def identifier(value: str | None) -> str | None:
            return None if value is None else privacy.identifier(project, value)

        return StoredEntry(
            privacy.redacted(project, entry.input),
            privacy.redacted(project, entry.output),
            text(entry.system_message),
            text(entry.metadata),
            trace_id=entry.trace_id,
            session_id=identifier(entry.session_id),
            customer_id=identifier(entry.customer_id),
            content_time=entry.content_time,
        )
