"""The search stage of a specification alone: what every epoch found, kept as records."""

import contextlib
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.records import Record, append, key, read
from spec import SearchSpec
from worker.failure import SearchFailed
from worker.job import Folder, Job
from worker.pipeline import Pipeline
from worker.progress import EpochDone, Message, StageBegun
from worker.samples import Samples

CHECKPOINT_S = 120.0


class _SearchEnded(Exception):
    """The next stage would begin."""


def search(case: str, spec: SearchSpec, samples: Samples, out: Path, show: Callable[[Record], None]) -> list[Record]:
    """Run the search stage of `spec`, or what is left of it; returns its records, one an epoch, in order.

    Records are appended to `out` as they come, the checkpoints of an unfinished run lie beside it. The last record
    has `ended`: "epochs", or the code with which the search failed (`layer_died`, `loss_not_finite`).
    Raises Stopped on SIGTERM or Ctrl-C, with a checkpoint written.
    """
    name = key(spec)
    records = [record for record in read(out) if record["key"] == name]
    if records and "ended" in records[-1]:
        return records
    folder = Folder(out.parent / "unfinished" / name)
    job = Job(search_id="srch_" + "0" * 32, created_at=0.0, spec=spec, checkpoint_s=CHECKPOINT_S)
    folder.create(job)

    def keep(record: Record) -> None:
        record = {"case": case, "key": name, "seed": spec.seed} | record
        append(out, record)
        records.append(record)
        show(record)

    def emit(message: Message) -> None:
        if isinstance(message, EpochDone) and message.epoch > sum("epoch" in record for record in records):
            keep(message.model_dump(exclude={"kind", "stage", "epochs", "eta_s"}))
        elif isinstance(message, StageBegun):
            raise _SearchEnded

    with asked_to_stop() as stopping:
        try:
            Pipeline(job, folder, samples, emit, stopping).run()
        except _SearchEnded:
            keep({"ended": "epochs", "spec": spec.model_dump(mode="json")})
        except SearchFailed as failure:
            keep({"ended": failure.code, "message": failure.message, "spec": spec.model_dump(mode="json")})
    shutil.rmtree(folder.path)
    return records


@contextlib.contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """A function that says whether a signal to stop has come; the handlers are put back afterwards."""
    asked: list[int] = []
    before = {number: signal.signal(number, lambda n, _: asked.append(n)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
