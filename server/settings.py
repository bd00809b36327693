"""The server's settings: by flag, by FALLOM_* environment variable, or by TOML file, in this order."""

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from analytics.alerts.mail import MailServer, mail_server
from collector.forward.target import ForwardTarget, check_names
from collector.privacy.policy import PrivacyPolicy
from schemas.api.alert import ADDRESS_PATTERN
from server.errors import CommandError

MIB = 1024 * 1024
_ORIGIN = re.compile(r"https?://[a-z0-9.\[\]:-]+")
LOG_LEVELS = ("debug", "info", "warning", "error")
LOG_FORMATS = ("auto", "json", "text")


class ServerSettings(BaseSettings):
    """What ``fallom-server serve`` can be told."""

    model_config = SettingsConfigDict(env_prefix="FALLOM_", extra="ignore", validate_default=False)

    config: Annotated[Path | None, Field(description="TOML file with any of these settings.")] = None
    http: Annotated[str, Field(description="HOST:PORT of the HTTP port; port 0 takes any free one.")] = "127.0.0.1:4318"
    grpc: Annotated[str, Field(description="HOST:PORT of the OTLP/gRPC port; port 0 takes any free one.")] = (
        "127.0.0.1:4317"
    )
    data_dir: Annotated[Path, Field(description="Where everything is kept; made if missing.")] = Path("./data")
    registry_url: Annotated[
        str | None,
        Field(
            description="The database of configs, prompts and API keys, if not a file in the data directory: "
            "`postgresql://USER:PASSWORD@HOST/NAME`; several servers may share it (docs/registry.md)."
        ),
    ] = None
    flush_interval_s: Annotated[
        float, Field(gt=0, le=3600, description="Acknowledged rows are committed to the lake within so many seconds.")
    ] = 5.0
    segment_bytes_max: Annotated[
        int, Field(ge=64 * 1024, description="A log segment of this size is committed before its time.")
    ] = 64 * MIB
    log_bytes_max: Annotated[
        int, Field(ge=MIB, description="Disk for all rows not yet committed; beyond it requests are refused.")
    ] = 4096 * MIB
    disk_free_bytes_min: Annotated[
        int, Field(ge=0, description="Requests are refused while the log's disk has less left: commits need room.")
    ] = 128 * MIB
    body_bytes_max: Annotated[
        int, Field(ge=1024, le=1024 * MIB, description="The largest request body, before and after decompression.")
    ] = 64 * MIB
    in_flight_bytes_max: Annotated[
        int, Field(ge=1024, description="Bytes of all requests in flight; beyond it requests are refused.")
    ] = 256 * MIB
    dedup_window_spans: Annotated[
        int,
        Field(
            ge=0,
            le=100_000_000,
            description="How many of the latest spans are remembered to recognise a client's retry, and of the log "
            "records and data points that are kept; 32 to 48 bytes of memory each.",
        ),
    ] = 1_000_000
    keep_logs: Annotated[
        bool,
        Field(description="OTLP log records that feed no other table are stored in `log_records`, not dropped."),
    ] = False
    keep_metrics: Annotated[bool, Field(description="OTLP data points are stored in `metric_points`, not dropped.")] = (
        False
    )
    retention_days: Annotated[
        int, Field(ge=0, le=36_500, description="Rows are dropped after so many whole days; 0 keeps them for ever.")
    ] = 0
    content_retention_days: Annotated[
        int,
        Field(
            ge=0,
            le=36_500,
            description="Content (input, output, messages in attributes, events and log records) is removed after so "
            "many whole days, the rest stays; 0 keeps it as long as the rows.",
        ),
    ] = 0
    snapshot_interval_s: Annotated[
        float,
        Field(
            gt=0,
            le=86_400,
            description="How often the results of running experiments are computed and kept as they were shown then.",
        ),
    ] = 3600.0
    sql_timeout_s: Annotated[float, Field(gt=0, le=3600, description="A SQL statement is stopped after so long.")] = (
        30.0
    )
    sql_rows_max: Annotated[int, Field(ge=1, description="A SQL answer is cut at so many rows.")] = 100_000
    sql_memory_bytes_max: Annotated[
        int,
        Field(ge=64 * MIB, description="A SQL statement that takes more memory ends; four may run at once."),
    ] = 1024 * MIB
    sql_bytes_max: Annotated[int, Field(ge=1, description="A SQL answer is cut at so many bytes of its rows.")] = (
        256 * MIB
    )
    allowed_hosts: Annotated[
        list[str], Field(description="Names, beside those of this machine, that requests may be addressed to.")
    ] = []
    privacy: Annotated[
        dict[str, PrivacyPolicy],
        Field(
            description="What of a project's data is left out, hashed, masked or redacted before it is written, by "
            "project; `*` is every other one (docs/privacy.md). JSON, or a TOML table."
        ),
    ] = {}
    privacy_key_file: Annotated[
        Path | None,
        Field(description="The secret key of hashes; `privacy.key` in the data directory, made if missing."),
    ] = None
    forward: Annotated[
        dict[str, ForwardTarget],
        Field(
            description="OTLP endpoints that stored spans are sent on to, by a name of each (docs/forward.md). "
            "JSON, or TOML tables."
        ),
    ] = {}
    alert_interval_s: Annotated[
        float,
        Field(
            ge=1, le=86_400, description="Experiments that alerts are about are looked at so often (docs/alerts.md)."
        ),
    ] = 60.0
    public_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[!-~]+$",
            max_length=2_048,
            description="Where people reach this server, `https://HOST`: for links in alerts.",
        ),
    ] = None
    smtp_url: Annotated[
        SecretStr | None,
        Field(
            description="The server that takes alerts as e-mails: `smtp://USER@HOST:587?starttls` or "
            "`smtps://USER@HOST:465`."
        ),
    ] = None
    smtp_password: Annotated[
        SecretStr | None, Field(description="Its password; better in the environment than on a command line.")
    ] = None
    smtp_from: Annotated[
        str | None, Field(pattern=ADDRESS_PATTERN, description="The address that e-mails come from.")
    ] = None
    smtp_ca_file: Annotated[
        Path | None, Field(description="CAs of its certificate, PEM, if not those of the system.")
    ] = None
    tls_cert: Annotated[
        Path | None,
        Field(description="Certificate chain, PEM: both ports speak TLS 1.2 or later; read again when it changes."),
    ] = None
    tls_key: Annotated[Path | None, Field(description="Its private key, PEM, not encrypted.")] = None
    tls_client_ca: Annotated[
        Path | None, Field(description="Clients need a certificate that one of these CAs has signed, PEM (mTLS).")
    ] = None
    http_head_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="A client that takes longer for a request's head is sent away.")
    ] = 10.0
    http_body_timeout_s: Annotated[
        float, Field(gt=0, le=3600, description="A client that sends nothing of a body for so long is sent away.")
    ] = 30.0
    http_body_bytes_per_s_min: Annotated[
        float,
        Field(
            ge=1,
            allow_inf_nan=False,
            description="A client whose body comes more slowly is sent away, after http_body_timeout_s of grace.",
        ),
    ] = 5_000.0
    http_connections_max: Annotated[
        int, Field(ge=1, le=60_000, description="HTTP connections at a time; beyond it they are refused.")
    ] = 4_000
    cors_origins: Annotated[
        list[str],
        Field(description="Origins, such as https://app.example.com, whose pages may call the API from a browser."),
    ] = []
    key_requests_per_s: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="Requests a second of an API key that has no rate of its own; 0 is no limit.",
        ),
    ] = 0
    key_bytes_per_s: Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
            description="Bytes a second of an API key that has no rate of its own; 0 is no limit.",
        ),
    ] = 0
    drain_notice_s: Annotated[
        float,
        Field(
            ge=0,
            le=3600,
            description="After SIGTERM requests are still taken for so long, while /readyz and gRPC's health say that "
            "the server drains: time for a load balancer to look elsewhere.",
        ),
    ] = 0.0
    log_level: Annotated[str, Field(description="debug, info, warning or error.")] = "info"
    log_format: Annotated[
        str, Field(description="json, text, or auto: text in a terminal, JSON lines anywhere else.")
    ] = "auto"

    @field_validator("http", "grpc")
    @classmethod
    def _is_address(cls, value: str) -> str:
        split_address(value)
        return value

    @field_validator("forward")
    @classmethod
    def _are_target_names(cls, value: dict[str, ForwardTarget]) -> dict[str, ForwardTarget]:
        check_names(value)
        return value

    @model_validator(mode="after")
    def _are_tls_files_together(self) -> "ServerSettings":
        if (self.tls_cert is None) != (self.tls_key is None):
            missing = "tls_key" if self.tls_key is None else "tls_cert"
            raise ValueError(f"{missing}: needed too: a certificate and its key, got only one of them")
        if self.tls_client_ca is not None and self.tls_cert is None:
            raise ValueError("tls_cert: needed too for tls_client_ca, got none")
        return self

    @model_validator(mode="after")
    def _is_mail_server(self) -> "ServerSettings":
        if self.smtp_url is not None and self.smtp_from is None:
            raise ValueError("smtp_from: needed too for smtp_url: the address that e-mails come from, got none")
        try:
            _ = self.mail_server
        except ValueError as error:
            # Without what was got, which may hold a password.
            raise ValueError(f"smtp_url: {error}") from error
        return self

    @property
    def mail_server(self) -> MailServer | None:
        """The server that takes e-mails, None where none is set."""
        if self.smtp_url is None or self.smtp_from is None:
            return None
        password = None if self.smtp_password is None else self.smtp_password.get_secret_value()
        ca_file = None if self.smtp_ca_file is None else str(self.smtp_ca_file)
        return mail_server(self.smtp_url.get_secret_value(), self.smtp_from, password=password, ca_file=ca_file)

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"scheme://host or scheme://host:port expected, in lowercase, got {origin!r}")
        return value

    @field_validator("log_level")
    @classmethod
    def _is_level(cls, value: str) -> str:
        if value.lower() not in LOG_LEVELS:
            raise ValueError(f"one of {', '.join(LOG_LEVELS)} expected")
        return value.lower()

    @field_validator("log_format")
    @classmethod
    def _is_format(cls, value: str) -> str:
        if value.lower() not in LOG_FORMATS:
            raise ValueError(f"one of {', '.join(LOG_FORMATS)} expected")
        return value.lower()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the signature is pydantic's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the TOML file behind flags and environment."""
        named = init_settings().get("config") or os.environ.get("FALLOM_CONFIG")
        if not named:
            return (init_settings, env_settings)
        return (init_settings, env_settings, _toml(settings_cls, Path(named)))


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT; an IPv6 host stands in brackets. Raises ValueError."""
    host, separator, port = address.rpartition(":")
    if not separator or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"HOST:PORT expected, such as 127.0.0.1:4318, got {address!r}")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the host's address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _toml(settings_cls: type[BaseSettings], path: Path) -> TomlConfigSettingsSource:
    if not path.is_file():
        raise CommandError(f"config: no file {path}")
    try:
        source = TomlConfigSettingsSource(settings_cls, toml_file=path)
    except (OSError, ValueError) as error:
        raise CommandError(f"config: {path} is not valid TOML: {error}") from error
    unknown = sorted(set(source.toml_data) - set(settings_cls.model_fields))
    if unknown:
        raise CommandError(
            f"config: {path}: unknown setting {unknown[0]!r}; there are: {', '.join(settings_cls.model_fields)}"
        )
    return source
