"""Evaluation runs of the 0.2.x clients, ``POST /api/sdk-evals``: the items that were judged, and their scores.

A run is sent once, when the judge has been paid for: what a judge or a model may have answered (a score that is text,
a reason that is a list) is taken as it is, and only what is no run at all is refused. The clients leave the scores of
metrics of a user's own out, and send their reasons: ``scores`` of an item, an object, is where they can be.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from collector.component import CollectorError, DecodeError, TooLargeError
from collector.fallom.fields import Fields, load_object
from collector.request import Decoded, Outcome, Receipt, Received, Request
from collector.rows import Row, batch
from schemas.api.problems import shown
from schemas.evaluations import EVALUATION_ITEMS, EVALUATION_SCORES
from schemas.provenance import KEYS, named

# The metrics that the clients send as fields of their own.
METRICS = ("answer_relevancy", "hallucination", "toxicity", "faithfulness", "completeness", "coherence", "bias")
# Where the clients' reasons say why a model gave no output.
ERROR = "error"
# How the clients' reasons begin where the judge failed.
_FAILED = "Error: "
RUN_ID = "run_id"
# Tables that the run is in already, with commas between.
STORED = "stored"

ITEMS_MAX = 10_000
SCORES_MAX = 100_000
NAME_CHARACTERS_MAX = 1_000
# All rows of a run name it and whose they are.
REPEATED_CHARACTERS_MAX = 64 * 1024 * 1024


def decode(requests: Sequence[Received]) -> Decoded:
    """Return a row an item and a row a score; a run that can't be decoded fails alone."""
    items: list[Row] = []
    scores: list[Row] = []
    outcomes: list[Outcome | CollectorError] = []
    for request, receipt in requests:
        try:
            of_run = _run(request, receipt)
        except CollectorError as error:
            outcomes.append(error)
        else:
            stored = request.notes.get(STORED, "").split(",")
            # What an earlier attempt has stored is not stored again.
            items += of_run[0] if EVALUATION_ITEMS.name not in stored else []
            scores += of_run[1] if EVALUATION_SCORES.name not in stored else []
            outcomes.append(Outcome(len(of_run[0])))
    also = [(EVALUATION_ITEMS.name, batch(EVALUATION_ITEMS.name, items))] if items else []
    return Decoded(EVALUATION_SCORES.name, batch(EVALUATION_SCORES.name, scores), outcomes, also)


def _run(request: Request, receipt: Receipt) -> tuple[list[Row], list[Row]]:
    document = load_object(request.body)
    fields = Fields(document)
    run = {
        "project": request.project,
        "date": receipt.received_at.date(),
        "run_id": request.notes[RUN_ID],
        "run_name": _name(fields.text("name"), "name"),
        "judge_model": _name(fields.optional_text("judge_model"), "judge_model"),
        "dataset_key": _name(fields.optional_text("dataset_key"), "dataset_key"),
        "dataset_version": fields.optional_integer("dataset_version"),
        "received_at": receipt.received_at,
    }
    of_items = {
        "run_description": _name(fields.optional_text("description"), "description"),
        "dataset_size": fields.optional_integer("dataset_size"),
    }
    items: list[Row] = []
    scores: list[Row] = []
    repeated = 0
    for place, result in enumerate(_results(document)):
        whose = run | _whose(result, place)
        items.append(whose | of_items | _item(result))
        found = [whose | score for score in _scores(result, place)]
        scores += found
        repeated += (len(found) + 1) * sum(len(value) for value in whose.values() if isinstance(value, str))
        if len(scores) > SCORES_MAX or repeated > REPEATED_CHARACTERS_MAX:
            raise TooLargeError(f"results: at most {SCORES_MAX} scores, with short names, allowed: send several runs")
    return items, scores


def _results(document: Mapping[str, object]) -> list[dict[str, Any]]:
    results = document.get("results")
    if not isinstance(results, list) or not results:
        raise DecodeError(f"a list of at least one item expected, got {shown(results)}", field="results")
    if len(results) > ITEMS_MAX:
        raise DecodeError(f"at most {ITEMS_MAX} items allowed, got {len(results)}: send several runs", field="results")
    for place, result in enumerate(results):
        if not isinstance(result, dict):
            raise DecodeError(f"an object expected, got {shown(result)}", field=f"results[{place}]")
    return results


def _whose(result: Mapping[str, Any], place: int) -> Row:
    """Return the model, and whose the item is: by fields of its own, else by its metadata."""
    metadata = result.get("metadata")
    found = (named(metadata) if isinstance(metadata, dict) else {}) | named(result)
    model = Fields(result).optional_text("model") or "unknown"
    return {
        "item": place,
        "model": _name(model, f"results[{place}].model"),
        "is_production": result.get("is_production") is True,
        **{column: _name(found.get(column), f"results[{place}].{column}") for column in KEYS},
    }


def _item(result: Mapping[str, Any]) -> Row:
    metadata, reasoning = result.get("metadata"), result.get("reasoning")
    content = ("input", "output", "system_message", "expected_output")
    return {
        **{name: _text(result.get(name)) for name in content},
        "context": None if result.get("context") is None else _json(result["context"]),
        "metadata": None if metadata is None else _json(metadata if isinstance(metadata, dict) else {"": metadata}),
        "error": _text(reasoning.get(ERROR)) if isinstance(reasoning, dict) else None,
        "latency_ms": _number(result.get("latency_ms")),
        "input_tokens": _count(result.get("tokens_in")),
        "output_tokens": _count(result.get("tokens_out")),
        "cost": _number(result.get("cost")),
    }


def _scores(result: Mapping[str, Any], place: int) -> Iterator[Row]:
    """Yield a row a metric that has a score or a reason."""
    own, reasoning = (_object(result, name, place) for name in ("scores", "reasoning"))
    names = [*(name for name in METRICS if result.get(name) is not None), *own, *reasoning]
    for name in dict.fromkeys(names):
        if not name or (name == ERROR and name not in own):
            continue
        sent = own.get(name, result.get(name) if name in METRICS else None)
        score, reason = _number(sent), _text(reasoning.get(name))
        has_failed = sent is not None or (reason or "").startswith(_FAILED)
        yield {
            "metric": _name(name, f"results[{place}].reasoning"),
            "score": score,
            "status": "ok" if score is not None else "failed" if has_failed else "not_sent",
            "reasoning": reason,
        }


def _object(result: Mapping[str, Any], name: str, place: int) -> Mapping[str, Any]:
    value = result.get(name)
    if value is not None and not isinstance(value, dict):
        raise DecodeError(f"an object expected, got {shown(value)}", field=f"results[{place}].{name}")
    return value or {}


def _name(text: str | None, field: str) -> str | None:
    if text is not None and len(text) > NAME_CHARACTERS_MAX:
        raise DecodeError(f"at most {NAME_CHARACTERS_MAX} characters allowed, got {len(text)}", field=field)
    return text


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _number(value: object) -> float | None:
    """Return a number, also one that is written as text, as judges do; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _count(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and 0 <= number < 2**53 else None
