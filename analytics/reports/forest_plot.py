"""A forest plot as SVG: each figure's lift with its interval, by role, with the margins of guardrails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from analytics.reports import quantities
from analytics.reports.comparisons import ROLES, Compared, of_role
from analytics.reports.printable import printable, shortened
from analytics.reports.scale import Scale, scale_of
from analytics.reports.verdict import BETTER, BREACHED, HOLDS, WORSE, Verdict

WIDTH = 800
FONTS = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', 'Noto Sans', sans-serif"
ROWS_MAX = 200
_LEFT, _RIGHT = 250.0, 560.0
_ROW, _HEAD, _TOP, _BOTTOM = 30.0, 28.0, 66.0, 74.0
_TITLES = {"primary": "Primary", "guardrail": "Guardrails", "secondary": "Secondary"}
# Dark enough for print in grey; the shapes differ, too.
_INK, _GREY, _LINE, _SHADE = "#1a1a1a", "#5f6368", "#c4c7cc", "#ececec"
_COLOURS = {"good": "#0b6e3b", "bad": "#b3261e", "none": _INK}
_WORDS = {"lower_is_better": "lower is better", "higher_is_better": "higher is better", "neutral": ""}


def forest_plot(results: Mapping[str, Any]) -> str:
    """Return the SVG document of an experiment's results, 800 pixels wide."""
    groups = [(role, list(of_role(results, role))) for role in ROLES]
    shown = _limited([(role, rows) for role, rows in groups if rows])
    rows = [row for _, group in shown for row in group]
    height = _TOP + sum(_HEAD + _ROW * len(group) for _, group in shown) + _BOTTOM
    plot = _Plot(results, scale_of(list(_ends(rows)), _LEFT, _RIGHT), height)
    body = [*plot.head(), *plot.groups(shown), *plot.foot(sum(len(group) for _, group in groups) - len(rows))]
    return "\n".join([*_opening(results, height), *body, "</svg>\n"])


def _limited(groups: Sequence[tuple[str, list[Compared]]]) -> list[tuple[str, list[Compared]]]:
    left = ROWS_MAX
    found = []
    for role, rows in groups:
        found.append((role, rows[:left]))
        left -= len(found[-1][1])
    return [(role, rows) for role, rows in found if rows]


def _ends(rows: Sequence[Compared]) -> Iterator[float]:
    for row in rows:
        lift = row.comparison["lift"]
        yield from lift["ci"] or ([] if lift["estimate"] is None else [lift["estimate"]])


def _opening(results: Mapping[str, Any], height: float) -> list[str]:
    size = f'viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}"'
    style = f'font-family="{FONTS}" font-size="12" fill="{_INK}"'
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" {style}>',
        f"<title>{_text(_title(results))}</title>",
        f'<rect width="{WIDTH}" height="{height:g}" fill="#ffffff"/>',
    ]


def _title(results: Mapping[str, Any]) -> str:
    treatments = [variant["key"] for variant in results["variants"] if variant["key"] != _control(results)]
    against = ", ".join(treatments) or "no other variant"
    return f"{results['experiment']['key']}: {against} against {_control(results)}"


def _control(results: Mapping[str, Any]) -> str:
    return str(results["experiment"]["control"])


