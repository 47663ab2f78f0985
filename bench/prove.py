"""Many searches, three workers, and kill -9 of API, workers, trainers (and PostgreSQL) at random moments.

python -m bench.prove [--searches 20] [--kills 100] [--postgres | --database URL]

Posts carry an `Idempotency-Key` and are sent until they are answered; more are posted while there are kills to come.
Three losses without a batch of progress between them end a search by design, and a storm of kills can do that: so a
kill that would be a search's third is dealt to another process, and counted as spared (`--merciless` spares none).
Prints every kill, and at the end: lost, published twice, stuck, failed (each with its losses), and whether every
search found what an undisturbed one finds, byte for byte. Exit status 1 where any of these is not as promised.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy import or_, select

from bench.machine import description
from store import database, tables
from store.moves import LIMIT
from tests.faults.cluster import Cluster
from tests.service import SPEC, Service, serving

OVER = ("succeeded", "failed", "cancelled")
SEEDS = (3, 4)
EXACT = ("model.safetensors", "history.json", "architecture.json", "samples.safetensors")
LOSSES = ("moved", "trainer_died", "failed")


def main() -> None:
    """Run, kill, compare, print."""
    given = _arguments()
    environment = {"BREGNAS_LOG_LEVEL": "warning", "BREGNAS_CHECKPOINT_COPY_S": "1"}
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster()) if given.postgres else None
        url = cluster.url if cluster else given.database
        if url:
            environment["BREGNAS_DATABASE_URL"] = url
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        service = stack.enter_context(serving(folder / "home", given.workers, **environment))
        run = Run(service, given, cluster, url or database.default_url(folder / "home"))
        calm = {}
        for seed in SEEDS:
            calm[seed] = run.hashes(run.service.wait_over(run.post(seed, f"calm-{seed}"), timeout=600))
        assert all(set(found) == set(EXACT) for found in calm.values())
        began = time.monotonic()
        poster = threading.Thread(target=run.keep_posting)
        poster.start()
        killed = run.kill()
        kills_s = time.monotonic() - began
        poster.join()
        ends = run.ends()
        listed = run.listed()
    done = [search for search in ends.values() if search]
    figures: dict[str, Any] = {
        "searches": len(ends),
        "workers": given.workers,
        "killed": dict(killed),
        "kills": killed.total(),
        "spared": run.spared,
        "lost": sum(search is None for search in ends.values()),
        "posted_twice": len(listed) - len(SEEDS) - len(ends),
        "published_twice": sum(published > 1 for _, _, published in run.found.values()),
        "stuck": sum(search["status"] not in OVER for search in done),
        "failed": Counter(search["error"]["code"] for search in done if search["error"]),
        "different": sum(
            run.found[s["id"]][0] != calm[run.posted[s["id"]]] for s in done if s["status"] == "succeeded"
        ),
        "succeeded_as_undisturbed": sum(run.found[s["id"]][0] == calm[run.posted[s["id"]]] for s in done),
        "attempts": sum(search["attempt"] for search in done),
        "gap_s": given.gap,
        "dice": given.dice,
        "kills_seconds": round(kills_s, 1),
        "seconds": round(time.monotonic() - began, 1),
        "database": (url or "sqlite").partition(":")[0],
        "machine": description(),
    }
    for search in done:
        if search["error"]:
            print(json.dumps({"failed": search["id"], "error": search["error"], "losses": run.found[search["id"]][1]}))
    print(json.dumps({"prove": figures}))
    promised = ("lost", "posted_twice", "published_twice", "stuck", "different")
    sys.exit(any(figures[name] for name in promised) or figures["failed"].total() > 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The long fault run.")
    parser.add_argument("--searches", type=int, default=6, help="at least so many; more while there are kills to come")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--gap", type=float, default=6.0, help="mean seconds between two kills")
    parser.add_argument("--epochs", type=int, default=SPEC["budget"]["epochs"], help="of each search")
    parser.add_argument("--patience", type=float, default=600, help="seconds for all to end after the last kill")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--database", help="its URL; SQLite where none is given")
    which.add_argument("--postgres", action="store_true", help="a PostgreSQL started for this, and killed too")
    parser.add_argument("--merciless", action="store_true", help="kill also what ends a search by design")
    parser.add_argument("--dice", type=int, default=11)
    return parser.parse_args()


class Run:
    """What is posted, killed and found in the end."""

    def __init__(self, service: Service, given: argparse.Namespace, cluster: Cluster | None, url: str) -> None:
        self.service, self.given, self.cluster = service, given, cluster
        self.engine = database.connect(url)
        self.spared = 0
        self.posted: dict[str, int] = {}
        self.over: set[str] = set()
        self.found: dict[str, tuple[dict[str, str], list[str], int]] = {}
        self.killing = True

    def post(self, seed: int, key: str) -> str:
        """Post a search until it is answered; its id."""
        spec = {**SPEC, "budget": {**SPEC["budget"], "epochs": self.given.epochs}, "seed": seed}
        answer = self.asked("POST", "/v1/searches", json=spec, headers={"Idempotency-Key": key})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def keep_posting(self) -> None:
        """Post what is to be posted at once, and then as many as are needed for the workers never to be idle."""
        number = 0
        while number < self.given.searches or self.killing:
            if number >= self.given.searches and self.waiting() > self.given.workers:
                time.sleep(1)
                continue
            seed = SEEDS[number % len(SEEDS)]
            self.posted[self.post(seed, f"search-{number}")] = seed
            number += 1

    def kill(self) -> "Counter[str]":
        """Kill at random moments, as often as is asked for."""
        dice, killed = random.Random(self.given.dice), Counter[str]()
        roles = ["api", "worker", "worker", "trainer", "trainer", *(["database"] if self.cluster else [])]
        began = time.monotonic()
        while killed.total() < self.given.kills:
            time.sleep(dice.uniform(0.2, 1.8) * self.given.gap)
            role = dice.choice(roles)
            if role == "database":
                assert self.cluster is not None
                self.cluster.restart_hard(dice.uniform(0, 2))
            elif not self.kill_one(role, dice):
                continue
            killed[role] += 1
            print(
                json.dumps({"kill": killed.total(), "role": role, "s": round(time.monotonic() - began, 1)}), flush=True
            )
        self.killing = False
        return killed

    def kill_one(self, role: str, dice: random.Random) -> bool:
        """kill -9 any process of a role whose loss ends no search by design; False where there is none."""
        found = self.service.processes(role)
        victims = found if self.given.merciless or role == "api" else [one for one in found if not self.is_third(one)]
        self.spared += bool(found) and not victims
        if not victims:
            return False
        try:
            dice.choice(victims).kill()
        except psutil.NoSuchProcess:
            return False
        return True

    def is_third(self, process: psutil.Process) -> bool:
        """Whether a worker or trainer has a search that was lost twice without progress."""
        s, a = tables.searches, tables.attempts
        try:
            worker = process.environ().get("BREGNAS_WORKER_ID", "")
            trained = Path(process.cmdline()[-1]).parent.name
        except psutil.Error:
            return False
        endangered = select(s.c.id).join(a, (a.c.search == s.c.number) & (a.c.attempt == s.c.attempt))
        endangered = endangered.where(s.c.stalls >= LIMIT - 1, or_(s.c.id == trained, a.c.worker == worker))
        with database.read(self.engine) as tx:
            return tx.execute(endangered).first() is not None

    def waiting(self) -> int:
        """How many searches are not over."""
        for search_id in set(self.posted) - self.over:
            search = self.get(search_id)
            if search is None or search["status"] in OVER:
                self.over.add(search_id)
        return len(self.posted) - len(self.over)

    def ends(self) -> dict[str, dict[str, Any] | None]:
        """What has become of every search, and what it has published."""
        deadline = time.monotonic() + self.given.patience
        while time.monotonic() < deadline and self.waiting():
            time.sleep(0.5)
        found = {search_id: self.get(search_id) for search_id in self.posted}
        for search_id, search in found.items():
            kinds = self.kinds(search_id) if search else []
            losses = [f"{kind} {at}" for kind, at in kinds if kind in (*LOSSES, "starting", "started")]
            published = sum(kind == "succeeded" for kind, _ in kinds)
            self.found[search_id] = (self.hashes(search) if search else {}, losses, published)
        return found

    def get(self, search_id: str) -> dict[str, Any] | None:
        """A search as it is now."""
        answer = self.asked("GET", f"/v1/searches/{search_id}")
        return answer.json() if answer.status_code == 200 else None

    def listed(self) -> list[str]:
        """The ids of all searches that the service has."""
        return [row["id"] for row in self.pages("/v1/searches")]

    def kinds(self, search_id: str) -> list[tuple[str, str]]:
        """The events of a search, each with its time."""
        return [(event["kind"], event["created_at"]) for event in self.pages(f"/v1/searches/{search_id}/events")]

    def hashes(self, search: dict[str, Any]) -> dict[str, str]:
        """The hashes of what must be the same however often a search was interrupted."""
        listed = self.asked("GET", f"/v1/searches/{search['id']}/artifacts").json()["data"]
        return {artifact["name"]: artifact["sha256"] for artifact in listed if artifact["name"] in EXACT}

    def pages(self, path: str) -> list[dict[str, Any]]:
        """All of a list."""
        found: list[dict[str, Any]] = []
        after: dict[str, Any] = {}
        while True:
            page = self.asked("GET", path, params={"limit": 100, **after}).json()
            found += page["data"]
            if not page["has_more"]:
                return found
            after = {"after": page["last_id"]}

    def asked(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Ask until there is an answer: the API may be dead in this moment, or its database."""
        deadline = time.monotonic() + 120
        while True:
            try:
                answer = self.service.client.request(method, path, **how)
                if answer.status_code < 500 or time.monotonic() > deadline:
                    return answer
            except httpx.TransportError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)


if __name__ == "__main__":
    main()
