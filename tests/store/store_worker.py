"""A worker without a trainer, as a process of its own: `store_worker.py URL WORKER QUEUE BEHAVIOUR FOLDER`.

It appends a line `start {search} {attempt}` to FOLDER/log when a search is given to it. BEHAVIOUR says what it does:

- `train`: records epochs until FOLDER/go exists, then publishes; FOLDER/hold lets it wait between two epochs
- `hang`: never calls `start`
- `break`: raises before `start`

SIGTERM stops it, as it would a real one.
"""

import signal
import sys
import threading
import time
from pathlib import Path

from store import database, queue
from store.artifacts import Artifacts
from store.attempts import Attempt, AttemptLost, NewArtifact

url, worker, device, behaviour, given = sys.argv[1:]
folder = Path(given)
engine = database.connect(url)
artifacts = Artifacts(folder / "artifacts")
stop = threading.Event()


def log(line: str) -> None:
    with (folder / "log").open("a") as file:
        file.write(line + "\n")


def run(search_id: str, number: int) -> None:
    log(f"start {search_id} {number}")
    if behaviour == "hang":
        time.sleep(600)
    if behaviour == "break":
        raise RuntimeError("broken before the start")
    attempt = Attempt(engine, search_id, number)
    try:
        train(attempt)
    except AttemptLost:
        log(f"lost {search_id} {number}")


def train(attempt: Attempt) -> None:
    attempt.start(worker)
    attempt.running()
    epoch = 0
    while not (folder / "go").exists():
        attempt.heartbeat()
        if attempt.cancel_requested():
            return attempt.cancelled()
        if stop.is_set():
            attempt.hand_back()
            return None
        epoch += 1
        attempt.record_epoch(stage="search", epoch=epoch, active=[8, 4, 8])
        time.sleep(0.1)
        while (folder / "hold").exists():
            time.sleep(0.05)
    stored = artifacts.put(attempt.search_id, attempt.attempt, f"by {worker}".encode())
    attempt.publish({"by": worker}, [NewArtifact("bundle.zip", stored, "application/zip")], bundle="bundle.zip")
    log(f"published {attempt.search_id} {attempt.attempt}")
    return None


signal.signal(signal.SIGTERM, lambda *_: stop.set())
queue.serve(url, worker, device, run, stop, grace_s=5)
log(f"stopped {worker}")
