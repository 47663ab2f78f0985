"""How does the API run in this process? uvicorn on a socket that is already open."""

import os
import socket
import sys
import threading
from contextlib import suppress
from types import FrameType

import structlog
import uvicorn

from app.auth import check_keys
from app.main import create_app
from app.service import Service
from app.settings import Settings
from store import logs

_log = structlog.get_logger("app")

_GRACE_S = 5
# Threads that read rows hold the interpreter in turns with the one that answers: at 5 ms a turn, Python's default, an
# answer waits for a dozen of them.
_TURN_S = 0.0005
_KEEP_ALIVE_S = 75  # longer than a client's pause between two polls


class _Server(uvicorn.Server):
    """Ends open event streams first, which would otherwise be waited for."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._service.stopping = True
        super().handle_exit(sig, frame)

    def end(self) -> None:
        """End as a signal would."""
        self._service.stopping = True
        self.should_exit = True


def run(settings: Settings, listening: socket.socket, until_stdin_closes: bool = False) -> None:
    """Serve until SIGINT or SIGTERM, or until standard input closes where asked to."""
    logs.configure(settings.log_level)
    sys.setswitchinterval(_TURN_S)
    service = Service.open(settings)
    check_keys(service)
    config = uvicorn.Config(
        create_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    server = _Server(config, service)
    if until_stdin_closes:
        threading.Thread(target=_wait_for_end_of_stdin, args=(server,), name="stdin", daemon=True).start()
    with suppress(KeyboardInterrupt):  # uvicorn has ended in order, and raises Ctrl-C once more
        server.run(sockets=[_as_tcp(listening)])


def _as_tcp(listening: socket.socket) -> socket.socket:
    # asyncio switches Nagle's algorithm off only where it sees that a socket is TCP, which Python's own way to make a
    # listening one does not say. With it every answer would wait 40 ms for the caller's delayed acknowledgement.
    return socket.socket(listening.family, socket.SOCK_STREAM, socket.IPPROTO_TCP, listening.detach())


def _wait_for_end_of_stdin(server: _Server) -> None:
    try:
        while os.read(0, 1024):
            pass
    except OSError:
        pass  # there is no standard input: the same as one that closed
    server.end()
