"""OTLP metrics that are not to be kept: a request is read, its data points are counted, and it is dropped."""

from collections.abc import Callable, Sequence

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from collector.component import CollectorError
from collector.request import Decoded, Outcome, Received
from collector.rows import batch


def decode(read: Callable[[bytes], ExportMetricsServiceRequest], requests: Sequence[Received]) -> Decoded:
    """Return no rows, and of each request how many data points it had; ``read`` reads a body."""
    outcomes: list[Outcome | CollectorError] = []
    for request, _ in requests:
        try:
            outcomes.append(Outcome(0, dropped=_data_points(read(request.body))))
        except CollectorError as error:
            outcomes.append(error)
    return Decoded("metrics", batch("metrics", []), outcomes)


def _data_points(message: ExportMetricsServiceRequest) -> int:
    metrics = (
        metric for resource in message.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
    )
    kinds = ((metric, metric.WhichOneof("data")) for metric in metrics)
    return sum(len(getattr(metric, kind).data_points) for metric, kind in kinds if kind)
