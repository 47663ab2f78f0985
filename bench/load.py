"""200 polls a second and 20 event streams on a service that has 10 million counts and trains meanwhile.

    python -m bench.load [--database URL] [--searches 100000] [--seconds 180] [--rate 200] [--streams 20]

Fills the database first (`bench.seeding`; one that is filled is used as it is) and starts a service of its own on it,
with the defaults of `bregnas serve`. 100 clients, each with a connection of its own, poll by a timetable: the search
that runs, ones that have ended, their layers (all with the ETag that they got last), lists, and architectures by random
filters and sorts, page after page. A latency counts from the moment when the poll was due to the last byte of its
answer: one that has to wait for a slow one before it is slow too. Client, service and trainer share the machine.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil

from bench.machine import description
from bench.seeding import fill
from tests.service import Service, serving

CLIENTS = 100
SHARES = {"running": 30, "ended": 30, "layers": 20, "list": 10, "architectures": 10}
FILTERS: dict[str, list[Any]] = {
    "task": ["denoise", "autoencode", "classify"],
    "data": ["mnist", "digits", "photos"],
    "shape": ["bottleneck", "narrowing", "other"],
    "candidate": ["found", "scratch"],
    "won": ["true"],
    "min_parameters": [5_000, 50_000],
    "max_parameters": [20_000, 200_000],
    "max_loss": [0.01, 0.05],
}
SORTS = ["parameters", "-parameters", "loss", "-loss", "created_at", "-created_at"]
# Empty is the default: what `bregnas serve` does, where the service of the tests is more hurried.
_DEFAULTS = dict.fromkeys(("BREGNAS_THREADS", "BREGNAS_HEARTBEAT_S", "BREGNAS_SILENT_S", "BREGNAS_CHECKPOINT_S"), "")


@dataclass
class Seen:
    """What the clients have met: latencies in ms by route, statuses by route, errors in words, events of streams."""

    latencies: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    events: int = 0


class Connection:
    """HTTP/1.1 over one kept connection: as little client as there can be, since it shares the machine."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], asyncio.StreamReader]:
        """Send a GET; the status, the headers (names in lower case), and where the body comes from."""
        if self._open is None:
            self._open = await asyncio.open_connection(self.host, self.port, limit=2**20)
        reader, writer = self._open
        lines = [f"GET {path} HTTP/1.1", f"Host: {self.host}", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip("\r\n").split("\r\n")
        found = (line.partition(": ") for line in rest)
        return int(first.split(" ")[1]), {name.lower(): value for name, _, value in found}, reader

    async def answer(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Send a GET; the status, the headers and the whole body."""
        status, found, reader = await self.get(path, headers)
        return status, found, await reader.readexactly(int(found.get("content-length", 0)))

    def close(self) -> None:
        """Hang up; the next GET connects anew."""
        if self._open is not None:
            self._open[1].close()
        self._open = None


class Client:
    """Somebody who polls: remembers ETags, and turns the pages of what was found."""

    def __init__(self, number: int, url: str, running: str, ended: list[str], seen: Seen) -> None:
        self.dice = random.Random(number)
        self.connection = Connection(url)
        self.running, self.ended, self.seen = running, self.dice.sample(ended, 5), seen
        self.tags: dict[str, str] = {}
        self.next_page: str | None = None

    async def poll(self, pause: float, until: float) -> None:
        """Poll every `pause` seconds until then (`time.perf_counter`)."""
        due = time.perf_counter() + pause * self.dice.random()
        while due < until:
            await asyncio.sleep(due - time.perf_counter())
            route = self.dice.choices(list(SHARES), list(SHARES.values()))[0]
            try:
                await self._once(route)
            except (OSError, EOFError, ValueError) as error:
                self.seen.errors[f"{route}: {type(error).__name__}"] += 1
                self.connection.close()
            self.seen.latencies[route].append(1000 * (time.perf_counter() - due))
            due += pause

    async def _once(self, route: str) -> None:
        path = self._path(route)
        known = {"If-None-Match": self.tags[path]} if path in self.tags else {}
        status, headers, body = await self.connection.answer(path, known)
        self.seen.statuses[f"{route}: {status}"] += 1
        if status not in ((200, 304) if known else (200,)):
            self.seen.errors[f"{route}: {status}"] += 1
        if "etag" in headers:
            self.tags[path] = headers["etag"]
        if route == "architectures" and status == 200:
            page = json.loads(body)
            base = path.partition("&after=")[0]
            self.next_page = f"{base}&after={page['last_id']}" if page["has_more"] else None

    def _path(self, route: str) -> str:
        one_of = self.dice.choice
        match route:
            case "running":
                return f"/v1/searches/{self.running}"
            case "ended":
                return f"/v1/searches/{one_of(self.ended)}"
            case "layers":
                return f"/v1/searches/{one_of([self.running, *self.ended])}/layers"
            case "list":
                return one_of(["/v1/searches", "/v1/searches?status=succeeded&limit=10"])
        if self.next_page and self.dice.random() < 0.5:
            return self.next_page
        filters = {name: one_of(FILTERS[name]) for name in self.dice.sample(list(FILTERS), self.dice.randint(0, 3))}
        return "/v1/architectures?" + urlencode({**filters, "sort": one_of(SORTS)})


async def watch(url: str, search: str, until: float, seen: Seen) -> None:
    """Watch a search that runs; a stream that ends, or an id that does not rise, is an error."""
    connection, last = Connection(url), 0
    try:
        async with asyncio.timeout(until - time.perf_counter()):
            status, _, reader = await connection.get(f"/v1/searches/{search}/events", {"Accept": "text/event-stream"})
            while line := await reader.readline():
                if line.startswith(b"id: "):
                    seen.events += 1
                    seen.errors["stream: out of order"] += int(line[4:]) <= last
                    last = int(line[4:])
        seen.errors[f"stream: ended, {status}"] += 1
    except TimeoutError:
        pass
    except (OSError, EOFError, ValueError) as error:
        seen.errors[f"stream: {type(error).__name__}"] += 1
    finally:
        connection.close()


async def load(service: Service, running: str, *, seconds: float, rate: float, streams: int) -> dict[str, Any]:
    """Poll and watch for a time; figures of latencies, errors, memory (MB) and processors (cores used)."""
    ended = [search["id"] for search in service.client.get("/v1/searches?status=succeeded&limit=100").json()["data"]]
    seen, until = Seen(), time.perf_counter() + seconds
    pause = CLIENTS / rate
    clients = [Client(number, service.url, running, ended, seen) for number in range(CLIENTS)]
    before, began = _processors(service), time.perf_counter()
    memory = asyncio.create_task(_memory(service, until))
    await asyncio.gather(
        *(client.poll(pause, until) for client in clients),
        *(watch(service.url, running, until, seen) for _ in range(streams)),
    )
    for client in clients:
        client.connection.close()
    megabytes = await memory
    took = time.perf_counter() - began
    used = {role: round((spent - before[role]) / took, 2) for role, spent in _processors(service).items()}
    everything = [taken for of_route in seen.latencies.values() for taken in of_route]
    parts = [
        statistics.mean(part) for part in (megabytes[: len(megabytes) // 10 + 1], megabytes[-len(megabytes) // 10 :])
    ]
    return {
        "polls": {name: percentiles(taken) for name, taken in [*sorted(seen.latencies.items()), ("all", everything)]},
        "polls_a_second": round(len(everything) / took, 1),
        "statuses": dict(sorted(seen.statuses.items())),
        "errors": +seen.errors,
        "streams": {"open": streams, "events": seen.events},
        "api_mb": {
            "first_tenth": round(parts[0], 1),
            "middle": round(megabytes[len(megabytes) // 2], 1),
            "last_tenth": round(parts[1], 1),
            "most": round(max(megabytes), 1),
        },
        "cores_used": used,
    }


def percentiles(taken: list[float]) -> dict[str, float]:
    """Count, and in ms p50, p95, p99 and the largest."""
    cuts = statistics.quantiles(taken, n=100, method="inclusive")
    named = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(taken)}
    return {"count": len(taken), **{name: round(value, 1) for name, value in named.items()}}


async def _memory(service: Service, until: float) -> list[float]:
    [api] = service.processes("api")
    found = []
    while time.perf_counter() < until:
        found.append(api.memory_info().rss / 2**20)
        await asyncio.sleep(0.5)
    return found


def _processors(service: Service) -> dict[str, float]:
    """Processor seconds spent so far by role; `client` is this process."""
    roles = {role: service.processes(role) for role in ("api", "worker", "trainer")} | {"client": [psutil.Process()]}
    times = {role: [process.cpu_times() for process in found] for role, found in roles.items()}
    return {role: sum(spent.user + spent.system for spent in found) for role, found in times.items()}


def run(url: str, *, seconds: float, rate: float, streams: int, **environment: str) -> dict[str, Any]:
    """Load a service on a filled database while a search trains; the search is deleted afterwards."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder), BREGNAS_DATABASE_URL=url, **environment) as service,
    ):
        # The demo's superstructure, so that every core is wanted.
        search = service.post(
            superstructure={"kind": "mlp", "widths": [784] * 5},
            data="mnist-5k",
            budget={"epochs": 100_000, "batch_size": 128},
        )["id"]
        service.wait(search, lambda s: (s["progress"]["epoch"] or 0) >= 1)
        figures = asyncio.run(load(service, search, seconds=seconds, rate=rate, streams=streams))
        service.client.post(f"/v1/searches/{search}/cancel").raise_for_status()
        epochs = service.wait_over(search)["progress"]["epoch"]
        service.client.delete(f"/v1/searches/{search}").raise_for_status()
    return {**figures, "epochs_trained": epochs}


def main() -> None:
    """Fill, load, print."""
    parser = argparse.ArgumentParser(description="Polls and streams on a full database.")
    parser.add_argument(
        "--database", default=f"sqlite:///{tempfile.gettempdir()}/bregnas-load.db", help="its URL; kept"
    )
    parser.add_argument("--searches", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--rate", type=float, default=200, help="polls a second")
    parser.add_argument("--streams", type=int, default=20)
    given = parser.parse_args()
    rows = fill(given.database, given.searches)
    busy = psutil.cpu_percent(1.0)
    figures = run(given.database, seconds=given.seconds, rate=given.rate, streams=given.streams, **_DEFAULTS)
    for name, figure in figures["polls"].items():
        print(f"{name:16} {figure}")
    about = {"rows": rows, "database": given.database.partition(":")[0], "busy_before_percent": busy}
    print(json.dumps({"load": {**about, **figures, "machine": description()}}))


if __name__ == "__main__":
    main()
