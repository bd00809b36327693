"""Run in a published client's environment, with FALLOM_BASE_URL set: ask for prompts, print what came.

Reads a list of ``[function, arguments…]``, as ``["get", key, variables, version]`` or
``["get_ab", key, session_id, variables]``, from standard input; prints a list of ``{"key", "version", "system", "user",
"ab_test_key", "variant_index"}`` or ``{"error"}``.
"""

import dataclasses
import json
import sys
from typing import Any

from sessions import join_senders

from fallom import prompts


def ask(function: str, *arguments: Any) -> dict[str, Any]:
    """Return what the client answers, or the error that it raises."""
    try:
        return dataclasses.asdict(getattr(prompts, function)(*arguments))
    except ValueError as error:
        return {"error": str(error)}


prompts.init()
join_senders("_fetch_all")
json.dump([ask(*call) for call in json.load(sys.stdin)], sys.stdout)
