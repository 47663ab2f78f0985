"""Workers of several machines without an API: each has a home of its own; database and artifact store are shared."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Engine

from spec import SearchSpec
from store import database, searches
from store.artifacts import Artifacts
from store.checkpoints import last_checkpoint

from ..service import SPEC

LAYERS = [searches.Layer(f"hidden{n}", width) for n, width in enumerate((48, 40, 48), 1)]
LAYERS.append(searches.Layer("head", 64, searched=False))
EXACT = ("model.safetensors", "history.json", "architecture.json", "samples.safetensors")


class Machines:
    """A database, an artifact store, and the workers started on them."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.engine: Engine = database.connect(url)
        self.artifacts = Artifacts(folder / "artifacts")
        self.started: list[subprocess.Popen[bytes]] = []

    def post(self, **changes: Any) -> str:
        spec = SearchSpec.model_validate_json(json.dumps({**SPEC, **changes}))
        named = {"superstructure": "mlp", "task": "denoise", "data": "digits", "seed": spec.seed, "queue": "cpu"}
        with database.write(self.engine) as tx:
            return searches.create(
                tx, name=None, spec=spec.model_dump(mode="json"), metadata={}, layers=LAYERS, **named
            ).id

    def start(self, home: str, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a worker on a machine; ended at the end of the test."""
        settings = {
            "BREGNAS_HOME": str(self.folder / home), "BREGNAS_DATABASE_URL": self.url,
            "BREGNAS_ARTIFACTS": str(self.folder / "artifacts"), "BREGNAS_THREADS": "1",
            "BREGNAS_HEARTBEAT_S": "0.5", "BREGNAS_SILENT_S": "3", "BREGNAS_CHECKPOINT_S": "0.2",
            "BREGNAS_CHECKPOINT_COPY_S": "0.3",
        }  # fmt: skip
        kept = {name: value for name, value in os.environ.items() if not name.startswith("BREGNAS_")}
        with (self.folder / f"{home}.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "bregnas.cli", "worker"],
                env={**kept, **settings, **environment}, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.started.append(worker)
        return worker

    def get(self, search_id: str) -> searches.Search:
        with database.read(self.engine) as tx:
            return searches.get(tx, search_id)

    def do(self, deed: Callable[..., searches.Search], search_id: str) -> searches.Search:
        with database.write(self.engine) as tx:
            return deed(tx, search_id)

    def wait(self, search_id: str, until: Callable[[searches.Search], bool], timeout: float = 90) -> searches.Search:
        deadline = time.monotonic() + timeout
        while not until(found := self.get(search_id)):
            logs = "\n".join(path.read_text()[-3000:] for path in self.folder.glob("*.log"))
            assert time.monotonic() < deadline, f"{found.state} {found.stage} {found.epoch}\n{logs}"
            time.sleep(0.05)
        return found

    def wait_state(self, search_id: str, *states: str, timeout: float = 90) -> searches.Search:
        return self.wait(search_id, lambda found: found.state in states, timeout)

    def bytes_of(self, search_id: str) -> dict[str, str]:
        """Hashes of what must be the same however often a search was interrupted."""
        with database.read(self.engine) as tx:
            return {a.name: a.sha256 for a in searches.artifacts(tx, search_id) if a.name in EXACT}

    def kinds(self, search_id: str) -> list[str]:
        with database.read(self.engine) as tx:
            return [event.kind for event in searches.events(tx, search_id, limit=10_000).items]

    def told(self, search_id: str, kind: str) -> list[dict[str, Any]]:
        """What the events of a kind say."""
        with database.read(self.engine) as tx:
            return [event.data for event in searches.events(tx, search_id, limit=10_000).items if event.kind == kind]

    def trained_once(self, search_id: str) -> bool:
        """Whether no epoch was told twice, of all that the search has."""
        told = [(data["stage"], data["epoch"]) for data in self.told(search_id, "epoch")]
        assert sum(stage == "search" for stage, _ in told) >= 12
        return len(told) == len(set(told))

    def copy_of(self, search_id: str) -> str | None:
        """The key of the copy of the newest checkpoint."""
        found = last_checkpoint(self.engine, search_id)
        return None if found is None else found.key

    def trainers(self, worker: "subprocess.Popen[bytes]") -> list[psutil.Process]:
        return [child for child in psutil.Process(worker.pid).children() if "worker.trainer" in child.cmdline()]

    def close(self) -> None:
        for worker in self.started:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()
        self.engine.dispose()
