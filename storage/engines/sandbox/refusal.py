"""Why a statement is not answered, and where in it the fault is, as far as the database tells."""

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

import duckdb
import orjson

from storage.errors import Position

_AS_JSON = re.compile(r"(?:([A-Z][\w ]*): )?(\{.*\})\s*", re.DOTALL)
_EXPLAIN = "EXPLAIN "
_SHOWN_CHARS_MAX = 100


@dataclass(frozen=True, slots=True)
class Refusal:
    """``refused``: it is not allowed or not SQL; ``memory``: it outgrew its own; ``gone``: a file that it read is."""

    kind: Literal["refused", "memory", "gone"]
    message: str
    position: Position | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as it is sent."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Refusal":
        """Return what was sent."""
        position = content["position"]
        return cls(content["kind"], content["message"], Position(**position) if position else None)


def refusal_of(database: duckdb.DuckDBPyConnection, statement: str, message: str) -> Refusal:
    """Return what the database's message says, with the place in the statement."""
    said = _read(message)
    if said is None or said[1] is None:
        # Bound by another way the same statement fails with its place; it is not run.
        place = _place_of(database, statement)
        text = message if said is None else said[0]
    else:
        text, place = said
    if place is None:
        return Refusal("refused", text)
    position = position_of(statement, place)
    return Refusal("refused", f"{text}\n\n{shown(statement, position)}", position)


def position_of(statement: str, place: int) -> Position:
    """Return line and column, both from 1, of a place in the statement's bytes."""
    before = statement.encode()[:place].decode(errors="ignore")
    return Position(before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1)


def shown(statement: str, position: Position) -> str:
    """Return the line of the statement, as much of it as fits, with a sign under the place."""
    line = statement.split("\n")[position.line - 1].replace("\t", " ")
    start = max(0, position.column - 1 - _SHOWN_CHARS_MAX // 2)
    head = f"LINE {position.line}: {'...' if start else ''}"
    return f"{head}{line[start : start + _SHOWN_CHARS_MAX]}\n{' ' * (len(head) + position.column - 1 - start)}^"


def _read(message: str) -> tuple[str, int | None] | None:
    """Return text and place of a message in JSON; None where it is none."""
    found = _AS_JSON.fullmatch(message)
    if found is None:
        return None
    try:
        said = orjson.loads(found.group(2))
    except orjson.JSONDecodeError:
        return None
    place = said.get("position")
    head = found.group(1) or f"{said.get('exception_type')} Error"
    return f"{head}: {said.get('exception_message')}", int(place) if place is not None else None


def _place_of(database: duckdb.DuckDBPyConnection, statement: str) -> int | None:
    try:
        database.execute(_EXPLAIN + statement)
    except duckdb.Error as error:
        said = _read(str(error))
        if said is not None and said[1] is not None and said[1] >= len(_EXPLAIN):
            return said[1] - len(_EXPLAIN)
    return None
