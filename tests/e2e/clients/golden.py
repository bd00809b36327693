"""Run in a published client's environment: the models that its own code assigns, without a server.

Reads ``{"configs": [config as served], "sessions": [[config's place, session id, customer id, context]]}`` from the
file named as the first argument; writes the list of models to the one named as the second.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

from fallom import models

plan = json.loads(Path(sys.argv[1]).read_text())
models.init()  # without a key it fetches and records nothing
for config in plan["configs"]:
    models._config_cache[config["key"]] = {
        "versions": {config["version"]: config},
        "latest": config["version"],
    }
keys = [config["key"] for config in plan["configs"]]
with contextlib.redirect_stdout(io.StringIO()):
    found = [
        models.get(keys[place], session_id, customer_id=customer_id, context=context)
        for place, session_id, customer_id, context in plan["sessions"]
    ]
Path(sys.argv[2]).write_text(json.dumps(found))
