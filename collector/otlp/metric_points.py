"""OTLP data points as rows of their own table, where they are kept."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    DataPointFlags,
    Exemplar,
    ExponentialHistogramDataPoint,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    SummaryDataPoint,
)

from collector.component import CollectorError
from collector.otlp.kept import KeptRows, check_size, joined
from collector.otlp.origin import Origin, Repeated
from collector.otlp.values import UNIX_NANO_MAX, attributes_of, double, hex_id, to_json, unix_nano
from collector.request import Decoded, Outcome, Receipt, Received, Request
from collector.rows import Row
from schemas.metric_points import METRIC_POINTS

_TEMPORALITIES = {
    AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA: "delta",
    AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE: "cumulative",
}
_WITH_TEMPORALITY = ("sum", "histogram", "exponential_histogram")
_INT64_MAX = 2**63 - 1


def decode(read: Callable[[bytes], ExportMetricsServiceRequest], requests: Sequence[Received]) -> Decoded:
    """Return a row a data point; ``read`` reads a body. Raises TooLargeError where they come to too much together."""
    kept: list[KeptRows] = []
    outcomes: list[Outcome | CollectorError] = []
    size_bytes = 0
    for request, receipt in requests:
        try:
            found = _points(read(request.body), request, receipt)
        except CollectorError as error:
            # Without what the traceback refers to, the message above all.
            outcomes.append(error.with_traceback(None))
            continue
        kept.append(found)
        outcomes.append(Outcome(found.count))
        size_bytes += found.size_bytes
        check_size(size_bytes, kept)
    return Decoded(METRIC_POINTS.name, joined(METRIC_POINTS.name, kept), outcomes)


def _points(message: ExportMetricsServiceRequest, request: Request, receipt: Receipt) -> KeptRows:
    rows, repeated = KeptRows(METRIC_POINTS.name), Repeated()
    for resource in message.resource_metrics:
        for scope in resource.scope_metrics:
            origin = Origin.of(resource.resource, scope.scope, request, receipt)
            for metric in scope.metrics:
                _add_points(metric, origin, repeated, rows)
    rows.batches()
    return rows


def _add_points(metric: Metric, origin: Origin, repeated: Repeated, rows: KeptRows) -> None:
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    data = getattr(metric, kind)
    columns: Row = {
        "name": metric.name,
        "description": metric.description or None,
        "unit": metric.unit or None,
        "type": kind,
        "temporality": _TEMPORALITIES.get(data.aggregation_temporality) if kind in _WITH_TEMPORALITY else None,
        "is_monotonic": data.is_monotonic if kind == "sum" else None,
        "metadata": to_json(attributes_of(metric.metadata)) if metric.metadata else None,
    }
    shared_bytes = origin.size_bytes + sum(len(text) for text in columns.values() if isinstance(text, str))
    identity = to_json([columns[name] for name in ("name", "unit", "type", "temporality")]).encode()
    for point in data.data_points:
        content = point.SerializeToString(deterministic=True)
        nano = min(point.time_unix_nano, UNIX_NANO_MAX)
        row = {
            **origin.row(attributes_of(point.attributes), nano, identity + content, repeated),
            **columns,
            "time_unix_nano": unix_nano(point.time_unix_nano),
            "start_time_unix_nano": unix_nano(point.start_time_unix_nano),
            "is_missing": bool(point.flags & DataPointFlags.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK),
            **_VALUES[kind](point),
        }
        rows.add(row, shared_bytes + len(content))


def _number(point: NumberDataPoint) -> Row:
    kind = point.WhichOneof("value")
    return {
        "value_double": float(getattr(point, kind)) if kind else None,
        "value_int": point.as_int if kind == "as_int" else None,
        "exemplars": _exemplars(point.exemplars),
    }


def _histogram(point: HistogramDataPoint) -> Row:
    buckets = {"bucket_counts": list(point.bucket_counts), "explicit_bounds": [*map(double, point.explicit_bounds)]}
    return {**_measures(point), "distribution": to_json(buckets), "exemplars": _exemplars(point.exemplars)}


def _exponential_histogram(point: ExponentialHistogramDataPoint) -> Row:
    buckets = {
        "scale": point.scale,
        "zero_count": point.zero_count,
        "zero_threshold": double(point.zero_threshold),
        "positive": {"offset": point.positive.offset, "bucket_counts": list(point.positive.bucket_counts)},
        "negative": {"offset": point.negative.offset, "bucket_counts": list(point.negative.bucket_counts)},
    }
    return {**_measures(point), "distribution": to_json(buckets), "exemplars": _exemplars(point.exemplars)}


def _summary(point: SummaryDataPoint) -> Row:
    quantiles = [{"quantile": double(each.quantile), "value": double(each.value)} for each in point.quantile_values]
    return {
        "value_count": min(point.count, _INT64_MAX),
        "value_sum": point.sum,
        "distribution": to_json({"quantile_values": quantiles}),
    }


def _measures(point: HistogramDataPoint | ExponentialHistogramDataPoint) -> Row:
    return {
        "value_count": min(point.count, _INT64_MAX),
        **{f"value_{name}": getattr(point, name) for name in ("sum", "min", "max") if point.HasField(name)},
    }


def _exemplars(exemplars: Iterable[Exemplar]) -> str | None:
    return to_json([_exemplar(each) for each in exemplars]) if exemplars else None


def _exemplar(exemplar: Exemplar) -> dict[str, object]:
    kind = exemplar.WhichOneof("value")
    value = getattr(exemplar, kind) if kind else None
    return {
        "time_unix_nano": exemplar.time_unix_nano,
        "value": double(value) if isinstance(value, float) else value,
        "trace_id": hex_id(exemplar.trace_id, 16),
        "span_id": hex_id(exemplar.span_id, 8),
        "attributes": attributes_of(exemplar.filtered_attributes),
    }


_VALUES: dict[str, Callable[[Any], Row]] = {
    "gauge": _number,
    "sum": _number,
    "histogram": _histogram,
    "exponential_histogram": _exponential_histogram,
    "summary": _summary,
}
