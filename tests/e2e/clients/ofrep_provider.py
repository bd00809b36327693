"""Run in OpenFeature's environment: evaluate string flags by the remote evaluation provider, one a line.

Reads ``{"url", "api_key"}``, then lines of ``{"flag", "default", "targeting_key", "context"}`` from standard input;
prints what the application gets, as a line of JSON each.
"""

import json
import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

setup = json.loads(sys.stdin.readline())
headers = {"Authorization": f"Bearer {setup['api_key']}"}
api.set_provider(OFREPProvider(setup["url"], headers_factory=lambda: headers, timeout=2))
client = api.get_client()
for line in sys.stdin:
    plan = json.loads(line)
    found = client.get_string_details(
        plan["flag"], plan["default"], EvaluationContext(plan["targeting_key"], plan["context"])
    )
    answer = {
        "value": found.value,
        "variant": found.variant,
        "reason": found.reason,
        "error_code": found.error_code,
        "metadata": dict(found.flag_metadata),
    }
    print(json.dumps(answer), flush=True)
