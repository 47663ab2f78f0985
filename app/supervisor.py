"""Who keeps the API and the workers running? One process that starts them, restarts them, and ends with them.

It holds the listening socket itself: while the API restarts, callers wait instead of being refused. Its children read
a pipe from it and end when that closes, so that not even `kill -9` of the supervisor leaves one behind. They are in
sessions of their own: Ctrl-C reaches the supervisor alone, which then ends them in order.
"""

import errno
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

import structlog

GRACE_S = 50.0
"""What children have to end by themselves before they are killed; a second Ctrl-C kills at once.

More than a worker takes at most: it writes a last checkpoint, copies it and hands its search back."""

_LOOK_S = 0.1
_STEADY_S = 10.0  # who lived that long did not fail at its start: it is restarted at once
_LONGEST_WAIT_S = 30.0

_log = structlog.get_logger("supervisor")


@dataclass(frozen=True)
class Command:
    """How to start a child."""

    argv: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    """In addition to the supervisor's own."""
    descriptors: Sequence[int] = ()
    """Open files that it inherits."""


class Child:
    """One role, and the process that fills it at present; `command` is asked anew for each."""

    def __init__(self, name: str, command: Callable[[], Command]) -> None:
        self.name = name
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.failures = 0
        self.started_at = 0.0
        self.start_at = 0.0

    def start(self) -> None:
        """Start the process; it ends when its standard input closes, as the supervisor's end does by itself."""
        command = self.command()
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            command.argv,
            stdin=subprocess.PIPE,
            env={**os.environ, **command.environment},
            pass_fds=command.descriptors,
            start_new_session=True,
        )
        _log.info("started", child=self.name, pid=self.process.pid)

    def watch(self) -> int | None:
        """Restart where due; the exit status in the moment where the process is found dead."""
        if self.process is None:
            if time.monotonic() >= self.start_at:
                self.start()
            return None
        status = self.process.poll()
        if status is None:
            return None
        self.release()
        lived = time.monotonic() - self.started_at
        self.failures = 0 if lived > _STEADY_S else self.failures + 1
        wait = min(_LONGEST_WAIT_S, 0.25 * 2**self.failures) if self.failures else 0.0
        self.start_at = time.monotonic() + wait
        _log.error("died", child=self.name, status=status, lived_s=round(lived, 1), restart_in_s=wait)
        return status

    def release(self) -> None:
        """Close the pipe of a process that ended."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        self.process = None


class Supervisor:
    """Keeps `children` running until SIGINT, SIGTERM or SIGHUP.

    `is_ready` is asked until it says yes, then `ready` is called once. `first` must be ready before it is worth to
    restart it: where it dies earlier, all ends.
    """

    def __init__(
        self,
        first: Child,
        others: Sequence[Child],
        is_ready: Callable[[], bool],
        ready: Callable[[], None],
        grace_s: float = GRACE_S,
    ) -> None:
        self.first = first
        self.children = [first, *others]
        self.is_ready = is_ready
        self.ready = ready
        self.grace_s = grace_s
        self._signals = 0

    def run(self) -> int:
        """Run until told to end; the exit status."""
        before = {number: signal.signal(number, self._signalled) for number in _SIGNALS}
        try:
            return self._keep_running()
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1  # nothing else: this runs in the middle of anything

    def _keep_running(self) -> int:
        announced = False
        while not self._signals:
            for child in self.children:
                status = child.watch()
                if status is not None and child is self.first and not announced:
                    _log.error("gave_up", child=child.name, reason="it ended before it answered", status=status)
                    return 1
            if not announced and self.is_ready():
                announced = True
                self.ready()
            time.sleep(_LOOK_S)
        return 0

    def _end(self) -> None:
        running = [child for child in self.children if child.process is not None]
        for child in running:
            assert child.process is not None
            child.process.terminate()
        told = self._signals
        deadline = time.monotonic() + self.grace_s
        for child in running:
            process = child.process
            assert process is not None
            while process.poll() is None and time.monotonic() < deadline and self._signals == told:
                time.sleep(_LOOK_S / 2)
            if process.poll() is None:
                _log.warning("killed", child=child.name, pid=process.pid)
                process.kill()
                process.wait()
            child.release()


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def listen(host: str, port: int) -> socket.socket:
    """Listen at an address; `ValueError` says what to change where that cannot be."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=512)
    except socket.gaierror as error:
        raise ValueError(f"HOST={host} is no address: {error.strerror}") from error
    except OSError as error:
        advice = {
            errno.EADDRINUSE: f"port {port} of {host} is taken by another program; end it, or choose another: PORT=…",
            errno.EACCES: f"port {port} needs the rights of an administrator; choose one above 1023: PORT=…",
            errno.EADDRNOTAVAIL: f"HOST={host} is no address of this machine; 127.0.0.1 is this machine alone",
        }
        raise ValueError(advice.get(error.errno or 0, f"cannot listen at {host}:{port}: {error.strerror}")) from error


def address(listening: socket.socket) -> str:
    """The URL of a listening socket as a browser on this machine takes it."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def answers(url: str) -> bool:
    """Whether the API behind `url` says that it is alive."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=1)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
