"""Batches of inputs for the decoder: requests that are valid, changed, cut in two, and noise, together in one call."""

from __future__ import annotations

import random
from collections.abc import Iterator

from otlp_decoder.mutate import mutated, noise
from otlp_decoder.protobuf import encode
from otlp_decoder.requests import HEADERS, request

from collector.request import Format, Receipt, Received, Request

BATCH = 256
# Each valid request is changed in several ways: making one costs more than changing it.
CHANGES = 8
RECEIVED_UNIX_US = 1_795_262_400_000_000


def batch(seed: int, number: int, size: int = BATCH) -> list[Received]:
    """Return the batch of this number: the same for the same seed."""
    chance = random.Random(f"{seed} {number}")
    requests: list[Received] = []
    for body in _bodies(chance):
        if len(requests) == size:
            break
        headers = chance.choice(HEADERS) if chance.random() < 0.3 else {}
        requests.append(received(body, headers, len(requests)))
    return requests


def received(body: bytes, headers: dict[str, str] | None = None, place: int = 0) -> Received:
    """Return the body as a request that was received."""
    project = "projéct" if place % 17 == 16 else "p"
    return Request(Format.OTLP_PROTOBUF, body, project, headers or {}), Receipt(RECEIVED_UNIX_US + place)


def _bodies(chance: random.Random) -> Iterator[bytes]:
    while True:
        valid = request(chance)
        whole = encode(valid)
        yield whole
        for _ in range(CHANGES):
            yield mutated(chance, valid)
        if chance.random() < 0.5:
            yield noise(chance)
        if chance.random() < 0.3:
            # Who reads beyond the end of the first half finds there what it misses.
            cut = chance.randrange(len(whole) + 1)
            yield whole[:cut]
            yield whole[cut:]
