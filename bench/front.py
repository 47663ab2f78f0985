"""Does one search give the whole front? The path of a search to 20 %, against searches for each of its sizes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.pool import Load
from bench.records import Record, key
from bench.search import asked_to_stop
from bench.sizes import search, whole
from spec import SearchSpec, Target
from spec.search import PathStart
from worker.outcome import Snapshot
from worker.path import to_bytes

PERCENTS: Final = (1, 2, 5, 10, 20)
EPOCHS: Final = 20


@dataclass(frozen=True)
class Front:
    """One search, the networks of its path trained on, and a search of its own for the size of each of them.

    Both are trained on for half as many epochs as the search to 20 % had.
    """

    data: str
    task: str
    seed: int

    @property
    def name(self) -> str:
        """For people."""
        return f"front {self.data} {self.task}, seed {self.seed}"

    @property
    def first(self) -> SearchSpec:
        """The search whose path is looked at."""
        how = {"compare": [], "budget": {"epochs": EPOCHS}, "finetune": {"epochs": EPOCHS // 2}, "seed": self.seed}
        return search(self.name, self.data, self.task, PERCENTS[-1], {}, **how).spec

    @property
    def key(self) -> str:
        """Names the run."""
        return "front-" + key(self.first)

    def run(self, load: Load, beside: Path) -> Record:
        """Search, go on from the path, search again. Raises Stopped on SIGTERM or Ctrl-C."""
        samples, folder = load(self.data), beside / "unfinished" / self.key
        with asked_to_stop() as stopping:
            told, outcome, _ = whole(self.first, samples, folder, stopping)
            if outcome is None:
                return told
            sizes, whole_size = [], told["superstructure"]["parameters"]
            for percent in PERCENTS:
                k = nearest(told["path"], percent / 100 * whole_size)
                row: Record = {"asked": percent, **told["path"][k]}
                row["share"] = row["parameters"] / whole_size
                row["on"] = self._train_on(k, outcome.path[k], samples, folder, stopping)
                row["separate"] = self._separate(row["parameters"], samples, folder, stopping)
                sizes.append(row)
        return {"part": "front", "data": self.data, "task": self.task, "seed": self.seed, "sizes": sizes} | {
            "epochs": EPOCHS,
            "searched": told["dense_epochs"],
        }

    def _train_on(self, k: int, snapshot: Snapshot, samples: Any, folder: Path, stopping: Any) -> Record:
        """As `POST …/path/{k}` does it."""
        start = PathStart(search="srch_" + "0" * 32, k=k)
        spec = self.first.model_copy(update={"start": start, "target": None})
        return _scores(*whole(spec, samples, folder, stopping, to_bytes(snapshot))[:2])

    def _separate(self, size: int, samples: Any, folder: Path, stopping: Any) -> Record:
        spec = self.first.model_copy(update={"target": Target(parameters=size)})
        return _scores(*whole(spec, samples, folder, stopping)[:2])


def nearest(path: list[Record], size: float) -> int:
    """The index of the network on a path that is nearest to a size, by its ratio."""
    return min(range(len(path)), key=lambda k: max(path[k]["parameters"] / size, size / path[k]["parameters"]))


def _scores(told: Record, outcome: Any) -> Record:
    if outcome is None:
        return told
    (found,) = told["candidates"]
    return {
        "parameters": found["parameters"], "widths": found["widths"], "lr": found["lr"],
        "validation": found["validation"], "test": found["test"], "searched": told["dense_epochs"],
    }  # fmt: skip
