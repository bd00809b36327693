"""The native decoder against protobuf's parser and plain Python: the same requests taken, the same rows made of them.

``make fuzz`` goes on where this ends: a million inputs and more.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from google.protobuf.message import DecodeError as ProtobufDecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from otlp_decoder import differences
from otlp_decoder.differences import first_difference, parse_json, same
from otlp_decoder.inputs import batch, received
from otlp_decoder.mutate import mutated
from otlp_decoder.protobuf import LENGTH, RAW, VARINT, Message, encode, has_merges, parse, span_contents, varint
from otlp_decoder.reduce import smaller
from otlp_decoder.reference import ATTRIBUTES_MAX, SPANS_MAX
from otlp_decoder.requests import HEADERS, request

from collector.otlp.wire import decode
from collector.request import Decoded, Received

CORPUS = Path(__file__).parent / "corpus"
TESTS = Path(__file__).parents[2]
CAPTURES = TESTS / "e2e" / "captures"
SPAN: Message = [(1, LENGTH, b"t" * 16), (2, LENGTH, b"spanspan")]


def corpus() -> dict[str, bytes]:
    """Return the inputs that are kept, by what they are."""
    lines = (CORPUS / "inputs.txt").read_text().splitlines()
    entries = (line.split(": ") for line in lines if line and not line.startswith("#"))
    return {name: bytes.fromhex(digits) for name, digits in entries}


def body_of(*spans: Message) -> bytes:
    return encode([(1, LENGTH, [(2, LENGTH, [(2, LENGTH, span) for span in spans])])])


def attribute(key: bytes, value: Message) -> tuple[int, int, Message]:
    return (9, LENGTH, [(1, LENGTH, key), (2, LENGTH, value)])


@pytest.mark.parametrize(("name", "body"), corpus().items(), ids=list(corpus()))
def test_the_decoders_agree_on_an_input_of_the_corpus(name: str, body: bytes) -> None:
    assert first_difference([received(body)]) is None


def test_the_decoders_agree_on_the_corpus_taken_together() -> None:
    assert first_difference([received(body, HEADERS[2]) for body in corpus().values()]) is None


@pytest.mark.parametrize("capture", sorted(CAPTURES.glob("*.pb")), ids=lambda path: path.stem)
def test_the_decoders_agree_on_what_a_real_client_sent_whole_and_cut_at_each_byte(capture: Path) -> None:
    body = capture.read_bytes()

    assert first_difference([received(body)]) is None
    assert first_difference([received(body[:size]) for size in range(0, len(body), 7)]) is None


@pytest.mark.parametrize("number", range(16))
def test_the_decoders_agree_on_requests_at_random_valid_and_made_wrong(number: int) -> None:
    assert first_difference(batch(seed=20_261_121, number=number)) is None


@given(st.randoms(use_true_random=False), st.sampled_from(HEADERS))
@settings(max_examples=100, derandomize=True)
def test_the_decoders_agree_on_any_valid_request(chance: random.Random, headers: dict[str, str]) -> None:
    assert first_difference([received(encode(request(chance)), headers)]) is None


@given(st.randoms(use_true_random=False))
@settings(max_examples=100, derandomize=True)
def test_the_decoders_agree_on_any_request_made_wrong(chance: random.Random) -> None:
    assert first_difference([received(mutated(chance, request(chance)))]) is None


@given(st.lists(st.binary(max_size=60), max_size=4))
@settings(max_examples=100, derandomize=True)
def test_the_decoders_agree_on_any_bytes(bodies: list[bytes]) -> None:
    assert first_difference([received(body) for body in bodies]) is None


@pytest.mark.parametrize("count", [SPANS_MAX, SPANS_MAX + 1])
def test_the_decoders_agree_on_how_many_spans_are_too_many(count: int) -> None:
    assert (
        first_difference([received(body_of(SPAN)), received(body_of(*[[]] * count)), received(body_of(SPAN))]) is None
    )


@pytest.mark.parametrize("count", [ATTRIBUTES_MAX, ATTRIBUTES_MAX + 1])
@pytest.mark.parametrize("holder", ["span", "event", "link", "resource", "scope", "map"])
def test_the_decoders_agree_on_how_many_attributes_are_too_many(holder: str, count: int) -> None:
    number = {"span": 9, "event": 3, "link": 4, "resource": 1, "scope": 3, "map": 1}[holder]
    pairs: Message = [(number, LENGTH, [(1, LENGTH, b"k%d" % each)]) for each in range(count)]
    crowded = {
        "span": [*SPAN, *pairs],
        "event": [*SPAN, (11, LENGTH, pairs)],
        "link": [*SPAN, (13, LENGTH, pairs)],
        "map": [*SPAN, attribute(b"map", [(6, LENGTH, pairs)])],
    }.get(holder, SPAN)
    scope: Message = [*([(1, LENGTH, pairs)] if holder == "scope" else []), (2, LENGTH, crowded), (2, LENGTH, SPAN)]
    resource: Message = [(1, LENGTH, pairs)] if holder == "resource" else []
    body = encode([(1, LENGTH, [*resource, (2, LENGTH, scope)])])

    assert first_difference([received(body_of(SPAN)), received(body), received(body_of(SPAN))]) is None


@pytest.mark.parametrize("depth", range(40, 52))
@pytest.mark.parametrize("kind", ["array", "map", "groups"])
def test_the_decoders_agree_on_how_deep_is_too_deep(kind: str, depth: int) -> None:
    value: Message = []
    if kind == "groups":
        value = [(0, RAW, b"\x5b" * depth * 2 + b"\x5c" * depth * 2)]
    for _ in range(depth if kind != "groups" else 0):
        value = [(5, LENGTH, [(1, LENGTH, value)])] if kind == "array" else _map_of(value)

    assert first_difference([received(body_of([*SPAN, attribute(b"deep", value)]))]) is None


def _map_of(value: Message) -> Message:
    return [(6, LENGTH, [(1, LENGTH, [(1, LENGTH, b"k"), (2, LENGTH, value)])])]


class Planted:
    """The decoder with a mistake in it."""

    def __init__(self, column: str, value: object) -> None:
        self._column, self._value = column, value

    def __call__(self, requests: list[Received]) -> Decoded:
        decoded = decode(requests)
        place = decoded.rows.schema.get_field_index(self._column)
        column = pa.array([self._value] * decoded.rows.num_rows, decoded.rows.schema.field(place).type)
        return Decoded(decoded.table, decoded.rows.set_column(place, self._column, column), decoded.outcomes)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("attributes", '{"a":1,"b":1.0}'),
        ("attributes", '{"a":1.0,"b":-0.0}'),
        ("attributes", '{"a":1,"b":0.0,"b":-0.0}'),
        ("attributes", '{"a":1,"b":-0.0'),
        ("attributes", None),
        ("promoted", None),
        ("input_tokens", 8),
        ("reported_cost", 0.5000001),
        ("content_hash", 0),
        ("events", "[]"),
    ],
)
def test_a_wrong_cell_is_seen(monkeypatch: pytest.MonkeyPatch, column: str, value: object) -> None:
    attributes = [
        attribute(b"a", [(3, VARINT, 1)]),
        attribute(b"b", [(4, 1, b"\0\0\0\0\0\0\0\x80")]),
        attribute(b"gen_ai.usage.input_tokens", [(3, VARINT, 7)]),
        attribute(b"gen_ai.usage.cost", [(1, LENGTH, b".5")]),
    ]
    requests = [received(b""), received(body_of([*SPAN, *attributes]))]

    agreeing = first_difference(requests)
    monkeypatch.setattr(differences, "decode", Planted(column, value))
    found = first_difference(requests)

    assert agreeing is None
    assert found is not None
    assert (found.place, found.what.split(":")[0]) == (1, column)


def test_what_protobuf_merges_is_told_and_its_values_are_not_compared() -> None:
    twice = [(9, LENGTH, [(1, LENGTH, b"k"), (2, LENGTH, [(1, LENGTH, b"a")]), (2, LENGTH, [(3, VARINT, 1)])])]
    two_members = [attribute(b"k", [(1, LENGTH, b"a"), (3, VARINT, 1)])]

    assert has_merges(parse(body_of([*SPAN, *twice])))
    assert has_merges(parse(body_of([*SPAN, *two_members])))
    assert not has_merges(parse(body_of([*SPAN, attribute(b"k", []), attribute(b"k", []), (5, LENGTH, b"n")])))


@given(st.randoms(use_true_random=False))
@settings(max_examples=50, derandomize=True)
def test_the_generator_makes_requests_that_protobuf_takes_and_the_walk_finds_their_spans(
    chance: random.Random,
) -> None:
    body = encode(request(chance))

    message = ExportTraceServiceRequest.FromString(body)

    spans = [span for resource in message.resource_spans for scope in resource.scope_spans for span in scope.spans]
    assert [type(spans[0]).FromString(content) for content in span_contents(body)] == spans if spans else True


def test_an_input_is_made_as_small_as_it_gets() -> None:
    body = encode(request(random.Random(4))) + body_of([*SPAN, attribute(b"needle" * 3, [(1, LENGTH, b"x" * 50)])])

    small = smaller(body, lambda candidate: b"needle" in candidate and is_request(candidate))

    # Four levels of tag and length around the key, and the key's own.
    assert len(small) <= len(b"needle") + 10


def is_request(body: bytes) -> bool:
    try:
        ExportTraceServiceRequest.FromString(body)
    except ProtobufDecodeError:
        return False
    return True


def test_a_byte_beyond_a_guarded_buffer_kills_who_touches_it() -> None:
    program = (
        "import ctypes; from otlp_decoder.guards import guarded; data = guarded(100);"
        "ctypes.string_at(data.ctypes.data, 100); print('within', flush=True); ctypes.string_at(data.ctypes.data, 101)"
    )
    environment = os.environ | {"PYTHONPATH": str(TESTS)}

    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)

    assert (done.stdout, done.returncode) == ("within\n", -signal.SIGSEGV)


def test_the_same_seed_makes_the_same_inputs() -> None:
    assert batch(1, 2, 50) == batch(1, 2, 50)
    assert batch(1, 2, 50) != batch(1, 3, 50)


@pytest.mark.parametrize("text", ['{"a":1,"a":1}', "NaN", "[1,]", '"\n"'])
def test_a_text_that_is_no_strict_json_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|twice|no JSON|control character"):
        parse_json(text)


def test_values_of_another_type_or_sign_are_not_the_same() -> None:
    assert not same(1, 1.0)
    assert not same(0.0, -0.0)
    assert not same([True], [1])
    assert same({"a": [1, 2.5, None]}, {"a": [1, 2.5, None]})


def test_a_double_in_a_text_may_be_written_in_either_way() -> None:
    assert same("4.6e-05", "4.6e-5")
    assert not same("4.6e-05", "4.7e-5")
    assert not same("1.0", "1")


def test_a_varint_can_be_padded_and_a_negative_number_takes_ten_bytes() -> None:
    assert varint(1, 3) == b"\x81\x80\x00"
    assert varint(-1) == b"\xff" * 9 + b"\x01"
