"""Where the decoder and the reference disagree on some requests; None where they agree on all."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from otlp_decoder.conversions import Agreement, Cell
from otlp_decoder.protobuf import has_merges, parse
from otlp_decoder.reference import Expected
from otlp_decoder.reference import decode as decode_slowly

from collector.component import CollectorError
from collector.otlp.wire import decode
from collector.request import Decoded, Outcome, Received
from schemas.spans import SPANS

PARSED_TOLERANCE = 1e-14


# Such numbers are written with a zero before the exponent, or without.
_EXPONENT = re.compile(r"\de[-+]\d+$")


@dataclass(frozen=True, slots=True)
class Difference:
    """A request on which the two disagree: its place among those that were decoded together, and in what."""

    place: int
    what: str


def first_difference(requests: Sequence[Received]) -> Difference | None:
    """Decode the requests both ways, and return the first disagreement.

    The values of a request that protobuf would merge submessages of are not compared; what becomes of it is.
    """
    decoded = decode(requests)
    expected = decode_slowly(requests)
    try:
        decoded.rows.validate(full=True)
    except pa.ArrowInvalid as error:
        return Difference(_culprit(requests, decoded), f"rows: not valid Arrow: {error}")
    return _outcome_difference(requests, decoded, expected) or _row_difference(requests, decoded, expected)


def _culprit(requests: Sequence[Received], decoded: Decoded) -> int:
    """Return the first request whose own rows are not valid; the first of all where they are valid one by one."""
    start = 0
    for place, outcome in enumerate(decoded.outcomes[: len(requests)]):
        stop = start + (outcome.accepted if isinstance(outcome, Outcome) else 0)
        try:
            decoded.rows.slice(start, stop - start).validate(full=True)
        except pa.ArrowInvalid:
            return place
        start = stop
    return 0


def _outcome_difference(
    requests: Sequence[Received], decoded: Decoded, expected: Sequence[Expected]
) -> Difference | None:
    if len(decoded.outcomes) != len(requests):
        return Difference(0, f"outcomes: {len(requests)} expected, got {len(decoded.outcomes)}")
    for place, (wanted, got) in enumerate(zip(expected, decoded.outcomes, strict=True)):
        if _told(wanted.outcome) != _told(got):
            return Difference(place, f"outcome: {_shown(wanted.outcome)} expected, got {_shown(got)}")
    rows = sum(len(each.rows) for each in expected)
    if decoded.rows.num_rows != rows:
        return Difference(0, f"rows: {rows} expected, got {decoded.rows.num_rows}")
    if decoded.rows.schema != SPANS.schema:
        return Difference(0, f"schema: that of spans expected, got {decoded.rows.schema}")
    return None


def _told(outcome: Outcome | CollectorError) -> object:
    """Return what of an outcome must be the same: which kind of error, but not its words."""
    return outcome if isinstance(outcome, Outcome) else type(outcome)


def _shown(outcome: Outcome | CollectorError) -> str:
    return str(outcome) if isinstance(outcome, Outcome) else f"{type(outcome).__name__}: {outcome}"


def _row_difference(requests: Sequence[Received], decoded: Decoded, expected: Sequence[Expected]) -> Difference | None:
    rows = [row for each in expected for row in each.rows]
    places = [place for place, each in enumerate(expected) for _ in each.rows]
    differences = []
    for name in SPANS.schema.names:
        cells = [row.get(name) for row in rows]
        for place, what in _column_differences(name, cells, decoded.rows.column(name), places):
            if not has_merges(parse(requests[place][0].body)):
                differences.append((place, what))
                break
    return Difference(*min(differences)) if differences else None


def _column_differences(
    name: str, cells: Sequence[Cell | None], column: pa.Array, places: Sequence[int]
) -> list[tuple[int, str]]:
    values = [cell.value if cell else None for cell in cells]
    # One comparison of all in native code, since nearly always all agree; -0.0 and 0.0 are told apart below.
    if not pa.types.is_floating(column.type) and pa.array(values, column.type).equals(column):
        return []
    differences = []
    for row, (cell, got) in enumerate(zip(cells, _to_python(column), strict=True)):
        if isinstance(got, str) and cell is not None and got == cell.value:
            continue
        why = _disagreement(cell, got)
        if why:
            wanted = cell.value if cell else None
            differences.append((places[row], f"{name}: {wanted!r} expected, got {got!r}{why}"))
    return differences


def _to_python(column: pa.Array) -> list[object]:
    """Return the column's values; text that is no UTF-8 as bytes, which agree with nothing."""
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError:
        return list(column.cast(pa.binary()).to_pylist())


def _disagreement(cell: Cell | None, got: object) -> str:
    """Return "" where the two agree, else a hint for whoever reads both."""
    if cell is None or got is None:
        return "" if cell is None and got is None else " "
    match cell.agreement:
        case Agreement.JSON:
            return _json_disagreement(cell.value, got)
        case Agreement.NUMBER_TEXT:
            return "" if _is_text_of(cell.value, got) else " "
        case Agreement.PARSED if isinstance(got, int | float) and isinstance(cell.value, int | float):
            return "" if _is_near(cell.value, got) else " "
    return "" if same(cell.value, got) else " "


def _json_disagreement(wanted: object, got: object) -> str:
    try:
        found = parse_json(str(got))
    except ValueError as error:
        return f" ({error})"
    return "" if same(parse_json(str(wanted)), found) else " (parsed)"


def parse_json(text: str) -> object:
    """Return the document, integers apart from doubles. Raises ValueError, also where a key stands twice."""
    return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError(f"a key stands twice in {[key for key, _ in pairs]}")
    return result


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def same(wanted: object, got: object) -> bool:
    """Return whether the two are the same in type and value, doubles to the bit."""
    if type(wanted) is not type(got):
        return False
    if isinstance(wanted, float) and isinstance(got, float):
        return struct.pack("<d", wanted) == struct.pack("<d", got)
    if isinstance(wanted, dict) and isinstance(got, dict):
        return wanted.keys() == got.keys() and all(same(value, got[key]) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(got, list):
        return len(wanted) == len(got) and all(map(same, wanted, got))
    if isinstance(wanted, str) and isinstance(got, str):
        # A double may have become a text before it became part of a document.
        return wanted == got or (bool(_EXPONENT.search(wanted)) and _is_text_of(wanted, got))
    return wanted == got


def _is_text_of(wanted: object, got: object) -> bool:
    try:
        return same(float(str(wanted)), float(str(got)))
    except ValueError:
        return False


def _is_near(wanted: float, got: float) -> bool:
    if isinstance(wanted, int):
        # The last bit of the parsed double can move it over the edge of a whole number.
        return isinstance(got, int) and abs(wanted - got) <= 1
    return math.isclose(wanted, got, rel_tol=PARSED_TOLERANCE, abs_tol=5e-324)
