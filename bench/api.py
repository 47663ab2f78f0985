"""Latency of POST and of poll under 50 connections while a search runs; start-up time; memory of API and worker.

    python -m bench.api

Starts a service of its own in a temporary home. The client is a process of its own on the same machine, so its own work
is part of the figures.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil

from bench.machine import description
from tests.service import SPEC, Service, serving

CONNECTIONS, SECONDS = 50, 10.0


async def _load(url: str, call: str, search: str, pause: float) -> list[float]:
    """Latencies in ms of one kind of call from all connections; each waits `pause` seconds between its calls."""
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    taken: list[float] = []
    # Searches that never get a turn: the one worker is busy, and they are cancelled afterwards.
    body = {**SPEC, "name": "load", "budget": {"epochs": 1}}

    async def one(client: httpx.AsyncClient, deadline: float) -> None:
        while time.monotonic() < deadline:
            started = time.perf_counter()
            if call == "poll":
                answer = await client.get(f"/v1/searches/{search}")
            else:
                answer = await client.post("/v1/searches", json=body)
            taken.append(1000 * (time.perf_counter() - started))
            answer.raise_for_status()
            await asyncio.sleep(pause)

    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30) as client:
        deadline = time.monotonic() + SECONDS
        await asyncio.gather(*(one(client, deadline) for _ in range(CONNECTIONS)))
    return taken


def _percentiles(taken: list[float]) -> dict[str, Any]:
    cuts = statistics.quantiles(taken, n=100)
    return {
        "calls": len(taken),
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "p99_ms": round(cuts[98], 1),
    }


def _start_up(home: Path) -> float:
    """Seconds from starting the API's process on a migrated database to its first answer."""
    import os
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "BREGNAS_HOME": str(home), "PORT": str(port)}
    command = [sys.executable, "-m", "bregnas.cli"]
    subprocess.run([*command, "migrate"], env=environment, check=True)
    started = time.perf_counter()
    process = subprocess.Popen([*command, "api"], env=environment, stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/healthz").raise_for_status()
                return time.perf_counter() - started
            except httpx.TransportError:
                time.sleep(0.01)
    finally:
        process.terminate()
        process.wait()


def _memory(service: Service) -> dict[str, float]:
    found = {}
    for process in psutil.Process(service.process.pid).children(recursive=True):
        line = process.cmdline()
        role = "trainer" if "worker.trainer" in line else line[3]
        found[f"{role}_mb"] = round(process.memory_info().rss / 2**20)
    return found


def main() -> None:
    """Run the benchmark and print its figures."""
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        starts = [_start_up(Path(folder) / "start") for _ in range(5)]
        figures["start_up_s"] = {"median": round(statistics.median(starts), 2), "max": round(max(starts), 2)}
        with serving(Path(folder) / "home", BREGNAS_LOG_LEVEL="warning", BREGNAS_THREADS="2") as service:
            # The superstructure of the demo, so that both cores are wanted.
            search = service.post(
                superstructure={"kind": "mlp", "widths": [784] * 5},
                data="mnist-5k",
                budget={"epochs": 100_000, "batch_size": 128},
            )
            service.wait(search["id"], lambda s: (s["progress"]["epoch"] or 0) >= 1)
            for name, call, pause in (
                ("poll, each connection every 0.5 s", "poll", 0.5),
                ("poll, as fast as it goes", "poll", 0.0),
                ("post, each connection every s", "post", 1.0),
            ):
                figures[name] = _percentiles(asyncio.run(_load(service.url, call, search["id"], pause)))
            figures["memory"] = _memory(service)
            asked = time.perf_counter()
            service.client.post(f"/v1/searches/{search['id']}/cancel").raise_for_status()
            service.wait(search["id"], lambda s: s["status"] == "cancelled")
            figures["cancel_s"] = round(time.perf_counter() - asked, 2)
    for name, figure in figures.items():
        print(f"{name:36} {figure}")
    print(json.dumps({"api": figures, "machine": description()}))


if __name__ == "__main__":
    main()
