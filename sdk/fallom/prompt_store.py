"""Prompts and prompt tests: what was fetched last, read by any thread without a lock."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from fallom.plan import Plan

logger = logging.getLogger("fallom")

VERSIONS_MAX = 1000


class Prompt(NamedTuple):
    """One version of a prompt; its texts may have ``{{variables}}``."""

    key: str
    version: int
    system: str
    user: str


class PromptStore:
    """The current prompts and older versions that were seen; replaced as a whole."""

    def __init__(self) -> None:
        self.current: dict[str, Prompt] = {}
        self.versions: dict[tuple[str, int], Prompt] = {}

    def replace(self, document: Mapping[str, Any]) -> None:
        """Take the answer of ``GET /prompts``: of a key that comes twice, the last one is current."""
        found = [prompt for item in _items(document, "prompts") if (prompt := _prompt(item)) is not None]
        versions = self.versions | {(prompt.key, prompt.version): prompt for prompt in found}
        for oldest in list(versions)[: max(0, len(versions) - VERSIONS_MAX)]:
            del versions[oldest]
        self.versions = versions
        self.current = {prompt.key: prompt for prompt in found}

    def find(self, key: str, version: int | None = None) -> Prompt | None:
        """Return a version of a prompt, the current one if none is named."""
        return self.current.get(key) if version is None else self.versions.get((key, version))


class PromptTestStore:
    """The current prompt tests; each is a plan whose models are the places of its variants in ``variants``."""

    def __init__(self) -> None:
        self.current: dict[str, tuple[Plan, list[Mapping[str, Any]]]] = {}

    def replace(self, document: Mapping[str, Any]) -> None:
        """Take the answer of ``GET /prompt-ab-tests``."""
        self.current = {
            test[0].key: test for item in _items(document, "prompt_ab_tests") if (test := self._test(item)) is not None
        }

    def _test(self, item: Any) -> tuple[Plan, list[Mapping[str, Any]]] | None:
        try:
            variants: list[Mapping[str, Any]] = [dict(variant) for variant in item["variants"]]
            as_models = [{"model": variant["prompt_key"], "weight": variant["weight"]} for variant in variants]
            return Plan({**item, "variants": as_models}), variants
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
            logger.warning("a prompt test can't be used: %s: %s", type(error).__name__, error)
            key = item.get("key") if isinstance(item, dict) else None
            return self.current.get(key) if isinstance(key, str) else None


def _items(document: Mapping[str, Any], name: str) -> list[Any]:
    items = document.get(name)
    if not isinstance(items, list):
        raise ValueError(f"{name}: a list expected, got {items!r:.100}")  # noqa: TRY004 - the server's fault
    return items


def _prompt(item: Any) -> Prompt | None:
    try:
        key, version = item["key"], item.get("version", 1)
        texts = [item.get(name) or "" for name in ("system_prompt", "user_template")]
        if not isinstance(key, str) or not isinstance(version, int) or not all(isinstance(text, str) for text in texts):
            raise TypeError(f"key, version and texts expected, got {item!r:.100}")  # noqa: TRY301 - as the others
        return Prompt(key, version, *texts)
    except (TypeError, KeyError, AttributeError) as error:
        logger.warning("a prompt can't be used: %s: %s", type(error).__name__, error)
        return None
