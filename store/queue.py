"""How does an accepted search reach a worker, exactly in the transaction that accepted it?

The one module that knows DBOS, whose tables lie in our database. An entry is a workflow with the id
`{search}:{attempt}`, so enqueueing twice is a no-op. What it promises: an entry committed is given to some worker
once. What it does not: DBOS notices no dead worker and fences only its own records. So the truth about a search is
its row (`store.searches`), every write of a worker is fenced (`store.attempts`), and a dead worker's searches are
moved by us (`store.moves`), never by DBOS's own resume.

It follows that an entry too many does no harm (`Attempt.start` refuses it), hence `drop` and `forget` only tidy: a
failure there is logged and not raised.

Threads: all functions may be called from any thread; the client is made once for each engine. `serve` may run once in
a process. `dbos` is imported at first use (0.4 s, 30 MB more); call `prepare` in the background of a start-up to have
that behind you.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from store.database import full_url

if TYPE_CHECKING:
    from dbos import DBOSClient

APPLICATION: Final = "bregnas"
APPLICATION_VERSION: Final = "1"
"""Constant for ever: a changed one strands the entries of the older."""

WORKFLOW: Final = "run_search"
POLLING_S: Final = 0.2
QUEUES: Final = ("cpu", "cuda")
_HIGHEST: Final = 100  # priority; DBOS takes small numbers first, from 1 on

_WAITING: Final = ("ENQUEUED", "DELAYED")
_PENDING: Final = "PENDING"
_CHUNK: Final = 500  # ids in one query

_log = logging.getLogger(__name__)
_clients: dict[Engine, "DBOSClient"] = {}  # for the life of the process, as engines are
_clients_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Entry:
    """The queue's view of an attempt."""

    search_id: str
    attempt: int
    waiting: bool
    """No worker has taken it yet."""
    worker: str | None
    """Who took it and has not returned from it, as far as the queue knows."""


def prepare(engine: Engine) -> None:
    """Import DBOS and make the client, so that the first search need not wait for it."""
    _client(engine)


def migrate(url: str) -> None:
    """Create or update DBOS's tables."""
    from dbos import DBOS

    DBOS.migrate(full_url(url))


def enqueue(tx: Connection, search_id: str, attempt: int, queue: str, priority: int = 0) -> None:
    """Add an entry in the caller's transaction: it exists if that commits, and no worker sees it before.

    Entries of a higher `priority` (-100 to 100) are taken first, those of the same in the order in which they came. A
    search that was taken before comes before those that never were: when it was taken it stood in front of them.
    """
    _client(tx.engine).enqueue_in_transaction(
        tx,
        {
            "workflow_name": WORKFLOW,
            "queue_name": queue,
            "workflow_id": _name(search_id, attempt),
            "app_version": APPLICATION_VERSION,
            "priority": 2 * (_HIGHEST - priority) + (1 if attempt > 1 else 2),
        },
        search_id,
        attempt,
    )


def drop(engine: Engine, search_id: str, attempt: int) -> None:
    """Take an entry that nobody needs out of the queue. Outside any transaction; see the module on failures."""
    _tidy("cancel", lambda: _client(engine).cancel_workflow(_name(search_id, attempt)))


def forget(engine: Engine, search_id: str, attempts: Iterable[int]) -> None:
    """Delete all that the queue holds about these attempts. Outside any transaction; see the module on failures."""
    names = [_name(search_id, attempt) for attempt in attempts]
    _tidy("delete", lambda: _client(engine).delete_workflows(names))


def entries(engine: Engine, attempts: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Entry]:
    """Look up entries; one that is finished, cancelled or unknown is absent from the answer."""
    found: dict[tuple[str, int], Entry] = {}
    for start in range(0, len(attempts), _CHUNK):
        names = [_name(*attempt) for attempt in attempts[start : start + _CHUNK]]
        for entry in _list(engine, workflow_ids=names, status=[*_WAITING, _PENDING]):
            found[entry.search_id, entry.attempt] = entry
    return found


def taken_by(engine: Engine, worker: str) -> list[Entry]:
    """List the entries that a worker took and has not returned from."""
    return _list(engine, executor_id=worker, status=_PENDING, name=WORKFLOW)


def serve(
    url: str,
    worker: str,
    queue: str,
    run: Callable[[str, int], None],
    stop: threading.Event,
    *,
    concurrency: int = 1,
    grace_s: int = 30,
) -> None:
    """Take entries of one queue and call `run(search_id, attempt)` for each, until `stop` is set.

    `run` is called in a thread of a pool, up to `concurrency` at once. (The number belongs to the queue, not to the
    worker: the last worker that starts decides for all of that queue.) An exception it raises is logged and ends the
    entry, not the worker. After `stop` nothing more is taken, and running calls have `grace_s` to return; `run` must
    watch `stop` by itself. What has not returned by then is left to be moved.

    `worker` must be new at every start of a process: DBOS gives what an executor left behind to the next of that name.
    """
    from dbos import DBOS, DBOSPortableJSONSerializer

    DBOS(
        config={
            "name": APPLICATION,
            "system_database_url": full_url(url),
            "executor_id": worker,
            "application_version": APPLICATION_VERSION,
            "serializer": DBOSPortableJSONSerializer(),
            "log_level": "WARNING",
        }
    )
    try:
        DBOS.workflow(name=WORKFLOW)(_workflow(run))
        DBOS.listen_queues([queue])
        DBOS.launch()
        DBOS.register_queue(
            queue, worker_concurrency=concurrency, polling_interval_sec=POLLING_S, on_conflict="always_update"
        )
        stop.wait()
    finally:
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=grace_s)


def _workflow(run: Callable[[str, int], None]) -> Callable[[str, int], None]:
    def run_search(search_id: str, attempt: int) -> None:
        run(search_id, attempt)

    return run_search


def _client(engine: Engine) -> "DBOSClient":
    with _clients_lock:
        client = _clients.get(engine)
        if client is None:
            from dbos import DBOSClient, DBOSPortableJSONSerializer

            # Lazy: a check of the connection here would wait for the lock that our caller's transaction may hold.
            # Without retries: who calls us answers for it (503), or tries again by itself.
            client = _clients[engine] = DBOSClient(
                system_database_engine=engine,
                serializer=DBOSPortableJSONSerializer(),
                application_name=APPLICATION,
                lazy=True,
                retry_connection_errors=False,
            )
        return client


def _list(engine: Engine, **conditions: Any) -> list[Entry]:
    found = _client(engine).list_workflows(**conditions, load_input=False, load_output=False)
    return [
        Entry(
            *_parse(status.workflow_id),
            waiting=status.status in _WAITING,
            worker=status.executor_id if status.status == _PENDING else None,
        )
        for status in found
    ]


def _tidy(what: str, action: Callable[[], None]) -> None:
    from dbos import error

    try:
        action()
    except (SQLAlchemyError, error.DBOSException):
        _log.warning("could not %s an entry of the queue; it stays there and will be refused", what, exc_info=True)


def _name(search_id: str, attempt: int) -> str:
    return f"{search_id}:{attempt}"


def _parse(name: str) -> tuple[str, int]:
    search_id, _, attempt = name.rpartition(":")
    return search_id, int(attempt)
