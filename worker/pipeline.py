"""A whole search on one device: search, train on, compare, choose.

Every stage can be left at any batch and taken up from a checkpoint, by this process or another, with the same result.
The stages follow each other in one order, each with all seeds in turn.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import cast

import torch

from models.groups import cut_, in_use
from models.network import Network, he_
from models.shrink import LayerDied, shrink
from models.stepper import Stepper, on_cpu
from spec import SIZES, Graph, Measure, Target, crops, parameters
from spec.method import AdaBreg, Lasso
from spec.mlp import Mlp
from spec.task import output_shape
from worker import comparison, linear
from worker.depth import DepthTraining
from worker.failure import SearchFailed, died
from worker.job import Folder, Job
from worker.loop import Loop
from worker.objective import objective
from worker.outcome import Candidate, Found, Outcome, Scores, ranked
from worker.path import Path, read
from worker.progress import Message, Stage
from worker.race import RATES, Arm, Trial, race, trials
from worker.resume import Progress
from worker.samples import Samples
from worker.searching import searching
from worker.seeds import stream
from worker.tiles import tiling
from worker.training import Diverged, Schedule, Training, batches_of, evaluate


class Pipeline:
    """Runs a job in its folder, and tells `emit` how it goes."""

    def __init__(
        self, job: Job, folder: Folder, samples: Samples, emit: Callable[[Message], None], stopping: Callable[[], bool]
    ) -> None:
        self.folder, self.samples, self.spec = folder, samples, job.spec
        self.device = torch.device(job.device)
        self.objective = objective(self.spec.task, None if samples.outputs is None else samples.outputs.std)
        samples.outputs = comparison.outputs(self.spec, self.objective, samples)
        shape = samples.shape
        self.shapes = shape.shape, output_shape(self.spec.task, shape)
        self.graph: Graph = self.spec.superstructure.graph(*self.shapes)
        self.crops = crops(self.spec.budget, self.spec.task, self.graph, shape)
        self.tiling = tiling(self.graph)
        self.batches = batches_of(samples, self.spec.budget.batch_size, self.crops)
        self.now = Progress(Path(samples))
        self.loop = Loop(job, folder, samples, self.graph, self.now, emit, stopping)
        self.resumed = self.now.reached

    def run(self) -> Outcome:
        """Do what is left to do. Raises SearchFailed, or Stopped.

        Each training lets go of its optimiser before the next begins: a search never holds two.
        """
        seeds = self.spec.all_seeds
        if len(self.now.found) < len(seeds):
            self.loop.begin("search", self.spec.search_epochs * len(seeds))
        for seed in seeds[len(self.now.found) :]:
            self.now.found.append(self._find(seed))
        self.loop.begin("finetune", len(seeds) * self._epochs(self._finetune_arms(), self._finetune_steps))
        for found in self.now.found:
            self._run_race("finetune", found, self._finetune_arms(), self._finetune_steps)
        self._compare()
        self.loop.begin("export", 0)
        return self._choose()

    # The stages

    def _find(self, seed: int) -> Found:
        if self.spec.start is not None:
            return self._start(seed)
        how = self.spec.method
        return self._search_depth(seed) if isinstance(how, AdaBreg) and how.depth == "searched" else self._search(seed)

    def _start(self, seed: int) -> Found:
        """The network of another search's path."""
        file = self.folder.path / "start.safetensors"
        if not file.exists():
            raise SearchFailed(
                "start_unavailable", "the search that this one was to begin from was deleted; begin from another"
            )
        network, counts = read(file, self.samples)
        return Found(seed, network, counts, self._score(network, "validation", seed))

    def _search(self, seed: int) -> Found:
        search = self._searching("search", self.graph, seed)
        network, how = search.network, self.spec.method
        self.loop.train("search", search)
        if isinstance(how, Lasso):
            cut_(network, how.threshold)
        large = on_cpu(network)
        try:
            small = shrink(large)
        except LayerDied as error:
            raise died(error.layer, self.spec) from error
        left = in_use(network)
        counts = {node.name: left[node.name] for node in self.graph.searched()}
        found = Found(
            seed, small, counts, self._score(small, "validation", seed), search.validate(),
            self._difference(large, small, seed),
        )  # fmt: skip
        if seed == self.spec.all_seeds[0]:
            # a network of its own: a checkpoint holds both, and no memory twice
            size, own = parameters(self.graph, left), lambda: copy.deepcopy(small)
            self.now.path.meet(size, own, counts, search.epoch, found.shrunk)
        return found

    def _searching(self, name: str, graph: Graph, seed: int, whole: Target | None = None) -> Training:
        return searching(
            name, graph, self.spec, self.objective, self.samples,
            seed=seed, device=self.device, crops=self.crops, tiling=self.tiling, whole=whole,
        )  # fmt: skip

    def _search_depth(self, seed: int) -> Found:
        """A network whose depth was searched, in place of its widths."""
        how, target = self.spec.method, self.spec.target
        assert target is not None
        search = DepthTraining(
            "search", cast(Mlp, self.spec.superstructure), how.lr, self.objective, self.samples,
            input_shape=self.shapes[0], output_shape=self.shapes[1], size=target.size, limit=target.limit(self.graph),
            steps=self.spec.budget.epochs * self.batches, batch_size=self.spec.budget.batch_size, seed=seed,
        )  # fmt: skip
        whole = parameters(self.graph)
        search.watch = lambda: parameters(search.network.graph) / whole
        self.loop.train("search", search)
        network = on_cpu(search.finish())
        return Found(seed, network, search.counts, self._score(network, "validation", seed))

    def _compare(self) -> None:
        first = self.now.found[0]
        names = self.spec.rivals
        if not names:
            return
        arms, self.now.shapes = comparison.arms(self.spec, self.objective, self.shapes, first, self._limit())
        steps = self.spec.full_epochs * self.batches
        again = len(self.now.found) - 1
        controls = len(self.now.found) if comparison.CONTROL in names else 0
        epochs = (
            self._epochs(arms, steps, self._pilot(arms)) + ((again if arms else 0) + controls) * self.spec.full_epochs
        )
        self.loop.begin("compare", epochs)
        if "linear" in names:
            self._linear(first.seed)
        for found in self.now.found[:controls]:
            self._control(found)
        if not arms:
            return
        winner = self._run_race("compare", first, arms, steps, self._pilot(arms))
        for found in self.now.found[1:]:
            self._run_race("compare", found, [winner], steps)

    def _linear(self, seed: int) -> None:
        """The best linear network of this size, which needs no training."""
        network = linear.closed_form(self.objective, self.samples, *self.shapes, self._size, self._limit())
        if network is not None:
            scores = self._score(network, "validation", seed)
            self.now.keep(Candidate("linear", seed, network, None, 0, 0, full=True, validation=scores))

    def _control(self, found: Found) -> None:
        """Equal widths at the size, trained as the search trains, and on as what it found: the search without moves."""
        graph = comparison.flat(self.spec, self.shapes, self._limit())
        if graph is None:
            return
        seed, how = found.seed, self.spec.method
        key = f"compare/{seed}/{comparison.CONTROL} search"
        if key not in self.now.losses:
            search = self._searching(key, graph, seed, Target(**{self._measure: self._size(graph)}))
            try:
                self.loop.train("compare", search)
            except Diverged:
                self.now.losses[key] = math.inf
                return
            network = shrink(on_cpu(search.network))
            scores = self._score(network, "validation", seed)
            epochs, full = self.spec.budget.epochs, self.spec.finetune.epochs == 0
            self.now.keep(Candidate(comparison.CONTROL, seed, network, how.lr, search.steps, epochs, full, scores))
            self.now.losses[key] = scores.loss
        key = f"compare/{seed}/{comparison.CONTROL} finetune"
        if self._finetune_steps and key not in self.now.losses and (comparison.CONTROL, seed) in self.now.candidates:
            lr = self.now.candidates["found", seed].lr
            assert lr is not None
            arm = Arm(comparison.CONTROL, comparison.CONTROL, lr, "found")
            self.now.losses[key] = self._try("compare", key, found, Trial(arm, self._finetune_steps, final=True))

    def _choose(self) -> Outcome:
        candidates = list(self.now.candidates.values())
        best_first = ranked(candidates)
        for candidate in candidates:  # the choice is made: the test set may be looked at, once
            candidate.test = self._score(candidate.network, "test", candidate.seed)
        return Outcome(
            full=self.graph,
            found=self.now.found[0],
            unchanged=self._unchanged(),
            contenders=best_first,
            winner=best_first[0],
            path=self.now.path.snapshots(),
            comparison_epochs=self.now.compared / self.batches,
            notes=comparison.notes(self.spec, self.graph, self.now.found, candidates, self.now.losses),
            history=self.now.history,
        )

    # Races

    def _finetune_arms(self) -> list[Arm]:
        return [Arm("found", "found", factor * self.spec.finetune.lr, "found") for factor in RATES]

    @property
    def _finetune_steps(self) -> int:
        return self.spec.finetune.epochs * self.batches

    def _pilot(self, arms: Sequence[Arm]) -> str | None:
        """The shape on which learning rates are settled for all: of convolutions, which are trained for fewer steps."""
        return arms[0].shape if self.spec.convolutional and len({arm.shape for arm in arms}) > 1 else None

    def _epochs(self, arms: Sequence[Arm], steps: int, pilot: str | None = None) -> int:
        """Epochs, begun ones included, of a race."""
        return sum(-(-trial.steps // self.batches) for trial in trials(arms, steps, pilot)) if steps else 0

    def _run_race(self, stage: Stage, found: Found, arms: Sequence[Arm], steps: int, pilot: str | None = None) -> Arm:
        """Train what a race wants trained, as far as that is not done; returns the arm that came through."""
        if steps == 0:  # the network as the search left it
            self.now.keep(Candidate("found", found.seed, found.network, None, 0, 0, full=True, validation=found.shrunk))
            return arms[0]
        running = race(arms, steps, pilot)
        trial = next(running)
        while True:
            key = f"{stage}/{found.seed}/{trial.key}"
            if key not in self.now.losses:
                self.now.losses[key] = self._try(stage, key, found, trial)
            try:
                trial = running.send(self.now.losses[key])
            except StopIteration:
                return trial.arm

    def _try(self, stage: Stage, key: str, found: Found, trial: Trial) -> float:
        """Train an arm; keep the network where it is the best evidence of its name; returns its validation loss."""
        arm = trial.arm
        source = self._source(arm, found)
        network = self._begun(arm, source, found.seed, stream(found.seed, key, "start")).to(self.device)
        adam = torch.optim.Adam(network.parameters(), lr=arm.lr, fused=True)
        training = self._training(
            key, network, adam, Schedule("warm cosine", arm.lr), trial.steps, found.seed,
            keep_best=True, measure_start=arm.start != "dense",
        )  # fmt: skip
        try:
            self.loop.train(stage, training)
        except Diverged:
            if training.best is None:
                return float("inf")
        network = on_cpu(training.finish())
        scores = self._score(network, "validation", found.seed)
        epochs = trial.steps / self.batches
        self.now.keep(Candidate(arm.name, found.seed, network, arm.lr, trial.steps, epochs, trial.final, scores))
        return scores.loss

    def _source(self, arm: Arm, found: Found) -> Network | None:
        """A network that there is already and that the arm has the shape of, or goes on with."""
        if arm.name == comparison.CONTROL:
            return self.now.candidates[arm.name, found.seed].network
        return found.network if arm.start == "found" or arm.shape == comparison.SCRATCH else None

    def _begun(self, arm: Arm, source: Network | None, seed: int, generator: torch.Generator) -> Network:
        """A network of an arm's shape with its weights at the start; `source` is one of the same shape, if there is."""
        graph = source.graph if source is not None else self.now.shapes[arm.shape]
        if arm.start == "linear":
            return linear.near_linear(self.objective, self.samples, graph, seed, generator)
        network = Network(graph, self.samples.inputs, self.samples.outputs)
        if source is not None:
            network.load_state_dict(source.state_dict())  # also for the buffers: which outputs are constants
        return network if arm.start == "found" else he_(network, generator)

    # Small things

    def _training(
        self,
        name: str,
        network: Network,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        steps: int,
        seed: int,
        keep_best: bool = False,
        measure_start: bool = False,
    ) -> Training:
        return Training(
            name, Stepper(network, optimizer, bfloat16=self.spec.budget.precision == "bfloat16"), schedule,
            self.objective, self.samples,
            steps=steps, batch_size=self.spec.budget.batch_size, seed=seed,
            crops=self.crops, tiling=self.tiling, keep_best=keep_best, measure_start=measure_start,
        )  # fmt: skip

    @property
    def _measure(self) -> Measure:
        """What a comparison is fair in: the target's measure, or parameters."""
        return comparison.measure(self.spec)

    def _size(self, graph: Graph) -> int:
        return SIZES[self._measure](graph, None)

    def _limit(self) -> int:
        """How large a network may be that is compared: the target, or what was found."""
        target = self.spec.target
        if target is None or target.measure == "neurons":
            return parameters(self.now.found[0].network.graph)
        return target.limit(self.graph)

    def _score(self, network: torch.nn.Module, split: str, seed: int) -> Scores:
        return evaluate(network, self.objective, self.samples.splits[split], seed, split, self.tiling)

    def _unchanged(self) -> Scores | None:
        """What handing the input through would score, where that is an answer: every network has to beat it."""
        given, wanted = self.shapes
        if self.spec.task.kind not in ("denoise", "deblur", "super_resolve", "translate") or given != wanted:
            return None
        return self._score(torch.nn.Identity(), "validation", self.spec.all_seeds[0])

    @torch.no_grad()
    def _difference(self, large: Network, small: Network, seed: int) -> float:
        split = self.samples.splits["validation"]
        most = 512 if self.tiling is None else max(1, self.tiling.pixels // split.pixels)
        x, y = split.batch(split.first(most))
        given, _ = self.objective.pair(x, y, stream(seed, "validation", 0))
        return float((large.eval()(given) - small.eval()(given)).abs().max())
