"""Run in the environment of fallom 0.2.x: evaluate, compare models, pull datasets; print what came.

Reads ``{"base_url", "api_key", "judge_url", "calls": [[name, {argument: value}], …]}`` from standard input; prints a
list of ``{"value"}`` or ``{"error"}``. OpenRouter's address is the client's own: what goes there is sent to the judge.
"""

import dataclasses
import json
import os
import sys
from typing import Any

import requests

from fallom import evals

plan = json.load(sys.stdin)
os.environ["OPENROUTER_API_KEY"] = "none"
send = requests.Session.request


def redirected(session: requests.Session, method: str, url: str, **options: Any) -> requests.Response:
    """Send what is meant for the provider to the judge, all else where it is meant to go."""
    return send(session, method, url.replace("https://openrouter.ai", plan["judge_url"]), **options)


def refuse(messages: Any) -> Any:
    raise RuntimeError("the model is down")


def evaluate(custom: bool = False, **arguments: Any) -> dict[str, Any]:
    if custom:
        steps = ["Read it."]
        arguments["metrics"] = [*arguments["metrics"], evals.custom_metric("brand", "Brand - is it ours?", steps)]
    return {"results": [dataclasses.asdict(result) for result in evals.evaluate(verbose=False, **arguments)]}


def compare(**arguments: Any) -> dict[str, Any]:
    models = ["openai/gpt-4o", evals.create_model_from_callable("broken", refuse)]
    found = evals.compare_models(models=models, verbose=False, **arguments)
    return {model: [dataclasses.asdict(result) for result in results] for model, results in found.items()}


def load(**arguments: Any) -> list[dict[str, Any]]:
    return [dataclasses.asdict(item) for item in evals.dataset_from_fallom(**arguments)]


def pull(**arguments: Any) -> dict[str, Any]:
    found = evals.EvaluationDataset().pull(**arguments)
    return {
        "name": found._dataset_name,
        "version": found._version,
        "goldens": [dataclasses.asdict(golden) for golden in found.goldens],
    }


CALLS = {"evaluate": evaluate, "compare": compare, "load": load, "pull": pull}


def answer(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"value": CALLS[name](**arguments)}
    except (ValueError, requests.RequestException) as error:
        return {"error": str(error)}


requests.Session.request = redirected
# What the client says on the way is no answer.
stdout, sys.stdout = sys.stdout, sys.stderr
evals.init(api_key=plan["api_key"], base_url=plan["base_url"])
json.dump([answer(*call) for call in plan["calls"]], stdout)
