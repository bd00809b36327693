"""When what happened in a call, in ms from its start: the time to the first token, and the phases of its course.

The clients measure in whole milliseconds by more than one clock: a phase may end a little after the call. What lies
beyond that, begins before the call or ends before it begins is left out.
"""

from collections.abc import Iterator

from collector.fallom.raw.body import Object, objects, text_member
from collector.promote import COUNT_MAX, as_count, as_number, as_text

PHASES_MAX = 256
NAME_CHARACTERS_MAX = 200
_CLOCKS_APART_MS = 10
_STARTS = ("startMs", "startTime", "start", "start_ms", "callTime")
_ENDS = ("endMs", "endTime", "end", "end_ms", "resultTime")
_DURATIONS = ("durationMs", "duration", "duration_ms")

_Phase = tuple[float, float, str]
"""Start and end, ms from the call's start, and name."""


def timings_columns(timings: Object, duration_ms: float | None) -> dict[str, object]:
    """Return time_to_first_token_ns, and phases in the order of their starts, as JSON."""
    if not timings:
        return {}
    course = _Course(timings, duration_ms)
    first_ms = course.first_token_ms
    found = sorted(set(course.phases()), key=lambda phase: (phase[0], -phase[1], phase[2]))[:PHASES_MAX]
    phases = [{"name": name, "start_ms": _plain(start), "end_ms": _plain(end)} for start, end, name in found]
    return {
        "time_to_first_token_ns": None if first_ms is None else as_count(round(first_ms * 1e6)) or None,
        "phases": as_text(phases),
    }


class _Course:
    """The times of one call, from the start of its request; None where they can't be."""

    def __init__(self, timings: Object, duration_ms: float | None) -> None:
        self._timings = timings
        self._start = _number(timings, ("requestStart",)) or 0.0
        self._limit: float | None = None if duration_ms is None else duration_ms + _CLOCKS_APART_MS
        self._end = self._time(timings, ("responseEnd", "requestEnd", "totalDurationMs"))
        if self._end is not None:
            self._limit = self._end if self._limit is None else min(self._limit, self._end + _CLOCKS_APART_MS)
        # No token comes in no time: 0 stands for none.
        self.first_token_ms = self._time(timings, ("firstTokenTime",)) or None

    def phases(self) -> Iterator[_Phase]:
        own = [phase for entry in objects(self._timings.get("phases")) for phase in self._phase(entry)]
        yield from own
        yield from self._outline(is_told=bool(own))
        for name, kind in (("toolTimings", "tool"), ("toolCalls", "tool"), ("steps", "step")):
            for number, entry in enumerate(objects(self._timings.get(name)), 1):
                yield from self._phase(entry, kind, f"{kind} {number}")

    def _outline(self, *, is_told: bool) -> Iterator[_Phase]:
        """Yield what lies between the times of the call itself; where phases are told, only what those leave out."""
        first, end = self.first_token_ms, self._end
        if first is not None:
            if not is_told:
                yield 0.0, first, "time to first token"
            if end is not None and end > first:
                yield first, end, "response"
        elif end is not None and not is_told:
            sent = self._time(self._timings, ("requestEnd",))
            yield 0.0, end if sent is None else sent, "request"
            if sent is not None and sent < end:
                yield sent, end, "response"

    def _phase(self, entry: Object, kind: str = "", name: str = "") -> Iterator[_Phase]:
        start, end = self._time(entry, _STARTS), self._time(entry, _ENDS)
        duration = _number(entry, _DURATIONS)
        if start is not None and end is None and duration is not None and self._holds(start + duration):
            end = start + duration
        told = text_member(entry, "label", "name", "toolName", "type")
        if start is not None and end is not None and start <= end and (told or name):
            yield start, end, (f"{kind} {told}".lstrip() if told else name)[:NAME_CHARACTERS_MAX]

    def _time(self, values: Object, names: tuple[str, ...]) -> float | None:
        number = _number(values, names)
        if number is None:
            return None
        elapsed = number - self._start
        return elapsed if self._holds(elapsed) else None

    def _holds(self, elapsed: float) -> bool:
        return elapsed >= 0 and (self._limit is None or elapsed <= self._limit)


def _number(values: Object, names: tuple[str, ...]) -> float | None:
    for name in names:
        value = values.get(name)
        number = None if value is None else as_number(value)
        if number is not None:
            return float(number) if abs(number) <= COUNT_MAX else None
    return None


def _plain(ms: float) -> float | int:
    return int(ms) if ms.is_integer() else ms
