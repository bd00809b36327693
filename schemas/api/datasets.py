"""What ``/api/datasets`` takes and answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.api.problems import TEXT_PATTERN

KEY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
"""Clients put a key into a URL as it is."""
ENTRIES_MAX = 10_000
TEXT_CHARACTERS_MAX = 1_000_000
METADATA_CHARACTERS_MAX = 100_000

_Text = Annotated[str, StringConstraints(max_length=TEXT_CHARACTERS_MAX, pattern=TEXT_PATTERN)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=TEXT_PATTERN)]
_Description = Annotated[str, StringConstraints(max_length=10_000, pattern=TEXT_PATTERN)]


class Entry(BaseModel):
    """One entry: what is asked, and the answer that was recorded or is expected."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    input: Annotated[_Text, Field(min_length=1, examples=["Where is my order?"])]
    output: Annotated[_Text, Field(examples=["It arrives tomorrow."])] = ""
    system_message: Annotated[_Text | None, Field(alias="systemMessage", examples=["Be brief."])] = None
    metadata: Annotated[
        dict[str, Any] | None,
        Field(
            description="May name `trace_id`, `session_id` and `customer_id`, by which the entry is found when the "
            "customer is to be forgotten.",
            examples=[{"topic": "delivery"}],
        ),
    ] = None


class NewDataset(BaseModel):
    """A dataset's entries; they become its next version."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[_Name | None, Field(description="What people call it; the key if absent.")] = None
    description: _Description | None = None
    entries: Annotated[list[Entry], Field(min_length=1, max_length=ENTRIES_MAX)]


class NewDatasetFromSql(BaseModel):
    """A statement whose rows become a dataset's next version."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[_Name | None, Field(description="What people call it; the key if absent.")] = None
    description: _Description | None = None
    query: Annotated[
        str,
        Field(
            min_length=1,
            max_length=100_000,
            pattern=TEXT_PATTERN,
            description="One SELECT with a column `input`, and `output`, `system_message`, `metadata` if wanted; any "
            "other column goes into the metadata. Messages in JSON, as spans have them, become texts.",
            examples=["SELECT input, output, trace_id, session_id, customer_id, start_time FROM spans LIMIT 100"],
        ),
    ]


class CreatedAnswer(BaseModel):
    """What became of it."""

    key: str
    version: int = Field(description="The latest version: a new one, unless the action is `unchanged`.")
    action: Literal["created", "updated", "unchanged"]
    entries: int
    skipped: int = Field(description="Rows of the statement that had no input, or no output.")


class DatasetVersion(BaseModel):
    """One version of a dataset."""

    key: str
    version: int
    name: str
    description: str | None
    source: Literal["entries", "sql"]
    query: str | None = Field(description="The statement that it was made by.")
    entries: int = Field(description="As it was made.")
    removed: int = Field(description="Entries that were removed since: forgotten, or too old.")
    created_at: datetime
    archived_at: datetime | None


class DatasetsAnswer(BaseModel):
    """The latest version of each dataset, by key."""

    datasets: list[DatasetVersion]


class VersionsAnswer(BaseModel):
    """All versions of one dataset, oldest first."""

    versions: list[DatasetVersion]


class ServedName(BaseModel):
    """The dataset as the clients name it."""

    key: str
    name: str
    description: str | None


class ServedVersion(BaseModel):
    """The version that is served."""

    version: int
    entries: int
    removed: int
    created_at: datetime


class ServedEntry(BaseModel):
    """One entry as the clients read it."""

    input: str
    output: str
    systemMessage: str | None = None  # noqa: N815 - the clients' name
    metadata: dict[str, Any] | None = None


class ServedDataset(BaseModel):
    """One version with its entries."""

    dataset: ServedName
    version: ServedVersion
    entries: list[ServedEntry]
