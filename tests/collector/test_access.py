"""Which key a client presents."""

import pytest

from collector.access import presented_key


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([("authorization", "Bearer k")], "k"),
        ([("authorization", "bearer   k ")], "k"),
        ([("x-api-key", " k ")], "k"),
        ([("x-api-key", "other"), ("authorization", "Bearer k")], "k"),
        ([("authorization", "Basic dTpw"), ("x-api-key", "k")], "k"),
        ([("authorization", "Bearer k"), ("authorization", "Bearer other")], "k"),
        ([("x-api-key", "k"), ("x-api-key", "other")], "k"),
        ([("authorization", "Basic dTpw")], ""),
        ([("authorization", "k")], ""),
        ([("authorization", "Bearer")], ""),
        ([("authorization", "")], ""),
        ([("cookie", "k")], ""),
        ([], ""),
    ],
)
def test_a_key_is_a_bearer_token_or_a_header_of_its_own(headers: list[tuple[str, str]], key: str) -> None:
    assert presented_key(headers) == key
