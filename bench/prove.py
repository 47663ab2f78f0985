"""Many searches, three workers, and kill -9 of API, workers, trainers (and PostgreSQL) at random moments.

python -m bench.prove [--searches 20] [--kills 100] [--database URL] [--restart-database 'COMMAND']

Posts carry an `Idempotency-Key` and are sent until they are answered. Prints what was killed, and at the end: lost,
published twice, stuck, failed, and whether every search found what an undisturbed one finds, byte for byte.
"""

import argparse
import json
import random
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from bench.machine import description
from tests.service import SPEC, Service, serving

OVER = ("succeeded", "failed", "cancelled")
SEEDS = (3, 4)
EXACT = ("model.safetensors", "history.json", "architecture.json", "samples.safetensors")


def main() -> None:
    """Run, kill, compare, print."""
    given = _arguments()
    dice = random.Random(given.dice)
    environment = {"BREGNAS_LOG_LEVEL": "warning", "BREGNAS_CHECKPOINT_COPY_S": "1"}
    if given.database:
        environment["BREGNAS_DATABASE_URL"] = given.database
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "home", given.workers, **environment) as service,
    ):
        calm = {seed: _hashes(service, service.wait_over(_post(service, seed, f"calm-{seed}")["id"])) for seed in SEEDS}
        began = time.monotonic()
        # Before the posts end: a killed API has to lose none of them.
        posted: dict[str, int] = {}
        posting = threading.Thread(target=_post_all, args=(service, given.searches, posted))
        posting.start()
        killed = _kill(service, dice, given, lambda: not posting.is_alive() and _all_over(service, posted))
        posting.join()
        ends = _ends(service, posted, given.patience)
        figures = {
            "searches": given.searches,
            "workers": given.workers,
            "killed": dict(killed),
            "accepted": len(posted),
            "listed_twice": _listed(service) - len(SEEDS) - len(posted),
            "lost": sum(search is None for search in ends.values()),
            "stuck": sum(search is not None and search["status"] not in OVER for search in ends.values()),
            "failed": Counter(search["error"]["code"] for search in ends.values() if search and search["error"]),
            "published_twice": sum(_published(service, search_id) > 1 for search_id in posted),
            "attempts": sum(search["attempt"] for search in ends.values() if search),
            "same_as_undisturbed": sum(
                _hashes(service, search) == calm[posted[search_id]] for search_id, search in ends.items() if search
            ),
            "seconds": round(time.monotonic() - began, 1),
            "database": (given.database or "sqlite").partition(":")[0],
            "machine": description(),
        }
    print(json.dumps({"prove": figures}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The long fault run.")
    parser.add_argument("--searches", type=int, default=6)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--gap", type=float, default=6.0, help="mean seconds between two kills")
    parser.add_argument("--patience", type=float, default=600, help="seconds for all to end after the last kill")
    parser.add_argument("--database", help="its URL; SQLite where none is given")
    parser.add_argument("--restart-database", help="a command that ends the database hard and starts it again")
    parser.add_argument("--dice", type=int, default=11)
    return parser.parse_args()


def _asked(service: Service, method: str, path: str, **how: Any) -> httpx.Response:
    """Ask until there is an answer: the API may be dead in this moment, or its database."""
    deadline = time.monotonic() + 120
    while True:
        try:
            answer = service.client.request(method, path, **how)
            if answer.status_code < 500 or time.monotonic() > deadline:
                return answer
        except httpx.TransportError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


def _post(service: Service, seed: int, key: str) -> dict[str, Any]:
    answer = _asked(service, "POST", "/v1/searches", json={**SPEC, "seed": seed}, headers={"Idempotency-Key": key})
    assert answer.status_code == 202, answer.text
    made: dict[str, Any] = answer.json()
    return made


def _post_all(service: Service, count: int, posted: dict[str, int]) -> None:
    for number in range(count):
        seed = SEEDS[number % len(SEEDS)]
        posted[_post(service, seed, f"search-{number}")["id"]] = seed


def _kill(service: Service, dice: random.Random, given: argparse.Namespace, done: Callable[[], bool]) -> "Counter[str]":
    killed: Counter[str] = Counter()
    roles = ["api", "worker", "worker", "trainer", "trainer", *(["database"] if given.restart_database else [])]
    while killed.total() < given.kills and not done():
        time.sleep(dice.uniform(0.2, 1.8) * given.gap)
        role = dice.choice(roles)
        if role == "database":
            subprocess.run(given.restart_database, shell=True, check=True)
            killed[role] += 1
        elif service.kill(role, dice):
            killed[role] += 1
        print(json.dumps({"killed": dict(killed)}), flush=True)
    return killed


def _ends(service: Service, posted: dict[str, int], patience: float) -> dict[str, dict[str, Any] | None]:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and not _all_over(service, posted):
        time.sleep(0.5)
    return {search_id: _get(service, search_id) for search_id in posted}


def _get(service: Service, search_id: str) -> dict[str, Any] | None:
    answer = _asked(service, "GET", f"/v1/searches/{search_id}")
    return answer.json() if answer.status_code == 200 else None


def _all_over(service: Service, posted: dict[str, int]) -> bool:
    found = [_get(service, search_id) for search_id in list(posted)]
    return all(search is None or search["status"] in OVER for search in found)


def _listed(service: Service) -> int:
    return len(_asked(service, "GET", "/v1/searches", params={"limit": 100}).json()["data"])


def _published(service: Service, search_id: str) -> int:
    count, after = 0, {}
    while True:
        page = _asked(service, "GET", f"/v1/searches/{search_id}/events", params={"limit": 100, **after}).json()
        count += sum(event["kind"] == "succeeded" for event in page["data"])
        if not page["has_more"]:
            return count
        after = {"after": page["last_id"]}


def _hashes(service: Service, search: dict[str, Any]) -> dict[str, str]:
    listed = _asked(service, "GET", f"/v1/searches/{search['id']}/artifacts").json()["data"]
    return {artifact["name"]: artifact["sha256"] for artifact in listed if artifact["name"] in EXACT}


if __name__ == "__main__":
    main()
