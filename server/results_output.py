"""How commands print results, and draw them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import orjson

from analytics.reports.csv_file import csv_of
from analytics.reports.forest_plot import forest_plot
from analytics.reports.markdown import markdown_of
from analytics.reports.png import PngError, png_of
from server.errors import CommandError
from server.results_table import print_report

ResultsFormat = Literal["table", "json", "csv", "markdown"]


def print_results(results: Mapping[str, Any], form: ResultsFormat) -> None:
    """Print them to stdout."""
    match form:
        case "json":
            print_json(results)
        case "csv":
            sys.stdout.write(csv_of(results).replace("\r\n", "\n"))
        case "markdown":
            sys.stdout.write(markdown_of(results))
        case "table":
            # A terminal that has no ▲ gets a question mark; the word beside it says the same.
            if hasattr(sys.stdout, "reconfigure"):
                sys.stdout.reconfigure(errors="replace")
            print_report(results)


def print_json(answer: Mapping[str, Any]) -> None:
    """Print a server's answer as it is."""
    sys.stdout.write(orjson.dumps(answer).decode() + "\n")


def check_plot(path: Path | None) -> None:
    """Raise CommandError for a place where no picture can be."""
    if path is None:
        return
    if path.suffix not in (".svg", ".png"):
        raise CommandError(f"plot: a file name that ends in .svg or .png expected, got {str(path)!r}")
    if not path.parent.is_dir():
        raise CommandError(f"plot: there is no folder {str(path.parent)!r}: make it first")


def draw(results: Mapping[str, Any], path: Path) -> None:
    """Write the forest plot; under its own name it is whole."""
    svg = forest_plot(results)
    try:
        content = svg.encode() if path.suffix == ".svg" else png_of(svg)
    except PngError as error:
        raise CommandError(f"plot: {error}") from error
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
