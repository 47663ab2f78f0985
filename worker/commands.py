"""The worker's verb on the command line: `bregnas worker`, an entry point of the group `bregnas.commands`."""

import os
import signal
import sys
import threading
from typing import Annotated

import typer


def worker(
    replaces: Annotated[
        list[str] | None,
        typer.Option(help="The id of a worker that is known to be dead: its searches are taken over. May be repeated."),
    ] = None,
    queue: Annotated[
        str | None,
        typer.Option(help="The queue to serve, `cpu` or `cuda`, if not BREGNAS_QUEUE's."),
    ] = None,
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", hidden=True, help="End when standard input does.")
    ] = False,
) -> None:
    """Run searches from the queue, one at a time, until SIGTERM or Ctrl-C; then hand the running one back."""
    from worker import devices
    from worker.settings import WorkerSettings

    if queue is not None:
        os.environ["BREGNAS_QUEUE"] = queue
    try:
        settings = WorkerSettings.from_environment()
        devices.check(settings.queue)
    except ValueError as error:
        raise _usage(error) from error

    from store import logs
    from store.artifacts import StoreUnavailable
    from store.ids import new_id
    from worker.service import Service

    logs.configure(settings.log_level)
    stop = threading.Event()
    try:
        service = Service(settings, os.environ.get("BREGNAS_WORKER_ID") or new_id("wrkr"), stop)
    except StoreUnavailable as error:
        raise _usage(ValueError(f"BREGNAS_ARTIFACTS cannot be used: {error}")) from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if until_stdin_closes:
        threading.Thread(target=_stop_with_stdin, args=(stop,), daemon=True).start()
    service.run(replaces or [])


def _stop_with_stdin(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()


def _usage(error: ValueError) -> typer.Exit:
    typer.echo(str(error), err=True)
    return typer.Exit(2)
