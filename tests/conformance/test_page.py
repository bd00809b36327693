"""docs/conformance.md is that of a run of this suite, as it is now, and shows nothing undone."""

import pytest
from conformance.points import PAGE, Case, cases, page


def test_the_page_has_the_tests_that_there_are_and_all_are_met(request: pytest.FixtureRequest) -> None:
    found = cases(request.session.items)
    if request.config.getoption("--otlp-http", None) or request.config.getoption("--write-page", default=False):
        pytest.skip("the page is of our own server, and of the run before")
    if is_partial(request):
        pytest.skip("only a part of the suite is run")

    assert page(dict.fromkeys(found, "passed")) == PAGE.read_text(), "run `make conformance`"


def is_partial(request: pytest.FixtureRequest) -> bool:
    chosen = request.config.invocation_params.args
    return bool(request.config.option.keyword or request.config.option.markexpr) or any(
        ".py" in str(argument) for argument in chosen
    )


def test_a_result_that_is_not_met_shows() -> None:
    text = page(
        {Case(1, "paths", "grpc"): "failed", Case(2, "types", ""): "passed", Case(9, "rest", "grpc"): "skipped"}
    )

    assert "| paths |  |  | **no** |" in text
    assert "| types | yes | yes |  |" in text
    assert "| rest |  |  | not seen |" in text