@dataclass(frozen=True, slots=True)
class _Plot:
    """Draws the parts of one picture, each as elements of SVG."""

    results: Mapping[str, Any]
    scale: Scale
    height: float

    def head(self) -> Iterator[str]:
        sessions = ", ".join(f"{arm['key']} {arm['sessions']:,}" for arm in self.results["variants"])
        level = 100 * (1 - self.results["settings"]["alpha"])
        inference = str(self.results["settings"]["inference"]).replace("_", " ")
        yield _label(16, 24, shortened(printable(_title(self.results)), 84), size=15, weight="bold")
        note = f"Lift with {level:g} % intervals ({inference}); sessions: {sessions}; {_moment(self.results)}"
        yield _label(16, 43, shortened(printable(note), 125), colour=_GREY)

    def groups(self, groups: Sequence[tuple[str, list[Compared]]]) -> Iterator[str]:
        y, bottom = _TOP, self.height - _BOTTOM
        # The shade lies under the grid and the zero line.
        places: list[tuple[float, Compared]] = []
        heads: list[tuple[float, str]] = []
        for role, rows in groups:
            heads.append((y, _TITLES[role]))
            y += _HEAD
            for row in rows:
                places.append((y, row))
                y += _ROW
        yield from (part for place, row in places for part in self._margin(place, row))
        yield from self._grid(_TOP + 4, bottom)
        for place, title in heads:
            yield _label(16, place + 19, title, size=13, weight="bold")
            yield _line(16, place + 25, WIDTH - 16, place + 25, _LINE)
        for place, row in places:
            yield from self._row(place, row)

    def foot(self, left_out: int) -> Iterator[str]:
        y = self.height - _BOTTOM
        for tick in self.scale.ticks():
            yield _label(self.scale.x(tick), y + 16, f"{100 * tick:+g} %" if tick else "0", anchor="middle")
        x = 16.0
        for verdict, word in ((BETTER, "better"), (WORSE, "worse or breached"), (HOLDS, "guardrail holds")):
            yield _mark(x + 5, y + 42, verdict)
            yield _label(x + 16, y + 46, word)
            x += 34 + 6.5 * len(word)
        yield _mark(x + 5, y + 42, None)
        yield _label(x + 16, y + 46, "not decided")
        yield f'<rect x="{x + 100:g}" y="{y + 36:g}" width="14" height="12" fill="{_SHADE}" stroke="{_LINE}"/>'
        yield _label(x + 120, y + 46, "what a guardrail's margin allows")
        more = f"; {left_out} more figures are not shown" if left_out else ""
        yield _label(16, y + 65, f"An arrow: the interval goes on{more}", colour=_GREY)

    def _grid(self, top: float, bottom: float) -> Iterator[str]:
        for tick in self.scale.ticks():
            x = self.scale.x(tick)
            yield _line(x, top, x, bottom, _INK if tick == 0 else _LINE, width=1.5 if tick == 0 else 0.5)

    def _margin(self, y: float, row: Compared) -> Iterator[str]:
        """Shade how much worse a guardrail may be."""
        guarded = row.comparison["non_inferiority"]
        if not guarded:
            return
        margin = guarded["margin"] if row.entry["direction"] == "lower_is_better" else -guarded["margin"]
        left, right = sorted((self.scale.x(0), self.scale.x(margin)))
        yield (
            f'<rect x="{left:.1f}" y="{y + 2:g}" width="{right - left:.1f}" height="{_ROW - 4:g}" fill="{_SHADE}" '
            f'stroke="{_LINE}"/>'
        )

    def _row(self, y: float, row: Compared) -> Iterator[str]:
        middle = y + _ROW / 2
        several = len(row.entry["comparisons"]) > 1
        name = f"{printable(row.comparison['variant'])}: {row.name}" if several else row.name
        words = ", ".join(filter(None, (row.figure, _WORDS[row.entry["direction"]])))
        yield f"<g><title>{_text(f'{name}, {words}: {row.verdict.word}')}</title>"
        yield _label(16, middle - 2, shortened(name, 36))
        yield _label(16, middle + 11, shortened(words, 44), size=10, colour=_GREY)
        yield from self._effect(middle, row)
        lift = row.comparison["lift"]
        figures = f"{quantities.lift(lift['estimate'])} {quantities.lift_interval(lift['ci'])}"
        yield _label(576, middle - 2, figures, size=11)
        colour = _COLOURS[row.verdict.tone]
        weight = "normal" if row.verdict.tone == "none" else "bold"
        yield _label(576, middle + 11, row.verdict.word, size=10, colour=colour, weight=weight)
        yield "</g>"

    def _effect(self, y: float, row: Compared) -> Iterator[str]:
        lift, verdict = row.comparison["lift"], row.verdict
        colour = _COLOURS[verdict.tone]
        if lift["ci"] is not None:
            lower, upper = lift["ci"]
            yield _line(self.scale.x(lower), y, self.scale.x(upper), y, colour, width=1.5)
            yield self._end(lower, y, colour, -1)
            yield self._end(upper, y, colour, 1)
        if lift["estimate"] is not None and self.scale.holds(lift["estimate"]):
            yield _mark(self.scale.x(lift["estimate"]), y, verdict)

    def _end(self, lift: float, y: float, colour: str, side: int) -> str:
        """Draw an interval's end: a bar, or an arrow where it goes on beyond the picture."""
        x = self.scale.x(lift)
        if self.scale.holds(lift):
            return _line(x, y - 4, x, y + 4, colour, width=1.5)
        return _polygon([(x, y), (x - side * 7, y - 4), (x - side * 7, y + 4)], colour)


def _mark(x: float, y: float, verdict: Verdict | None) -> str:
    """Draw the estimate: each verdict has a shape of its own."""
    if verdict == BETTER:
        return _polygon([(x, y - 6), (x - 6, y + 5), (x + 6, y + 5)], _COLOURS["good"])
    if verdict in (WORSE, BREACHED):
        return _polygon([(x, y + 6), (x - 6, y - 5), (x + 6, y - 5)], _COLOURS["bad"])
    if verdict == HOLDS:
        return f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" fill="{_COLOURS["good"]}"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="#ffffff" stroke="{_INK}" stroke-width="1.5"/>'


def _polygon(points: Sequence[tuple[float, float]], colour: str) -> str:
    return f'<polygon points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" fill="{colour}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1.0) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width:g}"/>'


def _label(
    x: float,
    y: float,
    text: str,
    *,
    size: float = 12,
    colour: str = _INK,
    weight: str = "normal",
    anchor: str = "start",
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{colour}" font-weight={quoteattr(weight)} '
        f'text-anchor="{anchor}">{_text(text)}</text>'
    )


def _text(text: str) -> str:
    return escape(printable(text))


def _moment(results: Mapping[str, Any]) -> str:
    return f"{str(results['experiment']['as_of'])[:16].replace('T', ' ')} UTC"
