"""Flags that several commands take."""

from pathlib import Path
from typing import Annotated

from pydantic import AliasChoices, Field

from schemas.project import PROJECT_PATTERN

Url = Annotated[str | None, Field(description="Ask a running server, instead of the data directory.")]
ApiKey = Annotated[
    str | None, Field(description="The server's key, for --url; else the environment variable FALLOM_API_KEY.")
]
DataDir = Annotated[Path, Field(description="The data directory.")]
RegistryUrl = Annotated[
    str | None,
    Field(
        description="The registry's database, if it is not in the data directory: postgresql://USER@HOST/NAME; else "
        "the environment variable FALLOM_REGISTRY_URL."
    ),
]
AsJson = Annotated[bool, Field(validation_alias=AliasChoices("json"), description="Print JSON.")]
Project = Annotated[str, Field(pattern=PROJECT_PATTERN, description="The project.")]
ProjectOfFiles = Annotated[
    str | None,
    Field(description="The project, default if not named; with --url it is that of the key, and can't be named."),
]
