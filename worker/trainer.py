"""The trainer: a process of its own that runs one job in one folder, and knows nothing else.

    python -m worker.trainer FOLDER

It says how it goes on standard output, a JSON line a message (`worker.progress`). It ends when its standard input
closes, so that a killed worker leaves no orphan; on SIGTERM it writes a checkpoint first.

Exit status: 0 finished or failed in words, 75 stopped with a checkpoint, 1 an error of ours (see the log).
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import torch

import datasets
from datasets import upload
from worker import bundle
from worker.failure import SearchFailed, Stopped
from worker.job import Folder, Job
from worker.pipeline import Pipeline
from worker.progress import Failed, Finished, Message, Started
from worker.samples import Samples

STOPPED = 75
NICENESS = 10  # who polls is served first, also where API and trainer share two cores


def main() -> int:
    """Run the job in the folder that the command line names."""
    folder = Folder(Path(sys.argv[1]))
    lines = _claim_stdout()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _yield_to_others()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def emit(message: Message) -> None:
        lines.write(message.model_dump_json().encode() + b"\n")
        lines.flush()

    try:
        _run(folder, folder.read_job(), emit, stop)
    except SearchFailed as failure:
        emit(Failed(code=failure.code, message=failure.message))
    except Stopped:
        return STOPPED
    return 0


def _run(folder: Folder, job: Job, emit: Callable[[Message], None], stop: threading.Event) -> None:
    torch.set_num_threads(job.threads)
    # On a GPU some operations of U-Nets have no deterministic form: there they warn, here they would raise.
    torch.use_deterministic_algorithms(True, warn_only=job.device != "cpu")
    try:
        dataset = _data(folder, job)
    except datasets.DataError as error:
        raise SearchFailed("data_unavailable", str(error)) from error
    samples = Samples(dataset)
    pipeline = Pipeline(job, folder, samples, emit, stop.is_set)
    emit(
        Started(
            fingerprint=samples.fingerprint,
            samples={name: len(split) for name, split in samples.splits.items()},
            resumed=pipeline.resumed,
        )
    )
    outcome = pipeline.run()
    result, files, name = bundle.write(job, outcome, samples, pipeline.objective, folder.results)
    emit(Finished(result=result, files=files, bundle=name))


def _data(folder: Folder, job: Job) -> datasets.Dataset:
    if job.data_file is None:
        return datasets.load(job.spec.data, None if job.data_root is None else Path(job.data_root))
    if not (folder.path / job.data_file).exists():
        raise SearchFailed("data_unavailable", f"the data set {job.spec.data} is no longer there; upload it again")
    return upload.load(folder.path / job.data_file, job.spec.data)


def _yield_to_others() -> None:
    """Be nice. Where Linux groups processes by session, niceness counts within one, and the group has its own."""
    os.nice(NICENESS)
    if os.getsid(0) != os.getpid():
        return  # the session is somebody else's, as are the processes in it
    with suppress(OSError):  # another system, or a kernel without such groups
        Path("/proc/self/autogroup").write_text(str(NICENESS))


def _claim_stdout() -> BinaryIO:
    """Keep standard output for messages; whatever a library prints goes to standard error, the log."""
    lines = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return lines


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
