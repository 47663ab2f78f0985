"""A real service for the tests: `bregnas serve` on a free port and a fresh home, with its worker.

Its database is the one that BREGNAS_DATABASE_URL is given as, else SQLite in its home.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import psutil

SPEC: dict[str, Any] = {
    "superstructure": {"kind": "mlp", "widths": [48, 40, 48]},
    "task": {"kind": "denoise", "sigma": 0.2},
    "data": "digits",
    "method": {"lr": 0.003, "density": 0.1, "lam": 0.2},
    "budget": {"epochs": 12, "batch_size": 32},
    "finetune": {"epochs": 3},
    "compare": ["scratch"],
    "seed": 3,
}


class Service:
    """A running `bregnas serve`."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, home: Path, log: Path) -> None:
        self.process, self.url, self.home, self.log = process, url, home, log
        self.client = httpx.Client(base_url=url, timeout=30)

    def post(self, **changes: Any) -> dict[str, Any]:
        answer = self.client.post("/v1/searches", json={**SPEC, **changes})
        assert answer.status_code == 202, answer.text
        return answer.json()

    def get(self, search_id: str) -> dict[str, Any]:
        return self.client.get(f"/v1/searches/{search_id}").raise_for_status().json()

    def wait(self, search_id: str, until: Any, timeout: float = 120) -> dict[str, Any]:
        """Poll until `until(search)` holds; fails with the log where it never does."""
        deadline = time.monotonic() + timeout
        while True:
            search = self.get(search_id)
            if until(search):
                return search
            assert time.monotonic() < deadline, (
                f"{search['status']} {search['progress']}\n{self.log.read_text()[-4000:]}"
            )
            time.sleep(0.05)

    def wait_over(self, search_id: str, timeout: float = 180) -> dict[str, Any]:
        return self.wait(search_id, lambda s: s["status"] in ("succeeded", "failed", "cancelled"), timeout)

    def processes(self, role: str) -> list[psutil.Process]:
        """The processes of a role, `api`, `worker` or `trainer`, below this service."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                line = process.cmdline()
            except psutil.NoSuchProcess:
                continue
            if ("worker.trainer" in line) if role == "trainer" else (role in line[3:4]):
                found.append(process)
        return found

    def kill(self, role: str, dice: random.Random | None = None) -> bool:
        """kill -9 one process of a role, if there is one now: the first, or any."""
        found = self.processes(role)
        for process in found[:1] if dice is None else dice.sample(found, min(1, len(found))):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
                return True
        return False


@contextmanager
def serving(home: Path, workers: int = 1, *, ready: str = "/readyz", **environment: str) -> Iterator[Service]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home.mkdir(parents=True, exist_ok=True)
    log = home / "service.log"
    settings = {
        "BREGNAS_HOME": str(home), "HOST": "127.0.0.1", "PORT": str(port), "BREGNAS_THREADS": "1",
        "BREGNAS_HEARTBEAT_S": "0.5", "BREGNAS_SILENT_S": "3", "BREGNAS_CHECKPOINT_S": "0.2",
    }  # fmt: skip
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BREGNAS_")}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bregnas.cli", "serve", "--workers", str(workers)],
            env={**kept, **settings, **environment}, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        service = Service(process, f"http://127.0.0.1:{port}", home, log)
        try:
            deadline = time.monotonic() + 90
            while True:
                try:
                    if service.client.get(ready).status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield service
        finally:
            service.client.close()
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
