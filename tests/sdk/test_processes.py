"""Forks, the end of a process, and what import costs."""

import subprocess
import sys

import pytest
from sdk_server import FakeServer, Said
from server_process import environment

CALL = """
import fallom, os, sys
from fallom import models
from fallom.tracing import tracer
fallom.init(api_key="key", base_url=sys.argv[1], cache_dir="off", wait_s=30)
def call(name):
    models.get("agent", name)
    tracer().start_span(name).end()
call("parent")
"""
FORK = """
if (pid := os.fork()) == 0:
    call("child")
    sys.exit()
os.waitpid(pid, 0)
"""
MULTIPROCESSING = """
import multiprocessing
if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=call, args=(f"child-{n}",)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
"""
GUNICORN = """
# A master that loads the application, and workers that outlive one another.
for number in range(2):
    if (pid := os.fork()) == 0:
        for _ in range(3):
            call(f"worker-{number}")
        os._exit(0 if fallom.shutdown(30) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""


def run(code: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        env=environment() | variables,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.mark.parametrize(
    ("after", "names"),
    [
        (FORK, ["child", "parent"]),
        (MULTIPROCESSING, ["child-0", "child-1", "child-2", "parent"]),
        (GUNICORN, ["parent", *["worker-0"] * 3, *["worker-1"] * 3]),
    ],
    ids=["fork", "multiprocessing", "workers"],
)
def test_each_process_sends_what_it_did_and_nothing_of_another(fake: FakeServer, after: str, names: list[str]) -> None:
    run(CALL + after, fake.url)
    assert sorted(span.name for span in fake.spans()) == names
    assert sorted(event["session_id"] for event in fake.events("/sessions")) == sorted(set(names))


def test_a_child_assigns_at_once_by_what_its_parent_fetched(fake: FakeServer) -> None:
    after = """
if (pid := os.fork()) == 0:
    fallom.runtime.current().sync.worker.stop(5)
    os._exit(0 if models.assign("agent", "s", fallback="f").reason == "weight" else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
"""
    run(CALL + after, fake.url)


def test_at_its_end_a_process_waits_for_no_server_longer_than_it_was_told(fake: FakeServer) -> None:
    fake.answer = lambda asked: Said(200, b"{}", after_s=60)
    code = """
import fallom, sys, time, atexit
began = []
atexit.register(lambda: print(time.monotonic() - began[0]))
fallom.init(api_key="key", base_url=sys.argv[1], cache_dir="off", flush_timeout_s=0.5)
fallom.models.get("agent", "s", fallback="f")
began.append(time.monotonic())
"""
    # Handlers run last in, first out: the SDK's has run before the one that prints.
    assert float(run(code, fake.url).stdout) < 30


def test_importing_fallom_imports_neither_opentelemetry_nor_requests() -> None:
    code = """
import sys, fallom
from fallom import models, prompts, trace
from fallom.assignment import assign
heavy = {"opentelemetry", "requests", "google", "urllib3", "ssl", "asyncio"} & set(sys.modules)
assert not heavy, heavy
"""
    run(code)


def test_session_is_a_function_and_trace_a_module_in_whatever_order_they_are_imported() -> None:
    code = """
import types, sys, fallom
sys.modules["fallom.session"] = module = types.ModuleType("fallom.session")
module.session = lambda: "made"
fallom.session = module
assert fallom.session() == "made"
import fallom.trace
assert isinstance(fallom.trace, types.ModuleType)
"""
    run(code)
