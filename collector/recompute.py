"""Recomputes what exposures say from the version of the config that they name, before anything of them is redacted.

A published client reports a model and no more. The variant's index and the reason follow from the config, the session
and the customer, where nothing else decides; what only the client knew (its context) stays unknown: NULL, not guessed.
What the server gets to stands beside what the client said, so that where they differ, it shows.
"""

import logging
from collections.abc import Mapping
from typing import Any, Protocol

import pyarrow as pa

from collector.fallom.exposures import FALLBACK, FLAG_EVENT
from collector.processors.columns import with_columns
from fallom.assignment import Assignment, assign, targeting_fields, variant_list
from schemas.exposures import EXPOSURES
from storage.registry.errors import RegistryError

logger = logging.getLogger(__name__)

TARGETED = ("individual_target", "rule")
_FILLED = ("assigned_model", "variant_index", "reason", "computed_variant_index", "computed_model", "computed_reason")
_Row = dict[str, Any]


class Configs(Protocol):
    """Where versions of configs are looked up."""

    def at(self, project: str, key: str, version: int) -> Mapping[str, Any] | None:
        """Return a version of a config; None if there is none."""


class Recompute:
    """A processor of the exposures of all projects."""

    def __init__(self, configs: Configs) -> None:
        self._configs = configs

    def __call__(self, table: str, rows: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows, of exposures with what follows from their configs."""
        if table != EXPOSURES.name or rows.num_rows == 0:
            return rows
        exposures = rows.to_pylist()
        for exposure in exposures:
            if exposure["computed_variant_index"] is None:
                self._fill(exposure)
        filled = {
            name: pa.array([exposure[name] for exposure in exposures], EXPOSURES.schema.field(name).type)
            for name in _FILLED
        }
        return with_columns(rows, **filled)

    def _fill(self, exposure: _Row) -> None:
        config = self._config(exposure)
        if config is None:
            return
        if exposure["source"] == FLAG_EVENT and exposure["reason"] != FALLBACK:
            _name_model(config, exposure)
        try:
            computed = assign(config, exposure["session_id"], customer_id=exposure["customer_id"])
        except (ValueError, TypeError, KeyError):
            # A config that this version of the server can't assign by.
            return
        if config.get("sticky_by") == "request" and computed.reason not in TARGETED:
            # Dealt anew at each request, of which the report says nothing.
            exposure["variant_index"] = _named_index(config, exposure)
            return
        exposure["computed_variant_index"] = computed.variant_index
        exposure["computed_model"] = computed.model
        exposure["computed_reason"] = computed.reason
        if exposure["reason"] == FALLBACK:
            return
        if exposure["variant_index"] is None:
            exposure["variant_index"] = _index_of_model(config, exposure["assigned_model"], computed)
        if (
            exposure["reason"] is None
            and exposure["assigned_model"] == computed.model
            and _is_certain(config, exposure)
        ):
            exposure["reason"] = computed.reason

    def _config(self, exposure: _Row) -> Mapping[str, Any] | None:
        try:
            return self._configs.at(exposure["project"], exposure["config_key"], exposure["config_version"])
        except RegistryError as error:
            # The report is worth storing all the same.
            logger.warning("an exposure is not recomputed: %s", error)
            return None


def _name_model(config: Mapping[str, Any], exposure: _Row) -> None:
    """Put the model in the place of its variant's name."""
    variants, name = config["variants"], exposure["assigned_model"]
    if isinstance(variants, Mapping) and name in variants:
        exposure["assigned_model"] = variants[name]["model"]
        exposure["variant_index"] = list(variants).index(name)


def _named_index(config: Mapping[str, Any], exposure: _Row) -> int | None:
    """Return the index that the client says; else that of the model, where it can be no other's."""
    given: int | None = exposure["variant_index"]
    return given if given is not None else _only_index(config, exposure["assigned_model"])


def _index_of_model(config: Mapping[str, Any], model: str, computed: Assignment) -> int | None:
    """Return the only variant that the model can stand for; of several, the computed one."""
    return computed.variant_index if model == computed.model else _only_index(config, model)


def _only_index(config: Mapping[str, Any], model: str) -> int | None:
    indexes = [index for index, variant in enumerate(variant_list(config["variants"])) if variant["model"] == model]
    return indexes[0] if len(indexes) == 1 else None


def _is_certain(config: Mapping[str, Any], exposure: _Row) -> bool:
    """Whether the session and what the client said of it decide alone: nothing is asked that only the client knew."""
    knows_customer = bool(exposure["customer_id"])
    sticky_by = config.get("sticky_by", "session")
    if sticky_by != "session" and not (sticky_by == "customer" and knows_customer):
        return False
    return targeting_fields(config.get("targeting")) <= ({"customerId"} if knows_customer else set())
