"""Run in a published client's environment: assign sessions, print their models.

Reads ``{"url", "config_key", "version", "sessions": [{"session_id", …targeting arguments}]}`` from standard input;
prints ``{session_id: model}`` once every exposure is sent.
"""

import json
import sys

from sessions import join_senders

from fallom import models

plan = json.load(sys.stdin)
models.init(api_key="test", base_url=plan["url"])
join_senders("_fetch_configs")
assigned = {}
for session in plan["sessions"]:
    session_id = session.pop("session_id")
    assigned[session_id] = models.get(plan["config_key"], session_id, version=plan["version"], **session)
join_senders("_record_session")
json.dump(assigned, sys.stdout)
