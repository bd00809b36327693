"""What the SDK costs its host, beside the published client 0.2.7, each in an environment of its own.

    python -m benchmarks.sdk [--calls 20000] [--rounds 5] [--hour-calls 3600000]

CPU is that of the thread that calls, the best of several rounds. Configs come from a small server on loopback, which
takes all that is posted. The hour is simulated: the SDK's queues, a transport that always fails, and a clock that
moves a millisecond a call.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from benchmarks.sdk_outage import outage
from examples.client_environments import environment

PUBLISHED = "fallom-0.2.7"
CONFIG = {"key": "agent", "version": 1, "variants": [{"model": "a", "weight": 50}, {"model": "b", "weight": 50}]}

CALLS = """
import json, sys, time
url, calls, rounds, distinct = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "distinct"
import fallom
from fallom import models
if hasattr(models, "ready"):
    fallom.init(api_key="key", base_url=url, cache_dir="off", wait_s=10)
else:
    models.init(api_key="key", base_url=url)
models.get("agent", "warm")
best = float("inf")
for each in range(rounds):
    names = [f"session-{each}-{n}" if distinct else "session" for n in range(calls)]
    began = time.thread_time()
    for name in names:
        models.get("agent", name)
    best = min(best, time.thread_time() - began)
    if hasattr(fallom, "flush"):
        fallom.flush(30)
    # Threads of the published client pile up: they are not this thread's CPU, but let them end.
    time.sleep(0.5)
print(json.dumps(best / calls * 1e6))
import os
os._exit(0)
"""
IMPORT = """
import json, sys, time
began = time.process_time()
import fallom
print(json.dumps((time.process_time() - began) * 1000))
"""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._say({"configs": [CONFIG]} if self.path == "/configs" else {"prompts": [], "prompt_ab_tests": []})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._say({"status": "ok", "rejected": 0})

    def _say(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def run(python: Path, code: str, *arguments: object) -> Any:
    """Return the JSON that the last line of a script's output is."""
    command = [str(python), "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--calls", type=int, default=5_000)
    parser.add_argument("--published-calls", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hour-calls", type=int, default=3_600_000)
    arguments = parser.parse_args()
    ours, published = Path(sys.executable), environment(PUBLISHED)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    print(f"{'models.get, CPU µs on the thread that calls':52} {'ours':>8} {'0.2.7':>8} {'ratio':>7}")
    for sessions in ("same", "distinct"):
        mine = run(ours, CALLS, url, arguments.calls, arguments.rounds, sessions)
        theirs = run(published, CALLS, url, arguments.published_calls, arguments.rounds, sessions)
        print(f"{f'  {sessions} session(s)':52} {mine:8.2f} {theirs:8.2f} {theirs / mine:7.0f}")
    for name, python in (("ours", ours), ("0.2.7", published)):
        best = min(run(python, IMPORT) for _ in range(arguments.rounds))
        print(f"import fallom, {name}: {best:.0f} ms of CPU")
    outage(arguments.hour_calls)


if __name__ == "__main__":
    main()
