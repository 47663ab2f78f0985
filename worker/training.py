"""One training of one network: epochs of batches that can be left at any batch and taken up again exactly."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch

from models.network import Network
from models.stepper import Stepper
from spec import Crops
from worker.checkpoint import Tensors, prefixed, under
from worker.failure import SearchFailed
from worker.objective import Objective
from worker.outcome import Scores
from worker.samples import Samples, Split
from worker.seeds import stream
from worker.tiles import Tiling, run

EVALUATION_BATCH = 512
WARM_UP = 20  # steps
WATCH_EVERY = 10  # steps


class Schedule:
    """The step size of every step.

    `constant`; `cosine`: from half-way to 0; `plateau`: halved when the epoch's training loss has not fallen by 1 %
    for more than 5 epochs; `warm cosine`: 20 steps up (a quarter of all where they are few), then a cosine to 0.
    """

    def __init__(self, kind: Literal["constant", "cosine", "plateau", "warm cosine"], lr: float) -> None:
        self.kind = kind
        self.peak = lr
        self.factor, self.best, self.waited = 1.0, math.inf, 0

    def lr(self, step: int, steps: int) -> float:
        """Step size of step number `step` of `steps`, counted from 0."""
        done = step / steps
        match self.kind:
            case "cosine" if done > 0.5:
                return self.peak * 0.5 * (1 + math.cos(math.pi * (2 * done - 1)))
            case "warm cosine":
                warm = min(WARM_UP, steps // 4 + 1)
                return self.peak * min(1, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * done))
            case _:
                return self.peak * self.factor

    def epoch_ended(self, loss: float) -> None:
        """Tell the epoch's mean training loss."""
        if self.kind != "plateau":
            return
        if loss < self.best * 0.99:
            self.best, self.waited = loss, 0
            return
        self.waited += 1
        if self.waited > 5:
            self.factor, self.waited = self.factor / 2, 0


class Diverged(SearchFailed):
    """A loss is no longer finite."""


