"""Which server is held to OTLP, and the page that says how it did."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conformance.doors import Target
from conformance.points import PAGE, Case, case_of, page
from server_process import ServerProcess

_WORST = ("failed", "passed", "skipped")
_results: dict[Case, str] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what names another server, and what asks for the page."""
    group = parser.getgroup("conformance")
    group.addoption("--otlp-http", metavar="URL", help="another server's OTLP/HTTP, such as http://127.0.0.1:4318")
    group.addoption("--otlp-grpc", metavar="HOST:PORT", help="the same server's OTLP/gRPC, such as 127.0.0.1:4317")
    group.addoption("--otlp-key", default="", help="an API key of the same server, sent as a bearer token")
    group.addoption("--write-page", action="store_true", help=f"write {PAGE.name} from this run")


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The server: ours, started for this, unless another is named."""
    http, grpc = (request.config.getoption(name, None) for name in ("--otlp-http", "--otlp-grpc"))
    if http or grpc:
        if not (http and grpc):
            raise pytest.UsageError("--otlp-http and --otlp-grpc name one server: give both")
        key = request.config.getoption("--otlp-key")
        yield Target(http, grpc, is_ours=False, sql=lambda _: pytest.skip("what was stored can't be asked"), key=key)
        return
    with _ours(tmp_path_factory.mktemp("conformance")) as ours:
        yield ours


@pytest.fixture(scope="session")
def throttled(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """A server of ours that has little room for requests in flight."""
    if not target.is_ours:
        pytest.skip("another server can't be told to throttle")
    with _ours(tmp_path_factory.mktemp("throttled"), "--in-flight-bytes-max", "100000") as ours:
        yield ours


@pytest.fixture
def unused(target: Target, tmp_path: Path) -> Iterator[Target]:
    """A server of ours that had no request yet; of another, the one that there is."""
    if not target.is_ours:
        yield target
        return
    with _ours(tmp_path) as ours:
        yield ours


@contextmanager
def _ours(folder: Path, *flags: str) -> Iterator[Target]:
    server = ServerProcess(folder / "data", *flags).start()
    try:
        yield Target(server.url, server.grpc, is_ours=True, sql=server.sql, pid=server.pid)
    finally:
        server.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Note each result."""
    report = yield
    case = case_of(item)
    if case is not None and (report.when == "call" or report.outcome != "passed"):
        _results[case] = min(report.outcome, _results.get(case, "skipped"), key=_WORST.index)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the page where it is asked for; of a run that was cut short it would be wrong."""
    if session.config.getoption("--write-page", default=False):
        PAGE.write_text(page(_results))
