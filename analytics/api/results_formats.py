"""The forms in which results are answered: JSON, CSV, a forest plot."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from analytics.api.accepted import accepted
from analytics.api.answers import json_answer
from analytics.reports.columns import COLUMNS
from analytics.reports.csv_file import csv_of
from analytics.reports.forest_plot import forest_plot

SVG = "image/svg+xml"
_FORMS = ("application/json", "text/csv", SVG)
# A picture that a browser opens by itself runs nothing and loads nothing.
_PICTURE_HEADERS = {"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff"}

DESCRIBED: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "text/csv": {
                "schema": {"type": "string"},
                "example": ",".join(column.name for column in COLUMNS[:7]) + ",…\r\n",
            },
            SVG: {"schema": {"type": "string"}},
        }
    }
}
DESCRIBED_PICTURE: dict[int | str, dict[str, Any]] = {200: {"content": {SVG: {"schema": {"type": "string"}}}}}


def formed(request: Request, results: dict[str, Any], answer: dict[str, Any] | None = None) -> Response:
    """Return the results as the request wants them: by its path the plot, else by its ``Accept``.

    As JSON it is the ``answer``, where the results are made of one.

    Raises ApiError, 406, where it accepts none of the forms.
    """
    is_plot = request.url.path.endswith("/plot.svg")
    form = SVG if is_plot else accepted(request.headers.get("accept"), _FORMS)
    headers = {} if is_plot else {"Vary": "Accept"}
    if form == SVG:
        return Response(forest_plot(results), headers=headers | _PICTURE_HEADERS, media_type=SVG)
    if form == "text/csv":
        return Response(csv_of(results), headers=headers, media_type="text/csv")
    return json_answer(results if answer is None else answer, headers=headers)
