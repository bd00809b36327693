"""The demo: a server, a fake provider and three apps that play support sessions; then the experiment's results.

Run it by ``make demo``. Everything listens on free ports of the loopback interface, nothing is left behind unless
``--data-dir`` asks for it, and the demo fails where any of its processes does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from children import Child, ChildError, Children
from progress import progress
from report import query_table, results_table
from rich.console import Console

from examples.client_environments import environment

HERE = Path(__file__).resolve().parent
SERVER = (str(Path(sys.executable).parent / "fallom-server"),)
CONFIG = HERE / "config.yaml"
RESULTS = "/experiments/support-agent/results"
API_KEY = "demo"
VISIBLE_SECONDS_MAX = 10.0
POLL_SECONDS = 0.1
LOST_SHARE_MAX = 0.01
COUNTS = ("sessions", "calls")
WIDTH_ELSEWHERE = 126  # of tables where the output is no terminal
# What would point a client elsewhere than at the demo's own server, or change what it sends.
FOREIGN_SETTINGS = ("FALLOM_", "OTEL_", "OPENAI_", "PYTHONPATH", "PYTHONHOME")
QUERY = """\
SELECT coalesce(service_name, scope_name) AS service,
       coalesce(request_model, response_model) AS model,
       count(*) AS calls,
       count(*) FILTER (status_code = 'error') AS errors,
       round(quantile_disc(duration_ns, 0.95) / 1e6, 1) AS p95_ms,
       round(sum(cost), 4) AS cost_usd
FROM spans
WHERE config_key = 'support-agent' AND is_inference
GROUP BY ALL
ORDER BY ALL"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class App:
    """One of the apps: its script, the client environment that it needs (None: the server's), its share of the load."""

    title: str
    script: str
    environment: str | None
    share: float


APPS = (
    App(title="fallom 0.1.3", script="app_fallom_0_1.py", environment="fallom-0.1.3", share=0.4),
    App(title="fallom 0.2.7", script="app_fallom_0_2.py", environment="fallom-0.2.7", share=0.4),
    App(title="OpenTelemetry", script="app_opentelemetry.py", environment=None, share=0.2),
)


class DemoError(RuntimeError):
    """The demo did not end as it should; the message says how."""


