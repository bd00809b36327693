"""OTLP log records as rows of their own table, where they are kept."""

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from collector.otlp.kept import KeptRows
from collector.otlp.origin import Origin, Repeated
from collector.otlp.values import UNIX_NANO_MAX, attributes_of, hex_id, to_json, to_python, unix_nano
from schemas.log_records import LOG_RECORDS

_TRACE_FLAGS = 0xFF


class KeptLogRecords:
    """The records of one request that are kept."""

    def __init__(self) -> None:
        self.rows = KeptRows(LOG_RECORDS.name)
        self._repeated = Repeated()

    def add(self, record: LogRecord, event_name: str, origin: Origin) -> None:
        """Keep a record. Raises TooLargeError, DecodeError."""
        body, body_type = _body(record)
        nano = min(record.time_unix_nano or record.observed_time_unix_nano, UNIX_NANO_MAX)
        content = record.SerializeToString(deterministic=True)
        row = {
            **origin.row(attributes_of(record.attributes), nano, content, self._repeated),
            "time_unix_nano": unix_nano(record.time_unix_nano),
            "observed_time_unix_nano": unix_nano(record.observed_time_unix_nano),
            "severity_number": record.severity_number or None,
            "severity_text": record.severity_text or None,
            "event_name": event_name or None,
            "body": body,
            "body_type": body_type,
            "trace_id": hex_id(record.trace_id, 16),
            "span_id": hex_id(record.span_id, 8),
            "trace_flags": record.flags & _TRACE_FLAGS,
            "dropped_attributes_count": record.dropped_attributes_count,
        }
        self.rows.add(row, origin.size_bytes + len(content))


def _body(record: LogRecord) -> tuple[str | None, str | None]:
    kind = record.body.WhichOneof("value")
    value = to_python(record.body)
    if kind is None or value is None:
        return None, None
    return value if isinstance(value, str) else to_json(value), kind.removesuffix("_value")
