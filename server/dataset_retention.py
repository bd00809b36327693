"""How long entries of datasets that were recorded in traces are kept: as long as the traces' own content."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

from server.settings import ServerSettings
from storage.datasets.datasets import Datasets


def dataset_retention(datasets: Datasets, settings: ServerSettings) -> Sequence[Callable[[date], object]]:
    """Return what removes, on a day, the entries that are too old by then; nothing where all are kept."""
    days = min(filter(None, (settings.retention_days, settings.content_retention_days)), default=0)

    def remove(today: date) -> int:
        first_kept = today - timedelta(days)
        return datasets.remove_recorded_before(datetime(first_kept.year, first_kept.month, first_kept.day, tzinfo=UTC))

    return (remove,) if days else ()
