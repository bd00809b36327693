"""Where rows are: none is in two places, none in no place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RowCounts:
    """The rows of one table since the start, at one moment.

    ``accepted + recovered = committed + in_log + deduplicated + quarantined``, always.
    """

    accepted: int = 0
    """Taken from clients, and on disk: acknowledged, or about to be."""
    recovered: int = 0
    """Found in the log at the start."""
    committed: int = 0
    in_log: int = 0
    deduplicated: int = 0
    """Sent again by a client; they are stored already."""
    quarantined: int = 0
    """Damaged on disk, and set aside when their segment was committed."""

    @property
    def is_balanced(self) -> bool:
        """Whether every row is in one place."""
        return self.accepted + self.recovered == self.committed + self.in_log + self.deduplicated + self.quarantined
