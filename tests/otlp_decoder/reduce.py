"""Makes an input on which something fails as small as it gets while it still fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TypeVar

from otlp_decoder.protobuf import LENGTH, RAW, Message, encode, parse_exactly

from collector.request import Received

Item = TypeVar("Item")
TRIES_MAX = 20_000


def reduced(requests: Sequence[Received], fails: Callable[[Sequence[Received]], bool]) -> list[Received]:
    """Return few and small requests that still fail, decoded together."""
    left = _fewer(list(requests), fails)
    for place, (request, receipt) in enumerate(left):

        def fails_with(body: bytes, place: int = place) -> bool:
            changed = (replace(left[place][0], body=body), left[place][1])
            return fails([*left[:place], changed, *left[place + 1 :]])

        plain = (replace(request, headers={}), receipt)
        if request.headers and fails([*left[:place], plain, *left[place + 1 :]]):
            left[place] = plain
        left[place] = (replace(left[place][0], body=smaller(request.body, fails_with)), receipt)
    return left


def smaller(body: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """Return a smaller body that still fails: fields left out, payloads shortened, lengths kept right."""
    tries = 0
    found = True
    while found and tries < TRIES_MAX:
        found = False
        for candidate in _candidates(body):
            tries += 1
            if tries > TRIES_MAX:
                break
            if _is_simpler(candidate, body) and fails(candidate):
                body, found = candidate, True
                break
    return body


def _is_simpler(candidate: bytes, body: bytes) -> bool:
    return (len(candidate), sum(candidate)) < (len(body), sum(body))


def _candidates(body: bytes) -> Iterator[bytes]:
    for changed in _simpler(parse_exactly(body)):
        yield encode(changed)
    yield from _shorter(body)


def _simpler(message: Message) -> Iterator[Message]:
    for place, (number, wire_type, payload) in enumerate(message):
        before, after = message[:place], message[place + 1 :]
        yield [*before, *after]
        if isinstance(payload, list):
            for changed in _simpler(payload):
                yield [*before, (number, wire_type, changed), *after]
        elif isinstance(payload, int):
            for smaller_number in {0, 1, payload >> 1} - {payload}:
                yield [*before, (number, wire_type, smaller_number), *after]
        else:
            changes = _shorter(payload) if wire_type in (LENGTH, RAW) else [bytes(len(payload))]
            for content in changes:
                yield [*before, (number, wire_type, content), *after]


def _shorter(data: bytes) -> Iterator[bytes]:
    size = len(data) // 2
    while size:
        for start in range(0, len(data), size):
            yield data[:start] + data[start + size :]
        size //= 2


def _fewer(items: list[Item], fails: Callable[[list[Item]], bool]) -> list[Item]:
    size = len(items) // 2
    while size:
        start = 0
        while start < len(items):
            left = items[:start] + items[start + size :]
            if left and fails(left):
                items = left
            else:
                start += size
        size //= 2
    return items
