"""A provider on loopback for evaluations: as a judge it gives the scores that it is told, as a model it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Judge(BaseHTTPRequestHandler):
    """Scores an output by the first of ``scores`` that stands in the prompt; fails where that is None."""

    scores: Mapping[str, Any]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][-1]["content"]
        if "response_format" not in body:
            self._answer(200, f"answer of {body['model']} to {prompt}")
            return
        score = next(score for text, score in self.scores.items() if text in prompt)
        self._answer(500 if score is None else 200, json.dumps({"score": score, "overall_reasoning": "as told"}))

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the library's name
        pass

    def _answer(self, status: int, content: str) -> None:
        answer = {
            "choices": [{"message": {"role": "assistant", "content": content}}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_cost": 0.002},
        }
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def judge(scores: Mapping[str, Any]) -> Iterator[str]:
    """Run the provider and give its URL."""
    handler = type("ToldJudge", (Judge,), {"scores": scores})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
