"""What sessions are told apart by: the model, the prompt, the customer, a tag or a field of the metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analytics.traces.conditions import metadata_value
from schemas.api.compare import METADATA


@dataclass(frozen=True, slots=True)
class Dimension:
    """A property of calls. ``values`` is a list of a call's values, in SQL.

    ``is_of_call`` says that calls of one session differ in it. Then a group's figures are those of its calls alone;
    else those of all calls of its sessions.
    """

    name: str
    values: str
    is_of_call: bool
    parameters: Mapping[str, object]
    stored: Callable[[str], str] | None = None

    def is_value(self, name: str) -> str:
        """Return what holds for a call that has the value, a parameter of that name."""
        found = f"list_contains({self.values}, ${name})"
        return found if self.stored is None else f"({found} OR list_contains({self.values}, $stored_{name}))"

    def parameters_of(self, **values: str) -> dict[str, object]:
        """Return the parameters of statements that ask for these values."""
        stored = self.stored
        others = {} if stored is None else {f"stored_{name}": stored(value) for name, value in values.items()}
        return {**self.parameters, **values, **others}


def dimension_of(by: str, identifier: Callable[[str], str] = str) -> Dimension:
    """Return the dimension of that name; ``identifier`` says what a customer's id is stored as."""
    if by == "model":
        # A failed call knows only which was asked for; one that was answered, often a dated name.
        return Dimension(by, "[request_model, response_model]", True, {})
    if by == "prompt":
        return Dimension(by, "[prompt_key, prompt_key || '@' || prompt_version]", True, {})
    if by == "tag":
        return Dimension(by, "tags", False, {})
    if by == "customer":
        return Dimension(by, "[customer_id]", False, {}, identifier)
    test, pointer = metadata_value(by.removeprefix(METADATA), "field")
    return Dimension(by, f"[{test}]", False, {"field": pointer})
