"""kill -9 of worker, trainer or both at random epochs, and the result beside that of an undisturbed run.

python -m bench.kills [KILLS]
"""

import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.machine import description
from tests.service import Service, serving

OVER = ("succeeded", "failed", "cancelled")
ROLES = (("worker",), ("trainer",), ("worker", "trainer"))
LONG = {"budget": {"epochs": 90, "batch_size": 32}, "finetune": {"epochs": 10}, "compare": ["scratch"]}


def _epochs(service: Service, search: dict[str, Any]) -> int:
    return len(service.client.get(f"/v1/searches/{search['id']}/layers").raise_for_status().json()["epochs"])


def _hashes(service: Service, search: dict[str, Any]) -> dict[str, str]:
    listed = service.client.get(f"/v1/searches/{search['id']}/artifacts").raise_for_status().json()["data"]
    return {artifact["name"]: artifact["sha256"] for artifact in listed}


def main() -> None:
    """Kill, wait for the end, compare, print."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    dice = random.Random(11)
    done = []
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(Path(folder) / "home", BREGNAS_LOG_LEVEL="warning") as service,
    ):
        calm = service.wait_over(service.post(**LONG)["id"], timeout=600)
        search = service.post(**LONG)
        for kill in range(kills):
            # A kill waits for an epoch that was not reached before: three losses without one are a failure by design.
            seen = _epochs(service, search)
            service.wait(search["id"], lambda s, n=seen: s["status"] in OVER or _epochs(service, s) > n)
            time.sleep(dice.uniform(0, 0.5))
            at = service.get(search["id"])
            if at["status"] != "running":
                break
            for role in ROLES[kill % 3]:
                service.kill(role)
            done.append({"killed": "+".join(ROLES[kill % 3]), **at["progress"]})
            print(done[-1])
        over = service.wait_over(search["id"], timeout=600)
        ours, theirs = _hashes(service, over), _hashes(service, calm)
        same = [name for name in theirs if ours.get(name) == theirs[name]]
    figures = {
        "kills": len(done),
        "status": over["status"],
        "attempts": over["attempt"],
        "same_widths": over["result"]["widths"] == calm["result"]["widths"],
        "same_weights": "model.safetensors" in same,
        "same_files": same,
        "machine": description(),
    }
    print(json.dumps({"kills": figures}))


if __name__ == "__main__":
    main()
