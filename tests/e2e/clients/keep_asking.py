"""Run in a published client's environment: assign a session a line, for as long as there are lines.

Reads ``{"url", "clock"}``, then lines of ``[config_key, session_id, fallback]`` from standard input; prints
``{"model", "seconds"}`` or ``{"error"}`` a line. The client's own sync runs ``clock`` times as often as it would.
"""

import contextlib
import json
import sys
import time

setup = json.loads(sys.stdin.readline())
sleep = time.sleep
time.sleep = lambda seconds: sleep(seconds / setup["clock"])

from fallom import models  # noqa: E402 # after the clock

models.init(api_key="test", base_url=setup["url"])
for line in sys.stdin:
    config_key, session_id, fallback = json.loads(line)
    began = time.perf_counter()
    try:
        # It warns on standard output of a fallback.
        with contextlib.redirect_stdout(sys.stderr):
            model = models.get(config_key, session_id, fallback=fallback)
    except Exception as error:  # whatever it is, the test must see it
        answer = {"error": repr(error)}
    else:
        answer = {"model": model, "seconds": time.perf_counter() - began}
    print(json.dumps(answer), flush=True)
