"""What conclusions rest on: level, inference, how many are drawn, and what was seen before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from analytics.experiments.figures import Figure, Identity
from analytics.experiments.settings import Role, Settings
from analytics.experiments.statistics import ConfidenceSequence, critical_value


@dataclass(frozen=True, slots=True)
class Traffic:
    """What the experiment gets: its sessions so far, all arms', and how many more a day at the present rate."""

    sessions: int
    sessions_per_day: float | None
    calls_per_day: float | None = None
    elapsed_days: float | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a comparison saw: its always-valid p."""

    at: datetime
    p_value: float


@dataclass(frozen=True, slots=True)
class Past:
    """The looks before the present one, oldest first; and since when the comparison was shown to be significant."""

    looks: tuple[Look, ...] = ()
    shown_since: datetime | None = None

    @property
    def p_value(self) -> float | None:
        """Return the least p of the looks."""
        return min((look.p_value for look in self.looks), default=None)

    def significant_since(self, p_value_max: float) -> datetime | None:
        """Return when a look first saw a p of at most so much, or was shown as significant; None if neither."""
        seen = next((look.at for look in self.looks if look.p_value <= p_value_max), None)
        return min((at for at in (seen, self.shown_since) if at is not None), default=None)


Pasts = Mapping[tuple[Identity, str], Past]
"""By figure, and variant."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What conclusions rest on: the experiment's settings, and whether its health allows any.

    ``control`` is the control's place among the arms; ``primaries`` the number of figures that are primary, where
    there are more than declarations of such; ``past`` what earlier looks saw, by figure and variant; ``at`` the
    moment of this one, None where it makes no difference.
    """

    settings: Settings
    allowed: bool
    control: int = 0
    primaries: int = 1
    traffic: Traffic | None = None
    past: Pasts = field(default_factory=dict)
    at: datetime | None = None

    @property
    def is_sequential(self) -> bool:
        """Return whether the figures may be looked at any time."""
        return self.settings.inference == "sequential"

    @property
    def sequence(self) -> ConfidenceSequence:
        """The confidence sequence of the experiment."""
        return ConfidenceSequence(self.settings.alpha, self.settings.n_star)

    def family(self, role: Role, arms: int) -> int:
        """Return by how many comparisons the level of one in this role is divided."""
        if role != "primary":
            return 1
        return max(1, arms - 1) * max(1, self.settings.primaries_declared, self.primaries)

    def critical_value(self, figure: Figure, arms: int, sessions: float, degrees_of_freedom: float = math.inf) -> float:
        """Return c for a comparison that rests on ``sessions`` of both arms."""
        level = self.settings.alpha / self.family(figure.role, arms)
        if self.is_sequential:
            return self.sequence.critical_value(sessions, level)
        return critical_value(level, max(degrees_of_freedom, 1.0))

    def arm_critical_value(
        self, figure: Figure, sessions: Sequence[int], arm: int, degrees_of_freedom: float = math.inf
    ) -> float:
        """Return c for an arm's own interval: that of its comparison, of the control's comparisons the widest.

        ``sessions`` are the figure's, an entry an arm.
        """
        others = [each for place, each in enumerate(sessions) if place != arm and self.control in (place, arm)]
        return max(
            self.critical_value(figure, len(sessions), sessions[arm] + other, degrees_of_freedom)
            for other in others or [0]
        )
