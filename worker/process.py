"""The trainer as its worker sees it: a child process that talks, and that can be ended."""

import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

from pydantic import ValidationError

from worker.job import Folder
from worker.progress import AnyMessage, parse

# All that a trainer inherits. Nothing in here is a secret, and nothing names the database.
_ALLOWED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES")
_KEPT = 10_000  # messages that nobody has taken yet (the database is away); then the trainer waits
_ALLOWED_PREFIXES = ("OPENBLAS_", "MKL_", "KMP_", "LD_", "COVERAGE_", "PYTHON")


class TrainerProcess:
    """A running trainer. It ends by itself when this process dies: its standard input closes."""

    def __init__(self, folder: Folder, threads: int) -> None:
        self._messages: queue.Queue[AnyMessage] = queue.Queue(_KEPT)
        self._closed = threading.Event()
        self._log = folder.log.open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "worker.trainer", str(folder.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=folder.path,
            env=_environment(threads),
            start_new_session=True,  # a Ctrl-C in the terminal is the worker's to handle
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def next(self, timeout: float) -> AnyMessage | None:
        """The next message, or None where there was none within `timeout` seconds, or the trainer has ended."""
        try:
            return self._messages.get(timeout=timeout)
        except queue.Empty:
            return None

    def ended(self) -> bool:
        """Whether the process is gone and everything that it said has been taken."""
        return self._process.poll() is not None and not self._reader.is_alive() and self._messages.empty()

    def status(self) -> str:
        """How the process ended, for people."""
        code = self._process.wait()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"

    def stop(self, grace_s: float) -> None:
        """Ask for a checkpoint and an end; after `grace_s` seconds end it anyway."""
        self._process.terminate()
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it now, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End it, if it still runs, and let go of its pipes."""
        if self._process.poll() is None:
            self.kill()
        self._closed.set()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._log):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                self._keep(parse(line))
            except ValidationError:
                # Torn by a kill in the middle of a line, or printed past our redirection: it belongs in the log.
                self._log.write(line)
                self._log.flush()

    def _keep(self, message: AnyMessage) -> None:
        while not self._closed.is_set():
            try:
                return self._messages.put(message, timeout=0.5)
            except queue.Full:
                continue


def tail(path: Path, lines: int = 3) -> str:
    """The last lines of a log, or nothing where there is none."""
    try:
        return " | ".join(path.read_text(errors="replace").split("\n")[-lines - 1 :]).strip(" |")
    except FileNotFoundError:
        return ""


def _environment(threads: int) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in _ALLOWED or k.startswith(_ALLOWED_PREFIXES)}
    # Threads that wait by spinning for long make a step a hundred times slower as soon as anybody else wants a core;
    # ones that never spin make it a third slower on an idle machine.
    return {**kept, "OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": "1000"}