class InterruptedDemoError(DemoError):
    """A signal ended the demo."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(f"ended by {number.name}; all its processes are stopped.")
        self.exit_code = 128 + number


def main() -> None:
    """Run the demo; exit with 0 only if all of it went well."""
    options = _options()
    children = Children()
    try:
        with _data_directory(options.data_dir) as data_directory:
            try:
                asyncio.run(_run(options, children, data_directory))
            finally:
                children.kill()
    except InterruptedDemoError as error:
        _fail(str(error), code=error.exit_code)
    except (ChildError, DemoError, httpx.HTTPError) as error:
        _fail(str(error) or type(error).__name__)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Show a model experiment on real clients, from traces to results.")
    parser.add_argument("--sessions", type=int, default=600, help="in all apps together (default: 600)")
    parser.add_argument("--concurrency", type=int, default=8, help="sessions at once in each app (default: 8)")
    parser.add_argument("--data-dir", type=Path, help="keep the data there (default: a temporary folder)")
    parser.add_argument("--keep-running", action="store_true", help="leave the server up until Ctrl-C")
    parser.add_argument("--timeout-seconds", type=float, default=600.0, help="stop after that (default: 600)")
    return parser.parse_args()


@contextlib.contextmanager
def _data_directory(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="fallom-demo-") as temporary:
        yield Path(temporary)


def _fail(message: str, *, code: int = 1) -> None:
    print(f"demo: {message}", file=sys.stderr, flush=True)
    sys.exit(code)


async def _run(options: argparse.Namespace, children: Children, data_directory: Path) -> None:
    started = time.monotonic()
    console = Console(width=None if sys.stdout.isatty() else WIDTH_ELSEWHERE)
    received = _cancel_on_signals()
    try:
        async with children:
            async with asyncio.timeout(options.timeout_seconds):
                server, url = await _demonstrate(options, console, children, data_directory)
            console.print(f"\nAll of it took {time.monotonic() - started:.0f} s.")
            if options.keep_running:
                where = f"at {url} until Ctrl-C; its data is in {data_directory}"
                console.print(f"The server stays up {where}.", soft_wrap=True)
                with contextlib.suppress(asyncio.CancelledError):
                    await server.outlive()
    except TimeoutError as error:
        raise DemoError(f"not done after {options.timeout_seconds:.0f} s; all its processes are stopped.") from error
    except asyncio.CancelledError:
        raise InterruptedDemoError(received[0]) from None
    if options.data_dir:
        console.print(f"The data is kept in {data_directory}.", soft_wrap=True)


def _cancel_on_signals() -> list[signal.Signals]:
    """Cancel this task at the first Ctrl-C or SIGTERM, and return where they are noted.

    Later ones change nothing: the processes are being stopped then, which has a time limit.
    """
    task = asyncio.current_task()
    received: list[signal.Signals] = []

    def receive(number: signal.Signals) -> None:
        received.append(number)
        if task is not None and len(received) == 1:
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, receive, number)
    return received


async def _demonstrate(
    options: argparse.Namespace, console: Console, children: Children, data_directory: Path
) -> tuple[Child, str]:
    names = [app.environment for app in APPS if app.environment is not None]
    console.print(f"Environments of the published clients: {', '.join(names)} …")
    script = HERE.parent / "client_environments.py"
    making = await children.start(
        "client_environments", [sys.executable, str(script), *names], os.environ, console.print
    )
    await making.succeed()

    provider = await children.start("fake_provider", [sys.executable, str(HERE / "fake_provider.py")], _environment())
    serve = [*SERVER, "serve", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir", str(data_directory)]
    server = await children.start("fallom-server", serve, _environment())
    services = (provider, server)
    provider_url = (await provider.ready())["url"]
    addresses = await server.ready()
    url = addresses["http"]
    apply = await children.start("apply", [*SERVER, "apply", str(CONFIG), "--url", url], _environment())
    await _while_alive(services, apply.succeed())

    console.print(f"Server at {url}, gRPC at {addresses['grpc']}; fake provider at {provider_url}.", soft_wrap=True)
    settings = _environment() | {
        **dict.fromkeys(("FALLOM_TRACES_URL", "FALLOM_CONFIGS_URL", "FALLOM_PROMPTS_URL"), url),
        "FALLOM_GRPC": addresses["grpc"],
        "FALLOM_API_KEY": API_KEY,
        "DEMO_PROVIDER_URL": provider_url,
    }
    # The system's proxies are not asked: all is on this machine.
    headers = {"Authorization": f"Bearer {API_KEY}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as client:
        before = _counts(_body(await client.get(RESULTS), server))
        started = time.monotonic()
        played = await _while_alive(services, _play(options, console, children, settings))
        console.print(f"Played in {time.monotonic() - started:.1f} s: {_account(played)}.\n")
        await _while_alive(services, _show(console, client, server, before + played))
    return server, url


async def _play(
    options: argparse.Namespace, console: Console, children: Children, settings: Mapping[str, str]
) -> Counter[str]:
    """Run the apps, all at once, and return the sums of what they report."""
    sums: Counter[str] = Counter()
    totals = {app.title: max(1, round(app.share * options.sessions)) for app in APPS}
    with progress(console, totals) as advance:

        async def play(app: App) -> None:
            def on_line(line: str) -> None:
                if line.startswith("session "):
                    advance(app.title, int(line.split()[1]))
                elif line.startswith("{"):
                    for by_model in json.loads(line)["models"].values():
                        sums.update(by_model)

            load = ["--sessions", str(totals[app.title]), "--concurrency", str(options.concurrency)]
            named = {**settings, "OTEL_SERVICE_NAME": f"demo-{app.title.replace(' ', '-')}"}
            await (await children.start(app.title, [*_command(app), *load], named, on_line)).succeed()

        await asyncio.gather(*(play(app) for app in APPS))
    return sums


def _command(app: App) -> list[str]:
    interpreter = environment(app.environment) if app.environment else Path(sys.executable)
    return [str(interpreter), str(HERE / app.script)]


async def _show(console: Console, client: httpx.AsyncClient, server: Child, expected: Counter[str]) -> None:
    """Print the results and a query's answer; raise where the server counts something else than was played."""
    results = await _results(client, server, expected)
    console.print(results_table(results))
    answer = _body(await client.post("/sql", json={"query": QUERY}), server)
    console.print(query_table(QUERY, answer))
    for what, count in _counts(results).items():
        # The published clients give up in silence what the server does not take within a second or five.
        if abs(count - expected[what]) > LOST_SHARE_MAX * expected[what]:
            raise DemoError(f"the server counts {count:,} {what}, but the apps played {expected[what]:,}.")


async def _results(client: httpx.AsyncClient, server: Child, expected: Counter[str]) -> dict[str, Any]:
    """Return the results as soon as they hold all that was played, at the latest after ten seconds."""
    deadline = time.monotonic() + VISIBLE_SECONDS_MAX
    while True:
        results = _body(await client.get(RESULTS), server)
        counts = _counts(results)
        if time.monotonic() > deadline or all(expected[what] == counts[what] for what in COUNTS):
            return results
        await asyncio.sleep(POLL_SECONDS)


def _body(response: httpx.Response, server: Child) -> dict[str, Any]:
    if not response.is_success:
        event = f"answered {response.status_code} to {response.request.url.path}: {response.text}"
        raise DemoError(server.told(event))
    body: dict[str, Any] = response.json()
    return body


def _counts(results: Mapping[str, Any]) -> Counter[str]:
    return Counter({what: sum(int(variant.get(what) or 0) for variant in results["variants"]) for what in COUNTS})


def _account(played: Counter[str]) -> str:
    return f"{played['sessions']:,} sessions, {played['calls']:,} calls, {played['errors']:,} of them failed"


async def _while_alive(services: Sequence[Child], work: Awaitable[T]) -> T:
    """Return what the work returns; raise ``ChildError`` as soon as one of the services ends."""
    working = asyncio.ensure_future(work)
    watches = [asyncio.create_task(service.outlive()) for service in services]
    try:
        await asyncio.wait([working, *watches], return_when=asyncio.FIRST_COMPLETED)
        for watch in watches:
            if watch.done():
                watch.result()
        return await working
    finally:
        for task in (working, *watches):
            task.cancel()
        await asyncio.gather(working, *watches, return_exceptions=True)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_SETTINGS)}
    return {**kept, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "PYTHONUNBUFFERED": "1"}


if __name__ == "__main__":
    main()
