"""Several processes that run what is missing of a list of cases, and one file that their records go to."""

import functools
import multiprocessing
import queue
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

import datasets
from bench.machine import description
from bench.records import Record, append, read
from worker.failure import Stopped
from worker.samples import Samples

Load = Callable[[str], Samples]


class Case(Protocol):
    """Something to measure. Its key changes with everything that the result follows from."""

    @property
    def name(self) -> str:
        """For people, and for the tables."""

    @property
    def key(self) -> str:
        """Two cases with one key have one result."""

    def run(self, load: Load, beside: Path) -> Record:
        """Measure it; what is unfinished is kept in `beside`. Raises Stopped on SIGTERM or Ctrl-C."""


def run(cases: Sequence[Case], out: Path, data_root: Path | None, jobs: int, threads: int) -> bool:
    """Run the cases that have no record in `out`, the first ones first; returns whether all are there.

    `threads` are those of each process: the same seed gives the same result for the same number of them.
    """
    there = {record["key"] for record in read(out)}
    missing = {case.key: case for case in cases if case.key not in there}
    context = multiprocessing.get_context("spawn")
    todo, done = context.Queue(), context.Queue()
    todo.cancel_join_thread()  # what nobody took is not waited for
    for case in missing.values():
        todo.put(case)
    for _ in range(jobs):
        todo.put(None)
    processes = [context.Process(target=_work, args=(todo, done, data_root, out.parent, threads)) for _ in range(jobs)]
    for process in processes:
        process.start()
    before = signal.signal(signal.SIGTERM, lambda *_: [process.terminate() for process in processes])
    try:
        return len(missing) == _collect(done, out, processes)
    finally:
        signal.signal(signal.SIGTERM, before)


def _collect(done: Any, out: Path, processes: Sequence[Any]) -> int:
    """Append records as they come, until nobody is left to bring one; returns how many came."""
    came = 0
    while True:
        alive = any(process.is_alive() for process in processes)  # asked first: who has ended has told all
        try:
            record = done.get(timeout=1.0)
        except KeyboardInterrupt:
            continue  # the processes were told as well
        except queue.Empty:
            if not alive:
                return came
            continue
        if "left out" in record:
            print(record, flush=True)
            continue
        append(out, record)
        came += 1
        shown = ("target", "winner", "failed")
        print(record["case"], {name: record[name] for name in shown if name in record}, flush=True)


def _work(todo: Any, done: Any, data_root: Path | None, beside: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    load = functools.lru_cache(2)(lambda name: Samples(datasets.load(name, data_root)))
    machine = description() | {"threads": threads}
    while (case := todo.get()) is not None:
        try:
            done.put({"case": case.name, "key": case.key} | case.run(load, beside) | {"machine": machine})
        except datasets.DataError as error:
            done.put({"case": case.name, "left out": str(error)})
        except (Stopped, KeyboardInterrupt):
            break
