"""What may a worker write about the search it runs?

A worker that was frozen, cut off or thought dead may wake up while another runs the search. So every write has this
attempt's number and the legal states in its condition, in one statement; where that changes no row nothing at all is
written and `AttemptLost` is raised. A write is one transaction and is done when the method returns.

Liveness is kept by attempt and not by worker: what must be noticed is that nobody works on a search any more, also
where the process lives on and only this run was lost. A worker that dies between taking a search from the queue and
`start` leaves no attempt; `store.moves` sees that by the queue's own entry. No table of workers is needed.

Errors: besides `AttemptLost`, SQLAlchemy's `OperationalError` where the database is away. Nothing was written then, or
all of it: a method may be called again. Only `event` and `trainer_died` may then count twice, and `publish`, `fail`
and `cancelled` say `AttemptLost` where the first call had come through.

Threads: an `Attempt` may be shared by threads (the heartbeat is usually one of its own).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, and_, func, insert, not_, select, true, update

from store import architectures, layers, tables
from store.artifacts import Stored
from store.checkpoints import Checkpoint as Checkpoint
from store.checkpoints import last_checkpoint
from store.database import now, read, upsert, write
from store.errors import AttemptLost as AttemptLost
from store.events import add as add_event
from store.finite import finite
from store.layers import Layer as Layer
from store.moves import LIMIT, hand_back
from store.moves import Moved as Moved
from store.moves import Watch as Watch
from store.moves import move_from as move_from
from store.states import ACTIVE, TERMINAL, WISHES, State, before


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """A stored object to be published under a name."""

    name: str
    stored: Stored
    media_type: str


class Attempt:
    """One run of a search by one worker: the `attempt`-th."""

    def __init__(self, engine: Engine, search_id: str, attempt: int) -> None:
        self.engine: Final = engine
        self.search_id: Final = search_id
        self.attempt: Final = attempt

    def start(self, worker: str) -> None:
        """Take the search: queued → starting. Lost at once if it was cancelled or moved meanwhile."""
        with write(self.engine) as tx:
            number = self._become(tx, "starting", started_at=func.coalesce(tables.searches.c.started_at, now()))
            tx.execute(
                insert(tables.attempts).values(
                    search=number, attempt=self.attempt, worker=worker, started_at=now(), heartbeat_at=now()
                )
            )
            add_event(tx, number, self.attempt, "starting", {"worker": worker})

    def running(self) -> None:
        """Say that training has begun: starting → running."""
        with write(self.engine) as tx:
            add_event(tx, self._become(tx, "running"), self.attempt, "running", {})

    def heartbeat(self) -> None:
        """Say that the search is still being worked on. Costs one small row; polls are not disturbed."""
        s, a = tables.searches, tables.attempts
        mine = select(s.c.number).where(s.c.id == self.search_id, s.c.attempt == self.attempt, s.c.state.in_(ACTIVE))
        with write(self.engine) as tx:
            beaten = tx.execute(
                update(a)
                .where(a.c.search == mine.scalar_subquery(), a.c.attempt == self.attempt)
                .values(heartbeat_at=now())
            )
            if beaten.rowcount == 0:
                raise self._lost(tx)

    def wish(self) -> State | None:
        """Tell what the user wants of the worker: `cancelling`, `pausing`, or nothing."""
        with read(self.engine) as tx:
            state = self._state(tx)
        return state if state in WISHES else None

    def cancel_requested(self) -> bool:
        """Tell whether the user has cancelled the search: then end the trainer and call `cancelled`."""
        return self.wish() == "cancelling"

    def record_plan(self, plan: Sequence[Layer], *, parameters: int | None = None, macs: int | None = None) -> None:
        """Correct the layers and the size of the superstructure, once the data have told what they really are."""
        with write(self.engine) as tx:
            number = self._change(
                tx, layers=layers.shown(plan, None), **_given(parameters=parameters, macs=macs)
            ).number
            layers.replace(tx, number, plan)

    def progress(
        self,
        *,
        stage: str | None = None,
        epoch: int | None = None,
        epochs: int | None = None,
        eta_s: float | None = None,
    ) -> None:
        """Say what is being done now; what is not given stays."""
        with write(self.engine) as tx:
            self._change(tx, **_given(stage=stage, epoch=epoch, epochs=epochs, eta_s=eta_s))

    def record_epoch(
        self,
        *,
        stage: str,
        epoch: int,
        active: Sequence[int],
        epochs: int | None = None,
        eta_s: float | None = None,
        train_loss: float | None = None,
        validation_loss: float | None = None,
        metrics: Mapping[str, Any] | None = None,
        lr: float | None = None,
        lam: float | None = None,
        parameters: int | None = None,
        macs: int | None = None,
        seconds: float | None = None,
    ) -> None:
        """Record an epoch and make it the newest progress of the search.

        `active` has one count for each layer of the plan, in its order (ValueError otherwise). An epoch recorded
        before, by this attempt or an earlier one, is replaced. A number that is not finite is kept as null.
        """
        measured = finite(
            {
                "train_loss": train_loss,
                "validation_loss": validation_loss,
                "metrics": metrics,
                "parameters": parameters,
                "macs": macs,
            }
        )
        key: dict[str, Any] = {"stage": stage, "epoch": epoch}
        with write(self.engine) as tx:
            number = self._change(tx, **key, **_given(epochs=epochs), eta_s=finite(eta_s), **measured).number
            plan = layers.of(tx, number)
            s = tables.searches
            tx.execute(update(s).where(s.c.number == number).values(layers=layers.shown(plan, active)))
            row = {"search": number, **key, **measured, **finite({"lr": lr, "lam": lam, "seconds": seconds})}
            upsert(tx, tables.epochs, [{**row, "recorded_at": tx.scalar(select(now()))}], keep=["recorded_at"])
            counts = [
                {"search": number, **key, "position": position, "active": count}
                for position, count in enumerate(active)
            ]
            upsert(tx, tables.epoch_counts, counts)
            add_event(tx, number, self.attempt, "epoch", {**key, "epochs": epochs, **measured, "active": list(active)})

    def record_checkpoint(
        self, stage: str, epoch: int, key: str | None = None, *, step: int | None = None
    ) -> list[str]:
        """Say that a checkpoint lies on the disk, or with `key` that a copy of one lies in the artifact store.

        `step` says how far the whole search is, in a unit that only rises: one that is further than any before, be it
        by a batch, forgives what was lost until now. A copy brings nothing new and gives none. Gives the keys of the
        copies, of all attempts, that the new one replaces: they are the caller's to delete.
        """
        s, a = tables.searches, tables.attempts
        with write(self.engine) as tx:
            number = self._change(tx).number
            if step is not None:
                further = (s.c.number == number, s.c.furthest < step)
                tx.execute(update(s).where(*further).values(stalls=0, furthest=step))
            mine = (a.c.search == number, a.c.attempt == self.attempt)
            told = {"checkpoint_stage": stage, "checkpoint_epoch": epoch, "checkpoint_at": now()}
            if key is None:
                tx.execute(update(a).where(*mine).values(told))
                return []
            copied = (a.c.search == number, a.c.checkpoint_key.is_not(None))
            replaced = set(tx.scalars(select(a.c.checkpoint_key).where(*copied))) - {key}
            tx.execute(update(a).where(*copied).values(checkpoint_key=None))
            tx.execute(update(a).where(*mine).values(checkpoint_key=key))
            # A newer checkpoint may have been told while this one was on its way to the store.
            newer = and_(a.c.checkpoint_stage == stage, a.c.checkpoint_epoch > epoch)
            tx.execute(update(a).where(*mine, func.coalesce(not_(newer), true())).values(told))
        return sorted(replaced)

    def last_checkpoint(self) -> Checkpoint | None:
        """Give the newest checkpoint of the search, to go on from."""
        return last_checkpoint(self.engine, self.search_id)

    def trainer_died(self, *, limit: int = LIMIT, reason: str = "") -> bool:
        """Count a death of the trainer; True when it was the `limit`-th loss without a new checkpoint: then `fail`."""
        with write(self.engine) as tx:
            row = self._change(tx, stalls=tables.searches.c.stalls + 1)
            add_event(tx, row.number, self.attempt, "trainer_died", {"stalls": row.stalls, "reason": reason})
        return bool(row.stalls >= limit)

    def event(self, kind: str, data: Mapping[str, Any]) -> None:
        """Append an event of the worker's own."""
        with write(self.engine) as tx:
            add_event(tx, self._change(tx).number, self.attempt, kind, data)

    def publish(self, result: Mapping[str, Any], artifacts: Sequence[NewArtifact], *, bundle: str) -> bool:
        """Make this attempt's result the search's: running → succeeded, once for all attempts.

        `bundle` names the artifact that is the search's model. False where the user has cancelled in the meantime:
        the search is then cancelled, and nothing is published.
        """
        model = next(artifact.stored for artifact in artifacts if artifact.name == bundle)
        won: Mapping[str, Any] = next(
            (c for c in result.get("candidates", ()) if c["name"] == result.get("winner")), {}
        )
        with write(self.engine) as tx:
            number = self._end(
                tx,
                "succeeded",
                "succeeded",
                result=finite(result),
                bundle_name=bundle,
                bundle_sha256=model.sha256,
                **_given(parameters=won.get("parameters"), macs=won.get("macs")),
            )
            if number is None:
                return False
            tx.execute(
                insert(tables.artifacts).values(created_at=now()),
                [
                    {
                        "search": number,
                        "attempt": self.attempt,
                        "name": artifact.name,
                        "media_type": artifact.media_type,
                        **asdict(artifact.stored),
                    }
                    for artifact in artifacts
                ],
            )
            architectures.add(tx, number, result)
        return True

    def fail(self, code: str, message: str) -> bool:
        """End the search as failed; `message` tells the user what to change. False where it was cancelled instead."""
        clean = message.replace("\0", "")  # PostgreSQL has no such character
        with write(self.engine) as tx:
            return self._end(tx, "failed", "failed", error_code=code, error_message=clean) is not None

    def paused(self) -> bool:
        """Say that the work rests as the user wished: pausing → paused. False where it was cancelled instead."""
        with write(self.engine) as tx:
            return self._end(tx, "paused", "paused") is not None

    def cancelled(self) -> None:
        """Say that the work has ended as the user wished: cancelling → cancelled."""
        with write(self.engine) as tx:
            self._finish(tx, "cancelled", "cancelled")

    def hand_back(self) -> Moved:
        """Give the search back to the queue for another worker (a shutdown); this is nobody's fault and not counted."""
        moved = hand_back(self.engine, self.search_id, self.attempt)
        if moved is None:
            with read(self.engine) as tx:
                raise self._lost(tx)
        return moved

    def _end(self, tx: Connection, state: State, outcome: str, **values: Any) -> int | None:
        """Finish as wished by the worker, or as cancelled if the user wished that: then None."""
        try:
            return self._finish(tx, state, outcome, **values)
        except AttemptLost as lost:
            if lost.state != "cancelling" or lost.current != self.attempt:
                raise
        self._finish(tx, "cancelled", "cancelled")
        return None

    def _finish(self, tx: Connection, state: State, outcome: str, **values: Any) -> int:
        states = before(state) & ACTIVE  # what no worker has is not a worker's to end
        finished = {"finished_at": now()} if state in TERMINAL else {}
        number: int = self._change(tx, states, state=state, eta_s=None, **finished, **values).number
        a = tables.attempts
        tx.execute(
            update(a).where(a.c.search == number, a.c.attempt == self.attempt).values(ended_at=now(), outcome=outcome)
        )
        told = {"code": values["error_code"], "message": values["error_message"]} if state == "failed" else {}
        add_event(tx, number, self.attempt, state, told)
        return number

    def _become(self, tx: Connection, state: State, **values: Any) -> int:
        return int(self._change(tx, before(state), state=state, **values).number)

    def _change(self, tx: Connection, states: frozenset[State] = ACTIVE, **values: Any) -> Row[Any]:
        """Write to the search's row, if this attempt is current and the state is one of these: the fence."""
        s = tables.searches
        row = tx.execute(
            update(s)
            .where(s.c.id == self.search_id, s.c.attempt == self.attempt, s.c.state.in_(states))
            .values(version=s.c.version + 1, updated_at=now(), **values)
            .returning(s.c.number, s.c.stalls)
        ).one_or_none()
        if row is None:
            raise self._lost(tx)
        return row

    def _state(self, tx: Connection) -> State:
        s = tables.searches
        row = tx.execute(select(s.c.state, s.c.attempt).where(s.c.id == self.search_id)).one_or_none()
        if row is None or row.attempt != self.attempt or row.state not in ACTIVE:
            raise self._lost(tx)
        state: State = row.state
        return state

    def _lost(self, tx: Connection) -> AttemptLost:
        s = tables.searches
        row = tx.execute(select(s.c.state, s.c.attempt).where(s.c.id == self.search_id)).one_or_none()
        state, current = (None, None) if row is None else row
        return AttemptLost(self.search_id, self.attempt, state, current)


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
