"""A target of forwarding: where spans go, whose, and how much may wait for it."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from schemas.project import PROJECT_PATTERN

MIB = 1024 * 1024
TRACES_PATH = "/v1/traces"
NAME = re.compile("[a-z0-9][a-z0-9_-]{0,62}")
_HEADER = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]{0,8192}")
# What the protocol itself sets.
_OWN_HEADERS = frozenset({"content-type", "content-encoding", "content-length", "transfer-encoding", "host", "te"})


class ForwardTarget(BaseModel):
    """One OTLP endpoint that spans are sent on to."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: Annotated[str, Field(description="Where it is: `https://HOST:PORT`; over HTTP `/v1/traces` is added.")]
    protocol: Annotated[Literal["http", "grpc"], Field(description="OTLP over HTTP, protobuf, or over gRPC.")] = "http"
    headers: Annotated[
        dict[str, SecretStr], Field(description="What is sent beside, such as its API key; metadata over gRPC.")
    ] = {}
    projects: Annotated[
        tuple[Annotated[str, Field(pattern=PROJECT_PATTERN)], ...],
        Field(description="Whose spans are sent; all projects' where none is named."),
    ] = ()
    compression: Annotated[Literal["gzip", "none"], Field(description="gzip or none.")] = "gzip"
    ca_file: Annotated[str | None, Field(description="CAs of its certificate, PEM, if not those of the system.")] = None
    timeout_s: Annotated[float, Field(gt=0, le=600, description="A request that takes longer is sent again.")] = 10.0
    queue_bytes_max: Annotated[
        int, Field(ge=MIB, description="So much may wait on disk; beyond it the oldest are dropped, and counted.")
    ] = 1024 * MIB

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        try:
            parts = urlsplit(value)
            has_place = bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise ValueError(f"http:// or https:// and a host expected: {error}") from error
        if parts.scheme not in ("http", "https") or not has_place:
            raise ValueError("http:// or https:// and a host expected")
        if parts.username is not None or parts.query or parts.fragment:
            # They would stand in the log.
            raise ValueError("no user, password, query or fragment expected in it: put secrets into headers")
        return value.rstrip("/")

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, text in value.items():
            if not _HEADER.fullmatch(name) or name.lower() in _OWN_HEADERS:
                raise ValueError(f"a header's name expected that OTLP does not set itself, got {name!r}")
            if not _HEADER_VALUE.fullmatch(text.get_secret_value()):
                raise ValueError(f"{name}: printable ASCII expected")
        return value

    @model_validator(mode="after")
    def _fits_protocol(self) -> "ForwardTarget":
        if self.protocol == "grpc":
            if urlsplit(self.url).path:
                raise ValueError("url: over gRPC a host and a port expected, without a path")
            if any(name.lower().startswith(("grpc-", ":")) or name.lower().endswith("-bin") for name in self.headers):
                raise ValueError("headers: names that begin with grpc- or end with -bin are gRPC's own")
        return self

    @property
    def traces_url(self) -> str:
        """Return where spans are posted over HTTP."""
        return self.url if self.url.endswith(TRACES_PATH) else self.url + TRACES_PATH

    @property
    def address(self) -> str:
        """Return host and port, as gRPC names them."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in str(parts.hostname) else parts.hostname
        return f"{host}:{parts.port or (443 if self.is_encrypted else 4317)}"

    @property
    def is_encrypted(self) -> bool:
        """Return whether it is spoken to over TLS."""
        return self.url.startswith("https://")

    def secret_headers(self) -> dict[str, str]:
        """Return the headers with their values, to be sent and nothing else."""
        return {name.lower(): value.get_secret_value() for name, value in self.headers.items()}


def check_names(targets: dict[str, Any]) -> None:
    """Raise ValueError for a name that can't be one of a folder and a label."""
    for name in targets:
        if not NAME.fullmatch(name):
            raise ValueError(f"a name of lowercase letters, digits, - and _ expected for a target, got {name!r}")
