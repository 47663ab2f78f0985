"""A whole search on one device: search, shrink, train on, train from scratch, choose, export.

Every stage can be left at any batch and taken up from a checkpoint, by this process or another, with the same result.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from models.groups import active_counts, sparse_start_
from models.network import Network, he_
from models.shrink import LayerDied, shrink, with_widths
from spec import SearchSpec, macs, parameters
from worker import checkpoint
from worker.checkpoint import Tensors, prefixed, under
from worker.failure import SearchFailed, Stopped, died
from worker.job import Folder, Job
from worker.objective import objective
from worker.optimizers import optimizer
from worker.outcome import Candidate, Outcome, Scores
from worker.progress import Checkpointed, EpochDone, Message, Stage, StageBegun
from worker.samples import Samples
from worker.seeds import stream
from worker.training import Schedule, Training, evaluate

STAGES: tuple[Stage, ...] = ("search", "finetune", "scratch")


class Pipeline:
    """Runs a job in its folder, and tells `emit` how it goes."""

    def __init__(
        self, job: Job, folder: Folder, samples: Samples, emit: Callable[[Message], None], stopping: Callable[[], bool]
    ) -> None:
        self.job, self.folder, self.samples, self.emit, self.stopping = job, folder, samples, emit, stopping
        self.spec: SearchSpec = job.spec
        outputs = samples.outputs
        self.objective = objective(self.spec.task, None if outputs is None else outputs.std)
        self.graph = self.spec.superstructure.graph(self._input_shape(), self._output_shape())
        self.shrunk: Network | None = None
        self.found: Network | None = None
        self.notes: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.elapsed = 0.0
        self.resumed: tuple[Stage, int] | None = None
        self._restored: tuple[Stage, Tensors, dict[str, Any]] | None = None
        self._saved_at = self._ticked_at = time.monotonic()
        self._restore()

    def run(self) -> Outcome:
        """Do what is left to do. Raises SearchFailed, or Stopped.

        Each stage lets go of its optimiser before the next begins: a search never holds two.
        """
        if self.found is None:
            if self.shrunk is None:
                self.shrunk = self._search()
            self.found = self._finetune(self.shrunk)
            self.shrunk = None
        scratch = self._scratch(self.found)
        self._begin("export", 0, {})
        return self._choose(self.found, scratch)

    # The stages

    def _search(self) -> Network:
        network = Network(self.graph, self.samples.inputs, self.samples.outputs)
        how = self.spec.method
        sparse_start_(network, density=how.density, scale=how.init_scale, generator=stream(self.spec.seed, "start"))
        search = self._training(
            "search", network, optimizer(network, how), Schedule(how.schedule, how.lr), self.spec.budget.epochs
        )
        self._train(search)
        try:
            small = shrink(network)
        except LayerDied as error:
            raise died(error.layer, self.spec) from error
        self.notes = {
            "superstructure": asdict(search.validate()),
            "shrunk": asdict(self._score(small, "validation")),
            "difference": self._difference(network, small),
            "counts": active_counts(network),
            "parameters": parameters(small.graph),
            "macs": macs(small.graph),
        }
        return small

    def _finetune(self, shrunk: Network) -> Network:
        self._begin("finetune", self.spec.finetune.epochs, self.notes)
        network = Network(shrunk.graph, self.samples.inputs, self.samples.outputs)
        network.load_state_dict(shrunk.state_dict())
        training = self._adam("finetune", network, self.spec.finetune.epochs, measure_start=True)
        self._train(training)
        return training.finish()

    def _scratch(self, found: Network) -> Network | None:
        """The found widths from a fresh start; None where the specification leaves it out."""
        if self.spec.scratch_epochs == 0:
            return None
        self._begin("scratch", self.spec.scratch_epochs, {})
        network = Network(found.graph, self.samples.inputs, self.samples.outputs)
        network.load_state_dict(found.state_dict())  # for the buffers: which outputs are constants
        he_(network, stream(self.spec.seed, "scratch", "start"))
        training = self._adam("scratch", network, self.spec.scratch_epochs, measure_start=False)
        self._train(training)
        return training.finish()

    def _choose(self, found: Network, scratch: Network | None) -> Outcome:
        candidates = [Candidate("found", found, self._score(found, "validation"))]
        if scratch is not None:
            candidates.append(Candidate("scratch", scratch, self._score(scratch, "validation")))
        winner = min(candidates, key=lambda candidate: candidate.validation.loss)
        for candidate in candidates:  # the choice is made: the test set may be looked at, once
            candidate.test = self._score(candidate.network, "test")
        return Outcome(
            full=self.graph,
            superstructure=Scores(**self.notes["superstructure"]),
            shrunk=Scores(**self.notes["shrunk"]),
            difference=self.notes["difference"],
            unchanged=self._unchanged(),
            candidates=candidates,
            winner=winner,
            counts=self.notes["counts"],
            history=self.history,
        )

    # The loop

    def _train(self, training: Training) -> None:
        self._take_up(training)
        while training.epoch < training.epochs:
            lr = training.lr()
            loss = training.run_epoch(lambda: self._between(training))
            self._record(training, loss, lr)
            training.seconds = 0.0
        if training.epochs:
            self._save(training)

    def _between(self, training: Training) -> None:
        """Between two batches: keep the time limit, the checkpoints, and the wish to stop."""
        now = time.monotonic()
        self.elapsed += now - self._ticked_at
        self._ticked_at = now
        if self.elapsed > self.spec.budget.time_limit_s:
            raise SearchFailed(
                "time_limit",
                f"the search was not done after {self.spec.budget.time_limit_s} s of training, in epoch "
                f"{training.epoch + 1} of {training.stage}; raise budget.time_limit_s or lower the epochs",
            )
        if self.stopping():
            self._save(training)
            raise Stopped
        if now - self._saved_at >= self.job.checkpoint_s:
            self._save(training)

    def _record(self, training: Training, loss: float, lr: float) -> None:
        assert training.scores is not None
        searching = training.stage == "search"
        counts = active_counts(training.network) if searching else self.notes["counts"]
        done = EpochDone(
            stage=_stage(training),
            epoch=training.epoch,
            epochs=training.epochs,
            train_loss=loss,
            validation_loss=training.scores.loss,
            metrics={self.objective.metric: training.scores.metric},
            lr=lr,
            lam=self.spec.method.lam if searching else None,
            counts=counts,
            parameters=parameters(self.graph, counts),
            macs=macs(self.graph, counts),
            seconds=training.seconds,
            eta_s=self._eta(training),
        )
        self.history.append(done.model_dump(exclude={"kind", "seconds", "eta_s", "epochs"}))
        self.emit(done)
        for layer, count in counts.items():
            if count == 0:
                raise died(layer, self.spec)

    def _eta(self, training: Training) -> float:
        """Seconds left: this stage's pace, and for the stages after it the pace of the small network, if known."""
        pace = training.seconds
        left = pace * (training.epochs - training.epoch)
        if training.stage == "search":
            share = parameters(self.graph, active_counts(training.network)) / parameters(self.graph)
            left += pace * share * (self.spec.finetune.epochs + self.spec.scratch_epochs)
        elif training.stage == "finetune":
            left += pace * self.spec.scratch_epochs
        return left

    # Checkpoints

    def _save(self, training: Training) -> None:
        tensors, values = training.state()
        tensors = prefixed("training", tensors)
        if self.shrunk is not None:
            tensors |= prefixed("shrunk", self.shrunk.state_dict())
        if self.found is not None:
            tensors |= prefixed("found", self.found.state_dict())
        checkpoint.save(
            self.folder.checkpoints,
            tensors,
            {
                "stage": training.stage,
                "training": values,
                "notes": self.notes,
                "history": self.history,
                "elapsed": self.elapsed,
                "fingerprint": self.samples.fingerprint,
                "threads": torch.get_num_threads(),
                "spec": self.spec.model_dump(mode="json"),
            },
        )
        self._saved_at = time.monotonic()
        self.emit(Checkpointed(stage=_stage(training), epoch=training.epoch, step=self._step(training)))

    def _step(self, training: Training) -> int:
        """Batches trained on, those of the stages before included."""
        epochs = {"search": self.spec.budget.epochs, "finetune": self.spec.finetune.epochs, "scratch": 0}
        before = sum(epochs[stage] for stage in STAGES[: STAGES.index(_stage(training))])
        return (before + training.epoch) * training.batches + training.batch

    def _restore(self) -> None:
        loaded = checkpoint.load(self.folder.checkpoints)
        if loaded is None:
            return
        tensors, values = loaded
        torch.set_num_threads(values["threads"])  # sums round differently with another number
        if values["fingerprint"] != self.samples.fingerprint:
            raise SearchFailed(
                "data_changed",
                f"the data set {self.spec.data!r} is not what it was when this search began; start a new search",
            )
        self.notes, self.history, self.elapsed = values["notes"], values["history"], values["elapsed"]
        if shrunk := under("shrunk", tensors):
            self.shrunk = self._small(shrunk)
        if found := under("found", tensors):
            self.found = self._small(found)
        self._restored = (values["stage"], under("training", tensors), values["training"])
        self.resumed = (values["stage"], values["training"]["epoch"])

    def _take_up(self, training: Training) -> None:
        if self._restored is not None and self._restored[0] == training.stage:
            training.restore(*self._restored[1:])
            self._restored = None
            if training.epoch == training.epochs and training.scores is None:
                training.scores = training.validate()

    def _small(self, tensors: Tensors) -> Network:
        network = Network(with_widths(self.graph, self.notes["counts"]), self.samples.inputs, self.samples.outputs)
        network.load_state_dict(tensors)
        return network

    # Small things

    def _begin(self, stage: Stage, epochs: int, data: dict[str, Any]) -> None:
        self.emit(StageBegun(stage=stage, epochs=epochs, data=data))

    def _training(
        self,
        stage: Stage,
        network: Network,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        epochs: int,
        **how: bool,
    ) -> Training:
        return Training(
            stage, network, optimizer, schedule, self.objective, self.samples,
            epochs=epochs, batch_size=self.spec.budget.batch_size, seed=self.spec.seed, **how,
        )  # fmt: skip

    def _adam(self, stage: Stage, network: Network, epochs: int, *, measure_start: bool) -> Training:
        lr = self.spec.finetune.lr
        adam = torch.optim.Adam(network.parameters(), lr=lr, fused=True)
        schedule = Schedule("warm cosine", lr)
        return self._training(stage, network, adam, schedule, epochs, keep_best=True, measure_start=measure_start)

    def _score(self, network: Network, split: str) -> Scores:
        return evaluate(network, self.objective, self.samples.splits[split], self.spec.seed, split)

    def _unchanged(self) -> Scores | None:
        """What handing the input through would score, where that is an answer: every network has to beat it."""
        if self.spec.task.kind not in ("denoise", "deblur"):
            return None
        return evaluate(
            torch.nn.Identity(), self.objective, self.samples.splits["validation"], self.spec.seed, "validation"
        )

    @torch.no_grad()
    def _difference(self, large: Network, small: Network) -> float:
        split = self.samples.splits["validation"]
        x, y = split.batch(torch.arange(min(len(split), 512)))
        given, _ = self.objective.pair(x, y, stream(self.spec.seed, "validation", 0))
        return float((large.eval()(given) - small.eval()(given)).abs().max())

    def _input_shape(self) -> tuple[int, ...]:
        return tuple(self.samples.train.x.shape[1:])

    def _output_shape(self) -> tuple[int, ...]:
        y = self.samples.train.y
        match self.spec.task.kind:
            case "classify":
                assert self.samples.classes is not None
                return (self.samples.classes,)
            case "regress":
                assert y is not None
                return tuple(y.shape[1:])
        return self._input_shape()


def _stage(training: Training) -> Stage:
    return next(stage for stage in STAGES if stage == training.stage)
