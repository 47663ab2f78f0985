"""The loop around every training: what is told, what is kept, and when it has to stop."""

import time
from collections.abc import Callable

from linbreg import GroupL1, KernelGroupL1
from models.groups import scalar_counts, weight_shares
from models.shrink import find_dead
from spec import Graph, macs, parameters
from worker.depth import DepthTraining
from worker.failure import SearchFailed, Stopped, died
from worker.job import Folder, Job
from worker.previews import preview
from worker.progress import Checkpointed, EpochDone, Message, Stage, StageBegun
from worker.resume import Progress, load, save
from worker.samples import Samples
from worker.training import Diverged, Training


class Loop:
    """Runs trainings of a job one after the other; `now` says what is done, and is filled from a checkpoint."""

    def __init__(
        self,
        job: Job,
        folder: Folder,
        samples: Samples,
        graph: Graph,
        now: Progress,
        emit: Callable[[Message], None],
        stopping: Callable[[], bool],
    ) -> None:
        self.job, self.spec, self.folder, self.samples, self.graph = job, job.spec, folder, samples, graph
        self.now, self.emit, self.stopping = now, emit, stopping
        self._saved_at = self._ticked_at = time.monotonic()
        self._restored = load(folder, self.spec, graph, samples, now)

    def begin(self, stage: Stage, epochs: int) -> None:
        """Say that a stage begins, and how many epochs all its trainings have."""
        data = [found.told() for found in self.now.found] if stage == "finetune" else []
        self.now.planned = epochs
        self.emit(StageBegun(stage=stage, epochs=epochs, data={"found": data} if data else {}))

    def train(self, stage: Stage, training: Training) -> None:
        """Train to the end, or what is left of it. Raises Diverged, another SearchFailed, or Stopped."""
        if self._restored is not None and self._restored.name == training.name:
            self._restored.into(training)
            self._restored = None
        while training.epoch < training.epochs and not self._at_noise_level(stage, training):
            lr = training.lr(training.epoch * training.batches)  # also where it goes on in the middle
            try:
                loss = training.run_epoch(lambda: self._between(stage, training))
            except Diverged:
                self._finished(stage, training)
                raise
            self._record(stage, training, loss, lr)
            training.seconds = 0.0
        training.settle()
        if training.scores is None:
            training.scores = training.validate()
        if stage == "search":
            self._save(stage, training)
        self._finished(stage, training)

    def _finished(self, stage: Stage, training: Training) -> None:
        self.now.epochs[stage] = self.now.epochs.get(stage, 0) + training.epochs
        self.now.steps += training.steps
        if stage == "compare":
            self.now.compared += training.steps

    def _at_noise_level(self, stage: Stage, training: Training) -> bool:
        """Whether the search fits the data as well as their noise allows (the discrepancy principle)."""
        level = self.spec.budget.noise_level
        if stage != "search" or level is None or training.epoch == 0 or not training.settled:
            return False
        return bool(self.now.history[-1]["train_loss"] <= level**2)

    def _between(self, stage: Stage, training: Training) -> None:
        """Between two batches: keep the time limit, the checkpoints, and the wish to stop."""
        now = time.monotonic()
        self.now.elapsed += now - self._ticked_at
        self._ticked_at = now
        if self.now.elapsed > self.spec.budget.time_limit_s:
            raise SearchFailed(
                "time_limit",
                f"the search was not done after {self.spec.budget.time_limit_s} s of training, in epoch "
                f"{self._told(stage, training) + 1} of {stage}; raise budget.time_limit_s or lower the epochs",
            )
        if self.stopping():
            self._save(stage, training)
            raise Stopped
        if now - self._saved_at >= self.job.checkpoint_s:
            self._save(stage, training)

    def _record(self, stage: Stage, training: Training, loss: float, lr: float) -> None:
        assert training.scores is not None
        searching = stage == "search"
        counts, graph, sized = self._counted(stage, training)
        done = EpochDone(
            stage=stage,
            epoch=self._told(stage, training),
            epochs=self.now.planned,
            train_loss=loss,
            validation_loss=training.scores.loss,
            metrics={
                training.objective.metric: training.scores.metric,
                **training.scores.more,
                **_gates(training),
                **_skips(stage, training),
                **_shares(stage, training),
            },
            lr=lr,
            lam=_lam(training) if searching else None,
            counts=counts,
            parameters=parameters(graph, sized),
            macs=macs(graph, sized),
            share=training.watched,
            seed=training.seed,
            trial=None if searching else training.name.split("/", 2)[2],
            seconds=training.seconds,
            eta_s=self.now.eta(self.spec, stage, training, parameters(graph, sized) / parameters(self.graph)),
        )
        self.now.history.append(done.model_dump(exclude={"kind", "seconds", "eta_s", "epochs"}))
        self.emit(done)
        if searching and training.seed == self.spec.all_seeds[0] and (seen := preview(stage, training, done.epoch)):
            self.emit(seen)
        if not searching or isinstance(training, DepthTraining):
            return
        dead = find_dead(self.graph, counts)
        if dead is not None:
            raise died(dead, self.spec)
        if training.seed == self.spec.all_seeds[0]:
            size = parameters(self.graph, sized)
            self.now.path.meet(size, training.stepper.shrunk, counts, training.epoch, training.scores)

    def _counted(self, stage: Stage, training: Training) -> tuple[dict[str, int], Graph, dict[str, int] | None]:
        """The active groups of the superstructure, the graph of what is trained, and how much of that is in use.

        After the search, what was found is what is told of the superstructure, whoever is trained.
        """
        if stage != "search":
            found = next(found for found in self.now.found if found.seed == training.seed)
            return found.counts, training.network.graph, None
        if isinstance(training, DepthTraining):
            return training.counts, training.network.graph, None
        return training.stepper.counts(), self.graph, training.stepper.in_use()

    def _save(self, stage: Stage, training: Training) -> None:
        epoch = self._told(stage, training)
        save(self.folder, self.spec, self.samples, self.now, stage, epoch, training)
        self._saved_at = time.monotonic()
        self.emit(Checkpointed(stage=stage, epoch=epoch, step=self.now.steps + training.done))

    def _told(self, stage: Stage, training: Training) -> int:
        """Epochs of the stage that are done, those of earlier trainings included."""
        return self.now.epochs.get(stage, 0) + training.epoch


def _gates(training: Training) -> dict[str, float]:
    """How nonlinear each layer is, where the depth is searched: 0 is linear, 1 is SiLU."""
    return (
        {f"gate {layer}": gate for layer, gate in training.gates.items()} if isinstance(training, DepthTraining) else {}
    )


def _skips(stage: Stage, training: Training) -> dict[str, int]:
    """How many skips are awake, where they are searched."""
    counts = scalar_counts(training.network) if stage == "search" else {}
    return {"skips": sum(counts.values())} if counts else {}


def _shares(stage: Stage, training: Training) -> dict[str, float]:
    """What is left of kernels and linear weights, where single ones are searched."""
    regularizers = [group.get("regularizer") for group in training.optimizer.param_groups]
    of_kernels = stage == "search" and any(isinstance(each, KernelGroupL1) for each in regularizers)
    return weight_shares(training.network) if of_kernels else {}


def _lam(training: Training) -> float | None:
    """The largest λ of any layer."""
    regularizers = [group.get("regularizer") for group in training.optimizer.param_groups]
    return max(
        (regularizer.lam for regularizer in regularizers if isinstance(regularizer, GroupL1 | KernelGroupL1)),
        default=None,
    )
