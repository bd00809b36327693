"""The forest plot: what is in it, and that names are nothing but text."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import resvg_py
from report_results import entry, results, with_hostile_names, with_three_arms, with_verdicts

from analytics.reports import png
from analytics.reports.forest_plot import ROWS_MAX, forest_plot
from analytics.reports.html import html_of
from analytics.reports.png import PngError, png_of
from analytics.reports.scale import scale_of

SVG = "{http://www.w3.org/2000/svg}"
PICTURE = Path(__file__).parents[3] / "docs" / "forest_plot.svg"


def drawn(found: dict[str, Any]) -> ElementTree.Element:
    return ElementTree.fromstring(forest_plot(found))


def row_of(picture: ElementTree.Element, begin: str) -> ElementTree.Element:
    """Return the group of the figure whose title begins so."""
    return next(group for group in picture.iter(f"{SVG}g") if (group.findtext(f"{SVG}title") or "").startswith(begin))


def shapes(group: ElementTree.Element) -> list[str]:
    return [part.tag.removeprefix(SVG) for part in group if part.tag not in (f"{SVG}text", f"{SVG}title")]


def test_the_picture_of_the_documentation_is_the_one_that_is_drawn() -> None:
    assert forest_plot(results()) == PICTURE.read_text()


def test_each_verdict_has_a_shape_and_a_word() -> None:
    picture = drawn(with_verdicts())

    found = {
        name: (shapes(row_of(picture, begin))[-1], "".join(row_of(picture, begin).itertext()))
        for name, begin in {
            "better": "latency_ms, mean per call",
            "holds": "latency_ms, p95 per call",
            "breached": "error_rate, ratio per call",
            "undecided": "conversion",
        }.items()
    }

    assert {name: shape for name, (shape, _) in found.items()} == {
        "better": "polygon",
        "holds": "rect",
        "breached": "polygon",
        "undecided": "circle",
    }
    assert [name for name, (_, text) in found.items() if text.rstrip().endswith(name)] == list(found)


def test_a_guardrail_has_its_margin_on_the_side_that_is_worse() -> None:
    found = results()
    zero = scale_of([0.1], 250, 560).x(0)
    entry(found, "conversion", "proportion", "per_session")["comparisons"][0]["non_inferiority"] = {
        "margin": 0.1,
        "p_value": 0.5,
        "verdict": "inconclusive",
    }

    shades = [part for part in drawn(found) if part.tag == f"{SVG}rect" and part.get("stroke")]

    lower_is_better, higher_is_better = shades[0], shades[-2]  # the last one is the legend's
    assert float(lower_is_better.get("x", "")) == pytest.approx(zero)
    assert float(higher_is_better.get("x", "")) + float(higher_is_better.get("width", "")) == pytest.approx(
        zero, abs=0.2
    )


@pytest.mark.parametrize(("ends", "arrows"), [([-50.0, 60.0], 2), ([-0.1, 60.0], 1), ([-0.1, 0.1], 0)])
def test_an_interval_that_goes_on_has_an_arrow(ends: list[float], arrows: int) -> None:
    found = results()
    entry(found, "latency_ms", "p99")["comparisons"][0]["lift"] = {"estimate": 0.0, "ci": ends}

    assert shapes(row_of(drawn(found), "latency_ms, p99 per call")).count("polygon") == arrows


def test_of_several_variants_each_row_names_its_own() -> None:
    text = "".join(drawn(with_three_arms()).itertext())

    assert text.count("third: latency_ms") == text.count("treatment: latency_ms") > 0


def test_hostile_names_are_text() -> None:
    for document in (forest_plot(with_hostile_names()), html_of(with_hostile_names())):
        assert "<script" not in document
        assert "\x1b" not in document
        assert "\u202e" not in document
        assert "&lt;script&gt;" in document


def test_more_figures_than_are_readable_are_counted() -> None:
    found = results()
    found["metrics"] = found["metrics"] * (2 * ROWS_MAX // len(found["metrics"]))

    text = "".join(drawn(found).itertext())

    assert f"{len(found['metrics']) - ROWS_MAX} more figures are not shown" in text


def test_without_a_figure_there_is_a_picture_still() -> None:
    found = results()
    found["metrics"] = []

    assert "support-bot" in "".join(drawn(found).itertext())


@pytest.mark.parametrize("reach", [1e-9, 0.03, 0.4, 7.0, 1e12])
def test_the_axis_has_a_few_ticks_around_zero(reach: float) -> None:
    scale = scale_of([-reach, reach], 0, 100)
    ticks = scale.ticks()

    assert 3 <= len(ticks) <= 7
    assert ticks == [-tick for tick in reversed(ticks)]
    assert all(scale.holds(tick) for tick in ticks)
    assert scale.holds(reach)


def test_a_png_is_twice_as_large_and_has_its_text() -> None:
    svg = forest_plot(results())
    content = png_of(svg)
    wordless = svg.replace("support-bot", "")

    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert width == 1600
    assert height > 1000
    assert png_of(wordless) != content


def test_without_a_font_a_png_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = resvg_py.svg_to_bytes
    # As on a machine that has none, such as a slim container.
    monkeypatch.setattr(resvg_py, "svg_to_bytes", lambda **given: real(**given, skip_system_fonts=True))

    with pytest.raises(PngError, match="needs a font"):
        png.png_of(forest_plot(results()))
