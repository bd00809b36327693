"""Documents from YAML and JSON: read as they are meant, or refused with a line a problem."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from registry_documents import documents

from schemas.api.registry import RegistryDocument
from storage.registry.document import from_json, from_yaml, load, parse
from storage.registry.errors import PROBLEM_LINES_MAX, DocumentError

EXAMPLES = Path(__file__).parents[3] / "examples"

LISTS = "configs, prompts, prompt_ab_tests, prices, experiments, alerts"
REFUSED = {
    "": f"is empty: a mapping with {LISTS} expected",
    "# only a comment\n": f"is empty: a mapping with {LISTS} expected",
    "- a": f"must be a mapping with {LISTS}, got a list of 1 item",
    "hello": f"must be a mapping with {LISTS}, got 'hello'",
    "configs:": "configs: must be a list, got null",
    "configs: [a]": "configs[0]: must be a mapping, got 'a'",
    "configs:\n- key: a\n  key: b": "configs[0].key: duplicate key in its mapping (line 3)",
    "configs: []\nconfigs: []": "configs: duplicate key in its mapping (line 2)",
    "5: a": "every key must be a string, got 5 (line 1)",
    "null: a": "every key must be a string, got null (line 1)",
    "a: {2024-01-01: b}": (
        "a: every key must be a string, got 2024-01-01 (a date: quote it to make it a string) (line 1)"
    ),
    "? [a]\n: b": "every key must be a string, got a mapping or a list (line 1)",
    "a: &x {b: 1}\nc: {<<: *x}": "c: merge keys (<<) are not supported: write the fields out (line 2)",
    "a: !!set {b}": "a: must be plain YAML, got the tag tag:yaml.org,2002:set (line 1)",
    "a: !!python/name:os.system b": "a: must be a plain value, got 'b': quote it to make a string (line 1)",
    "a: 2024-13-45": "a: must be a plain value, got '2024-13-45': quote it to make a string (line 1)",
    "a: &x [*x]": "a[0]: an alias must not stand inside its own anchor (line 1)",
    "a: [": "line 1, column 5: is not valid YAML: expected the node content, but found '<stream end>'",
    "a: 1\n---\nb: 2": "line 2, column 1: is not valid YAML: but found another document",
    "[" * 5000: "is nested too deeply",
    "configs: [{key: 2024-01-01, variants: [{model: m, weight: 1}]}]": (
        "configs[0].key: must be a string, got 2024-01-01 (a date: quote it to make it a string)"
    ),
    "configs: [{key: k, variants: [{model: m, weight: 1}, {model: n, weight: -5}]}]": (
        "configs[0].variants[1].weight: must be >= 0, got -5"
    ),
    "configs: [{key: k, variants: [{model: m, weight: 1}], targeting: {enabled: no}}]": (
        "configs[0].targeting.enabled: must be true or false, got 'no'"
    ),
}


@pytest.mark.parametrize(("text", "line"), REFUSED.items(), ids=[text[:40] for text in REFUSED])
def test_a_broken_yaml_is_refused_in_one_line(text: str, line: str) -> None:
    with pytest.raises(DocumentError) as caught:
        from_yaml(text.encode())
    assert str(caught.value) == line


def test_a_line_is_led_by_the_file(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("configs: 5")
    with pytest.raises(DocumentError) as caught:
        load(file)
    assert str(caught.value) == f"{file}: configs: must be a list, got 5"


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"absent\.yaml: cannot be read: No such file or directory"):
        load(tmp_path / "absent.yaml")
    with pytest.raises(DocumentError, match="cannot be read: Is a directory"):
        load(tmp_path)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(DocumentError, match="is not valid YAML"):
        from_yaml(b"a: \xff\xfe\xfa")


def test_many_problems_are_cut_to_twenty_lines() -> None:
    with pytest.raises(DocumentError) as caught:
        parse({"configs": [{"key": f"k{number}"} for number in range(50)]})
    lines = str(caught.value).splitlines()
    assert len(lines) == PROBLEM_LINES_MAX
    assert lines[-1] == "and 31 more problems"
    assert len(caught.value.problems) == 50


def test_aliases_of_aliases_cost_no_time() -> None:
    layers = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60)]
    with pytest.raises(DocumentError, match="a0: unknown key"):
        from_yaml("\n".join(layers).encode())


def test_words_that_old_yaml_takes_for_booleans_and_times_stay_words() -> None:
    document = from_yaml(
        b"configs: [{key: no, variants: [{model: on, weight: 1}], targeting: "
        b"{rules: [{conditions: [{field: at, operator: in, value: [12:30, off, true]}], variantIndex: 0}]}}]"
    )
    (config,) = document.configs
    assert config.key == "no"
    assert config.targeting is not None
    assert config.targeting.rules[0].conditions[0].value == ["12:30", "off", True]


@given(documents())
def test_a_document_is_the_same_from_yaml_from_json_and_from_data(data: dict[str, object]) -> None:
    expected = parse(data)
    assert from_yaml(yaml.safe_dump(data, sort_keys=False).encode()) == expected
    assert from_json(json.dumps(data).encode()) == expected


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_document_or_a_document_error(text: bytes) -> None:
    for read in (from_yaml, from_json):
        outcome: RegistryDocument | DocumentError
        try:
            outcome = read(text)
        except DocumentError as error:
            outcome = error
        assert isinstance(outcome, RegistryDocument) or str(outcome)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            b"",
            f"body is empty: a JSON object with {LISTS} expected",
        ),
        (b"{", "body is not valid JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        (b'{"configs": [], "configs": []}', "duplicate key 'configs' in one object"),
        (
            b"[]",
            f"must be a mapping with {LISTS}, got an empty list",
        ),
        (
            b'{"configs": [{"key": "k", "variants": [{"model": "m", "weight": NaN}]}]}',
            "configs[0].variants[0].weight: must be a finite number, got nan",
        ),
    ],
)
def test_a_broken_json_body_is_refused_in_one_line(text: bytes, line: str) -> None:
    with pytest.raises(DocumentError) as caught:
        from_json(text)
    assert str(caught.value) == line


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b'{"a": "\xff"}'])
def test_json_that_python_cannot_hold_is_refused(text: bytes) -> None:
    with pytest.raises(DocumentError, match="body is not valid JSON"):
        from_json(text)


@pytest.mark.parametrize("name", ["upstream.yaml", "experiments.yaml"])
def test_the_examples_are_valid(name: str) -> None:
    assert load(EXAMPLES / name).prompts
