"""A PostgreSQL of one's own, in a folder and on a port of its own: stopped, killed and started at will."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil


def programs() -> Path | None:
    """The folder of initdb and pg_ctl, which Debian leaves out of the PATH; None where there is no PostgreSQL."""
    if found := shutil.which("pg_ctl"):
        return Path(found).parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)


class Cluster:
    """Runs while the block does. `url` names its database; `environment` is asked, with its folder, for additions."""

    def __init__(self, environment: Callable[[Path], dict[str, str]] = lambda folder: {}) -> None:
        found = programs()
        assert found is not None, "PostgreSQL is not installed"
        self.programs = found
        self.folder = Path(tempfile.mkdtemp(prefix="cluster-"))
        self.environment = environment(self.folder)
        self.user: str | None = None
        if os.geteuid() == 0:  # it refuses to be root
            known = {entry.pw_name for entry in pwd.getpwall()}
            self.user = "postgres" if "postgres" in known else "nobody"
            shutil.chown(self.folder, self.user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"postgresql://bregnas@127.0.0.1:{self.port}/postgres"
        self._run(
            "initdb", "-U", "bregnas", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", "-D", str(self.data)
        )

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if (self.data / "postmaster.pid").exists():
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        settings = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
        self._run("pg_ctl", "-D", str(self.data), "-l", str(self.folder / "log"), "-o", settings, "-w", "start")

    def stop(self) -> None:
        """End it without a word to its clients; nothing committed is lost."""
        self._run("pg_ctl", "-D", str(self.data), "-m", "immediate", "-w", "stop")

    def kill(self) -> None:
        """kill -9 of the postmaster and all its children."""
        postmaster = psutil.Process(int((self.data / "postmaster.pid").read_text().split()[0]))
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(family, timeout=30)

    def restart_hard(self, away_s: float = 0.0) -> None:
        """Kill it, leave it dead for a while, start it again."""
        self.kill()
        time.sleep(away_s)
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        how: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "cwd": self.folder}
        how["env"] = {**os.environ, **(self.environment if program == "pg_ctl" else {})}
        who = {"user": self.user, "group": pwd.getpwnam(self.user).pw_gid, "extra_groups": []} if self.user else {}
        subprocess.run([str(self.programs / program), *arguments], check=True, timeout=60, **how, **who)