class Training:
    """Trains the network of `stepper` on `samples` for `steps`; `name` names it and the randomness that belongs to it.

    An epoch goes once through the training split, or with `crops` so often through it as every image gives crops; the
    last one ends with the steps. `tiling` says how a network of any image size runs large ones, in validation. With
    `keep_best` the weights with the lowest validation loss are kept in `best`, those before the first step included
    where `measure_start` says so; without, the last ones are. `after_step` is called with the number of steps done,
    after every step; `watch` every 10 steps, and `watched` is the mean of what it said in this epoch. A param group
    with an `lr_factor` has so many times the step size of the others. `network` and its optimiser have all of the state
    after `settle`; between steps ask the stepper.

    The network lies on any device; samples stay on the CPU, and so does all that is random.
    """

    def __init__(
        self,
        name: str,
        stepper: Stepper,
        schedule: Schedule,
        objective: Objective,
        samples: Samples,
        *,
        steps: int,
        batch_size: int,
        seed: int,
        crops: Crops | None = None,
        tiling: Tiling | None = None,
        keep_best: bool = False,
        measure_start: bool = False,
        after_step: Callable[[int], None] | None = None,
        watch: Callable[[], float] | None = None,
    ) -> None:
        self.name, self.stepper, self.schedule = name, stepper, schedule
        self.objective, self.samples, self.steps, self.seed = objective, samples, steps, seed
        self.batch_size = batch_size
        self.crops, self.tiling = crops, tiling
        self.batches = batches_of(samples, batch_size, crops)
        self.epochs = math.ceil(steps / self.batches)
        self.device = next(stepper.network.parameters()).device
        self.after_step, self.watch = after_step, watch
        self._watched: list[float] = [0.0, 0.0]  # sum and number
        self.epoch = 0  # epochs done
        self.batch = 0  # batches done in this one
        self._loss_sum = 0.0
        self.seconds = 0.0  # spent in this epoch; what is lost with a killed trainer is not counted
        self.scores: Scores | None = None
        self.best: Tensors | None = None
        self.best_loss = math.inf
        self.keep_best = keep_best
        if measure_start:
            self._keep(self.validate())

    @property
    def network(self) -> Network:
        """What is trained."""
        return self.stepper.network

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """What trains it."""
        return self.stepper.optimizer

    @property
    def done(self) -> int:
        """Steps done."""
        return min(self.steps, self.epoch * self.batches + self.batch)

    @property
    def settled(self) -> bool:
        """Whether it may end now."""
        return True

    @property
    def watched(self) -> float | None:
        """Mean of what `watch` said in the last epoch, or this one so far."""
        return self._watched[0] / self._watched[1] if self._watched[1] else None

    def lr(self, step: int | None = None) -> float:
        """The step size of the next step, or of the step after `step` of them."""
        return self.schedule.lr(self.done if step is None else step, self.steps)

    def run_epoch(self, between: Callable[[], None]) -> float:
        """Finish the current epoch; returns its mean training loss. `between` is called after every batch.

        Raises SearchFailed where the loss is not finite.
        """
        if self.batch == 0:
            self._watched = [0.0, 0.0]
        count = len(self.samples.train)
        order = torch.randperm(
            _of_epoch(count, self.crops), generator=stream(self.seed, self.name, "order", self.epoch)
        )
        order %= count
        batches = min(self.batches, self.steps - self.epoch * self.batches)
        while self.batch < batches:
            started = time.monotonic()
            indices = order[self.batch * self.batch_size : (self.batch + 1) * self.batch_size]
            self._loss_sum += self._step(indices) * len(indices)
            self.batch += 1
            if self.after_step is not None:
                self.after_step(self.done)
            if self.watch is not None and (self.done % WATCH_EVERY == 0 or self.batch == batches):
                self._watched = [self._watched[0] + self.watch(), self._watched[1] + 1]
            self.seconds += time.monotonic() - started
            between()
        started = time.monotonic()
        loss = self._loss_sum / len(order[: batches * self.batch_size])
        self.schedule.epoch_ended(loss)
        self.scores = self.validate()
        if not math.isfinite(self.scores.loss):  # the last step of an epoch is seen by no training loss
            raise self._not_finite("validation", self.scores.loss)
        self.epoch, self.batch, self._loss_sum = self.epoch + 1, 0, 0.0
        if self.keep_best:
            self._keep(self.scores)
        self.seconds += time.monotonic() - started
        return loss

    def validate(self) -> Scores:
        """Scores on the validation split, with the same noise every time."""
        split = self.samples.splits["validation"]
        return evaluate(self.stepper.model(), self.objective, split, self.seed, "validation", self.tiling)

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything that the rest of the training depends on."""
        tensors, values = self.stepper.state()
        tensors = prefixed("stepper", tensors)
        if self.best is not None:
            tensors |= prefixed("best", self.best)
        return tensors, {
            "epoch": self.epoch,
            "batch": self.batch,
            "loss_sum": self._loss_sum,
            "seconds": self.seconds,
            "watched": self._watched,
            "best_loss": self.best_loss if self.best is not None else None,
            "schedule": [self.schedule.factor, self.schedule.waited],
            "schedule_best": self.schedule.best if math.isfinite(self.schedule.best) else None,
            "stepper": values,
        }

    def restore(self, tensors: Tensors, values: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.stepper.restore(under("stepper", tensors), values["stepper"])
        self.best = under("best", tensors) or None
        self.best_loss = math.inf if values["best_loss"] is None else values["best_loss"]
        self.epoch, self.batch, self._loss_sum = values["epoch"], values["batch"], values["loss_sum"]
        self.seconds, self._watched = values["seconds"], values["watched"]
        self.schedule.factor, self.schedule.waited = values["schedule"]
        self.schedule.best = math.inf if values["schedule_best"] is None else values["schedule_best"]

    def settle(self) -> None:
        """Let `network` and `optimizer` have what was trained, until the next step."""
        self.stepper.write_back()

    def finish(self) -> Network:
        """The trained network: the best by validation, or the last."""
        self.settle()
        if self.best is not None:
            self.network.load_state_dict(self.best)
        return self.network

    def _step(self, indices: torch.Tensor) -> float:
        if self.crops is None:
            x, y = self.samples.train.batch(indices)
        else:
            place = stream(self.seed, self.name, "crop", self.epoch, self.batch)
            x, y = self.samples.train.crops(indices, self.crops.side, place)
        given, target = self.objective.pair(x, y, stream(self.seed, self.name, "noise", self.epoch, self.batch))
        given, target = given.to(self.device), target.to(self.device)
        lr = self.lr()
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group.get("lr_factor", 1.0)
        value = self.stepper.step(given, lambda output: self.objective.loss(output, target))
        if not math.isfinite(value):
            raise self._not_finite("training", value)
        return value

    def _not_finite(self, which: str, value: float) -> SearchFailed:
        advice = "method.lr smaller, or method.init_scale" if self.name == "search" else "finetune.lr smaller"
        return Diverged(
            "loss_not_finite",
            f"the {which} loss became {value} in epoch {self.epoch + 1} of {self.name}; make {advice}",
        )

    def _keep(self, scores: Scores) -> None:
        if scores.loss < self.best_loss:
            self.best_loss = scores.loss
            self.settle()
            self.best = copy.deepcopy(self.network.state_dict())


def batches_of(samples: Samples, batch_size: int, crops: Crops | None = None) -> int:
    """Batches of an epoch; the last may be smaller."""
    return math.ceil(_of_epoch(len(samples.train), crops) / batch_size)


def _of_epoch(images: int, crops: Crops | None) -> int:
    return images * (1 if crops is None else crops.per_image)


@torch.no_grad()
def evaluate(
    network: torch.nn.Module,
    objective: Objective,
    split: Split,
    seed: int,
    purpose: str,
    tiling: Tiling | None = None,
) -> Scores:
    """Mean loss and metrics of a network on the whole samples of a split; each counts alike, whatever its size.

    Noise depends on `seed` and `purpose` alone. `tiling` is of a network of any image size: large images are then run
    in tiles, and never so many at once that they have more pixels together than a tile.
    """
    network.eval()
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    loss = metric = 0.0
    more: dict[str, float] = {}
    for indices in _at_once(split, tiling):
        x, y = split.batch(indices)
        given, target = objective.pair(x, y, stream(seed, purpose, int(indices[0])))
        output = (network(given.to(device)) if tiling is None else run(network, given.to(device), tiling)).cpu()
        loss += objective.loss(output, target).item() * len(indices)
        metric += objective.measure(output, target).sum().item()
        for name, values in objective.details(output, target).items():
            more[name] = more.get(name, 0.0) + values.sum().item()
    return Scores(loss / len(split), metric / len(split), {name: total / len(split) for name, total in more.items()})


def _at_once(split: Split, tiling: Tiling | None) -> Iterator[torch.Tensor]:
    """Indices of samples that are run together: of one size, and not too many."""
    most = EVALUATION_BATCH if tiling is None else min(EVALUATION_BATCH, max(1, tiling.pixels // split.pixels))
    if split.sizes is not None:
        most = 1
    for start in range(0, len(split), most):
        yield torch.arange(start, min(start + most, len(split)))
