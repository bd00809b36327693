"""Managed prompts: texts and tests of texts, fetched in the background, filled in without a call.

    from fallom import prompts

    prompt = prompts.get("onboarding", variables={"name": "Ann"})
    messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]

The next call to a model in this context is marked with the prompt, once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fallom import runtime
from fallom.context import PromptTag, set_prompt_tag
from fallom.errors import PromptNotFoundError
from fallom.prompt_store import Prompt
from fallom.runtime import Runtime

FIRST_FETCH_TIMEOUT_S = 2.0
_VARIABLE = re.compile(r"\{\{(\s*\w+\s*)\}\}")

__all__ = ["PromptResult", "get", "get_ab", "init"]


@dataclass(frozen=True, slots=True)
class PromptResult:
    """A prompt with its variables filled in; of a prompt test also the test, and the place of the variant in it."""

    key: str
    version: int
    system: str
    user: str
    ab_test_key: str | None = None
    variant_index: int | None = None


def init(api_key: str | None = None, base_url: str | None = None) -> None:
    """Begin to fetch prompts, without tracing; ``fallom.init`` does all. Optional: the first ``get`` does it, too."""
    runtime.extend({"prompts"}, api_key=api_key, prompts_url=base_url)


def get(prompt_key: str, variables: Mapping[str, Any] | None = None, version: int | None = None) -> PromptResult:
    """Return a prompt, the current version or the one that is named.

    A variable that is not given stays as it stands in the text. Raises PromptNotFoundError, a ValueError, where there
    is no such prompt, after a wait of two seconds at most for the first fetch.

    >>> import fallom
    >>> fallom.prompts.get("onboarding")
    Traceback (most recent call last):
    fallom.errors.PromptNotFoundError: prompt 'onboarding' is not known, since there is no API key
    """
    return _filled(_prompt(_runtime(), prompt_key, version), variables, None)


def get_ab(ab_test_key: str, session_id: str, variables: Mapping[str, Any] | None = None) -> PromptResult:
    """Return the prompt that the test gives the session: the same one each time. Raises PromptNotFoundError."""
    current = _runtime()
    if ab_test_key not in current.prompt_tests.current:
        current.wait_until_tried(FIRST_FETCH_TIMEOUT_S)
    test = current.prompt_tests.current.get(ab_test_key)
    if test is None:
        raise PromptNotFoundError(f"prompt test {ab_test_key!r} is not known, {current.why_unknown()}")
    plan, variants = test
    index = plan.assign(session_id).variant_index
    prompt = _prompt(current, variants[index]["prompt_key"], variants[index].get("prompt_version"))
    return _filled(prompt, variables, (ab_test_key, index))


def fill(template: str, variables: Mapping[str, Any] | None) -> str:
    """Return the text with its ``{{variables}}`` filled in.

    >>> fill("Hello {{ name }}, welcome to {{place}}", {"name": "Ann"})
    'Hello Ann, welcome to {{place}}'
    """
    if not variables:
        return template
    return _VARIABLE.sub(lambda found: str(variables.get(found[1].strip(), found[0])), template)


def _runtime() -> Runtime:
    if runtime.current().is_never_begun:
        init()
    return runtime.current()


def _prompt(current: Runtime, key: str, version: int | None) -> Prompt:
    prompt = current.prompts.find(key, version)
    if prompt is None and current.wait_until_tried(FIRST_FETCH_TIMEOUT_S):
        prompt = current.prompts.find(key, version)
    if prompt is None:
        name = f"prompt {key!r}" if version is None else f"version {version} of prompt {key!r}"
        raise PromptNotFoundError(f"{name} is not known, {current.why_unknown()}")
    return prompt


def _filled(prompt: Prompt, variables: Mapping[str, Any] | None, test: tuple[str, int] | None) -> PromptResult:
    key, index = test or (None, None)
    result = PromptResult(
        prompt.key, prompt.version, fill(prompt.system, variables), fill(prompt.user, variables), key, index
    )
    set_prompt_tag(PromptTag(prompt.key, prompt.version, key, index))
    return result
