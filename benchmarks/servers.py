"""The server that is measured: ours, started on a new data directory, or a foreign one, named by target and process."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

CLOCK_TICKS_PER_S = 100
IDLE_CPU_SHARE = 0.05
SAMPLE_S = 0.5


class Server:
    """A process under load."""

    def __init__(self, target: str | None = None, pid: int | None = None, flags: list[str] | None = None) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self.pid = pid
        self.data: Path | None = None
        if target:
            self.http = self.grpc = target
        else:
            self._start(flags or [])

    def _start(self, flags: list[str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fallom-bench-")
        self.data = Path(self._folder.name) / "data"
        command = Path(sys.executable).parent / "fallom-server"
        places = ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--data-dir", str(self.data)]
        log = (Path(self._folder.name) / "log").open("w")
        self._process = subprocess.Popen(
            [command, "serve", *places, *flags], stdout=subprocess.PIPE, stderr=log, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("ready "):
            raise SystemExit(f"the server did not start: {(Path(self._folder.name) / 'log').read_text()[-2000:]}")
        fields = dict(part.split("=", 1) for part in line.split()[1:])
        self.http, self.grpc, self.pid = fields["http"], fields["grpc"], self._process.pid

    def cpu_seconds(self) -> float | None:
        """Return the CPU time of the process, all threads."""
        if self.pid is None:
            return None
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S

    def rss_mib(self, name: str = "VmRSS") -> float | None:
        """Return the memory that the process has now; of VmHWM, the most that it has had."""
        if self.pid is None:
            return None
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) / 1024

    def disk_bytes(self) -> int | None:
        """Return the bytes of the lake."""
        if self.data is None:
            return None
        return sum(path.stat().st_size for path in (self.data / "lake").rglob("*.parquet"))

    def wait_until_idle(self, timeout_s: float = 180) -> None:
        """Return when all is committed, or, of a server that does not say so, when it has stopped working."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self.data is not None:
                if not self._rows_in_log():
                    return
                time.sleep(0.2)
                continue
            before = self.cpu_seconds()
            time.sleep(1)
            after = self.cpu_seconds()
            if before is None or after is None or after - before < IDLE_CPU_SHARE:
                return
        print(f"the server was not idle {timeout_s} s after the load", file=sys.stderr)

    def _rows_in_log(self) -> int:
        tables = httpx.get(f"{self.http}/debug/pipeline", timeout=30).raise_for_status().json()["tables"]
        return sum(table["rows"]["in_log"] for table in tables.values())

    def stop(self) -> None:
        """End the process, if it is ours."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)
        if self._folder is not None:
            self._folder.cleanup()


class MemoryWatch:
    """Samples a server's memory while the block runs."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._samples: list[tuple[float, float]] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def growth_mib_per_minute(self) -> float | None:
        """Return how fast memory grew in the second half of the time: what is warming up is not growth."""
        half = self._samples[len(self._samples) // 2 :]
        if len(half) < 10:
            return None
        times, sizes = zip(*half, strict=True)
        mean_time, mean_size = sum(times) / len(times), sum(sizes) / len(sizes)
        spread = sum((moment - mean_time) ** 2 for moment in times)
        products = ((moment - mean_time) * (size - mean_size) for moment, size in half)
        return sum(products) / spread * 60

    def _run(self) -> None:
        while not self._ending.wait(SAMPLE_S):
            size = self._server.rss_mib()
            if size is not None:
                self._samples.append((time.monotonic(), size))
