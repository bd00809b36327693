"""Rates: token buckets that may go into debt, since what a request costs is known only once it was read."""

# How long a caller that was silent may send as fast as it likes.
BURST_S = 5.0
# Fractions that add up to one token may add up to a little less.
_WHOLE = 1.0 - 1e-6


class TokenBucket:
    """So many tokens a second, and those of BURST_S at once. For one thread."""

    __slots__ = ("_burst", "_filled_at_s", "_per_s", "_tokens")

    def __init__(self, per_s: float, now_s: float) -> None:
        self._per_s = per_s
        # At least one, so that a rate below one in BURST_S is a rate, and not a ban.
        self._burst = max(per_s * BURST_S, 1.0)
        self._tokens = self._burst
        self._filled_at_s = now_s

    def wait_s(self, now_s: float) -> float:
        """Return how long until there is a whole token; 0 where there is one now."""
        self._tokens = min(self._burst, self._tokens + (now_s - self._filled_at_s) * self._per_s)
        self._filled_at_s = now_s
        return 0.0 if self._tokens >= _WHOLE else (1.0 - self._tokens) / self._per_s

    def take(self, count: float) -> None:
        """Take so many; beyond what there is, as a debt."""
        self._tokens -= count
