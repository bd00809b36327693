"""A scrape of a server's /metrics, read by prometheus-client's own parser."""

from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from server_process import ServerProcess

PLACES = ("committed", "in_log", "deduplicated", "quarantined")
TABLES = ("spans", "metrics", "exposures")


@dataclass(frozen=True)
class Scrape:
    """The samples by name and labels."""

    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float:
        """Return one sample's value."""
        return self.samples[name, frozenset(labels.items())]

    def names(self) -> set[str]:
        return {name for name, _ in self.samples}

    def rows(self, place: str, table: str) -> float:
        return self.value("fallom_rows_in_log" if place == "in_log" else f"fallom_rows_{place}_total", table=table)

    def is_balanced(self) -> bool:
        """Return whether every row of every table is in one place."""
        return all(
            self.rows("accepted", table) + self.rows("recovered", table)
            == sum(self.rows(place, table) for place in PLACES)
            for table in TABLES
        )


def scrape(server: ServerProcess, key: str = "") -> Scrape:
    authorization = {"Authorization": f"Bearer {key}"} if key else {}
    status, headers, body = server.request("GET", "/metrics", headers=authorization)
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    families = text_string_to_metric_families(body.decode())
    return Scrape(
        {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }
    )
