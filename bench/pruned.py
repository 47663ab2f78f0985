"""The best-known pruning library (torch-pruning) on our U-Nets: trained dense, pruned to a size, trained on.

In an environment of its own: torch==2.13.0, numpy, pillow, pydantic, safetensors, tqdm, and `torch-pruning` installed
without what it asks for (measured with 1.6.1):

    python -m bench.pruned --data-root FOLDER [--only TEXT] [--target N …] [--seed N …] [--way magnitude group-norm]
                           [--rounds N] [--steps N] [--out FILE]

The network is the generated `model.py` of the superstructure: plain PyTorch. Data, crops, noise, batches, steps in all
and the race of three learning rates are those of `bench.unets`. Half of the steps train the dense network. It is then
cut towards the target in `--rounds` rounds by equal factors, channels ranked over all layers together and ranked anew
after every few channels; half of the other half is spread between the rounds, the rest follows the last one.
"magnitude" ranks groups by their norm; "group-norm" also draws the weak ones to 0 while the dense network is trained.
"""

import argparse
import copy
import importlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, cast

import torch
from torch import nn

import datasets
from bench.records import Record, append, read
from bench.unets import SEEDS, Given, given
from models.network import Affine, Network, he_
from models.source import source, tensors
from models.stepper import Stepper
from spec import Crops, Graph, crops, macs, parameters
from spec.task import output_shape
from worker import comparison
from worker.objective import Objective, objective
from worker.race import RATES, Arm, Trial, race
from worker.samples import Samples
from worker.seeds import stream
from worker.tiles import Tiling, tiling
from worker.training import Diverged, Schedule, Training, batches_of, evaluate

OUT: Final = Path("bench/results/pruned.jsonl")
WAYS: Final = ("magnitude", "group-norm")
CUTS: Final = 400  # times that the library ranks the channels anew on its way to one channel a layer


@dataclass(frozen=True)
class Pruning:
    """One task, target and seed by one way, from data to record."""

    task: Given
    samples: Samples
    target: int
    seed: int
    way: str
    rounds: int
    steps: int
    graph: Graph
    goal: Objective
    crops: Crops | None
    tiling: Tiling | None
    outputs: Affine | None

    def run(self) -> Record:
        """Race the learning rates, and tell what the whole training gave."""
        running, started = race([Arm("pruned", "", factor * 1e-3) for factor in RATES], self.steps), time.process_time()
        trial = next(running)
        while True:
            record, loss = self.pruned(trial)
            try:
                trial = running.send(loss)
            except StopIteration:
                return record | {"seconds": round(time.process_time() - started, 1)}

    def pruned(self, trial: Trial) -> tuple[Record, float]:
        """Train, prune, train on: the record and the validation loss."""
        label, lr = f"pruned {self.way} {trial.key}", trial.arm.lr
        network = self._dense(label)
        try:
            self._train(f"{label} dense", network, trial.steps // 2, lr, "warm cosine", regularised=True)
            between = trial.steps // 4
            at_cut: Record = {}
            for i in range(1, self.rounds + 1):
                full = parameters(self.graph)
                size = round(full * (self.target / full) ** (i / self.rounds))
                at_cut = self._cut(network, size)
                if i < self.rounds:
                    self._train(f"{label} {i}", network, between // (self.rounds - 1), lr, "constant")
            left = trial.steps - trial.steps // 2 - (between if self.rounds > 1 else 0)
            self._train(f"{label} end", network, left, lr, "warm cosine", keep_best=True)
        except Diverged:
            return {"failed": "diverged", "lr": lr, "steps": trial.steps}, math.inf
        counts = widths(network)
        splits = ("validation", "test") if trial.steps == self.steps else ("validation",)  # the test set once
        told = {name: self._score(network, name) for name in splits}
        size = sum(parameter.numel() for parameter in network.parameters())
        if size != parameters(self.graph, counts):
            at_cut["unlike"] = parameters(self.graph, counts)  # what these widths amount to as a U-Net
        return {
            "asked": self.target, "parameters": size, "macs": macs(self.graph, counts), "counts": counts, "lr": lr,
            "steps": trial.steps, "last_cut": at_cut, **told,
        }, told["validation"]["loss"]  # fmt: skip

    def _dense(self, label: str) -> nn.Module:
        ours = he_(Network(self.graph, self.samples.inputs, self.outputs), stream(self.seed, label, "start"))
        return plain(ours)

    def _train(
        self, name: str, network: nn.Module, steps: int, lr: float, shape: Any, regularised: bool = False, **how: Any
    ) -> None:
        if steps == 0:
            return
        adam = torch.optim.Adam(network.parameters(), lr=lr)
        if regularised and self.way == "group-norm":
            pruner = self._pruner(network)
            pruner.update_regularizer()
            adam.register_step_pre_hook(lambda *_: pruner.regularize(network))
        training = Training(
            name, Stepper(cast(Network, network), adam), Schedule(shape, lr), self.goal, self.samples, steps=steps,
            batch_size=self.task.batch_size, seed=self.seed, crops=self.crops, tiling=self.tiling, **how,
        )  # fmt: skip
        while training.done < steps:
            training.run_epoch(lambda: None)
        training.finish()

    def _pruner(self, network: nn.Module) -> Any:
        library: Any = importlib.import_module("torch_pruning")
        kinds = library.pruner
        kind = kinds.GroupNormPruner if self.way == "group-norm" else kinds.MagnitudePruner
        return kind(
            network, torch.rand(1, *self.graph.input_shape[:1], 64, 64),
            importance=library.importance.GroupMagnitudeImportance(p=2), global_pruning=True, pruning_ratio=1.0,
            iterative_steps=CUTS, ignored_layers=[network.head],
        )  # fmt: skip

    def _cut(self, network: nn.Module, size: int) -> Record:
        """Prune until there are `size` parameters at most; tells how far the output is from that of masked networks."""
        before, kept = copy.deepcopy(network), {name: list(range(n)) for name, n in widths(network).items()}
        names = {module: name for name, module in network.named_modules()}
        pruner = self._pruner(network)
        for _ in range(CUTS):
            if sum(parameter.numel() for parameter in network.parameters()) <= size:
                break
            for group in pruner.step(interactive=True):
                for dependency, indices in group:
                    name = names.get(dependency.target.module, "")
                    if name in kept and dependency.handler.__name__ == "prune_out_channels":
                        gone = set(indices)
                        kept[name] = [channel for i, channel in enumerate(kept[name]) if i not in gone]
                group.prune()
        x = self.goal.pair(*self.samples.splits["validation"].batch(torch.arange(1)), stream(self.seed, "cut"))[0]
        with torch.no_grad():
            output = network(x)
            whole = before(x)
            masked, weights = (masked_(copy.deepcopy(before), kept, bias)(x) for bias in (True, False))
        scale = float(whole.std())
        return {
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "unlike_masked": float((output - masked).abs().max()) / scale,
            "unlike_masked_weights": float((output - weights).abs().max()) / scale,
            "unlike_whole": float((output - whole).abs().max()) / scale,
        }

    def _score(self, network: nn.Module, split: str) -> Record:
        return asdict(evaluate(network, self.goal, self.samples.splits[split], self.seed, split, self.tiling))


def plain(network: Network) -> nn.Module:
    """The network as its own `model.py` has it: nothing but torch's modules, which the library can trace."""
    text: dict[str, Any] = {"__name__": "model"}
    exec(source(network, "A U-Net").partition("\ndef load(")[0], text)
    made: nn.Module = text["Network"]()
    made.load_state_dict(tensors(network))
    return made


def widths(network: nn.Module) -> dict[str, int]:
    """Channels of every convolution but the head."""
    convolutions = [(name, module) for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    return {name: module.out_channels for name, module in convolutions if name != "head"}


@torch.no_grad()
def masked_(network: nn.Module, kept: Mapping[str, Sequence[int]], bias: bool) -> nn.Module:
    """Filters that are not kept are 0, with their biases or without."""
    for name, channels in kept.items():
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        gone = torch.ones(layer.out_channels, dtype=torch.bool)
        gone[list(channels)] = False
        layer.weight[gone] = 0.0
        if bias:
            layer.bias[gone] = 0.0
    return network


def prunings(asked: argparse.Namespace) -> Iterator[tuple[str, Record, Pruning]]:
    """Name, what is asked for, and the work, of everything that the arguments name."""
    for task in given():
        if asked.only not in task.name:
            continue
        samples = Samples(datasets.load(task.data, asked.data_root))
        for target in asked.target or task.targets:
            for seed in asked.seed:
                spec = task.spec(target, (seed,))
                goal = objective(spec.task)
                shape = samples.shape
                graph = spec.superstructure.graph(shape.shape, output_shape(spec.task, shape))
                squares = crops(spec.budget, spec.task, graph, shape)
                batches = batches_of(samples, spec.budget.batch_size, squares)
                steps = asked.steps or spec.full_epochs * batches
                for way in asked.way:
                    told = {"task": task.name, "target": target, "seed": seed, "way": way, "rounds": asked.rounds}
                    yield (
                        f"{way} {task.name} {target}, seed {seed}, {asked.rounds} rounds, {steps} steps", told,
                        Pruning(
                            task, samples, target, seed, way, asked.rounds, steps, graph, goal, squares, tiling(graph),
                            comparison.outputs(spec, goal, samples),
                        ),
                    )  # fmt: skip


def main() -> None:
    """Run what has no record yet, a line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--only", default="", help="only tasks whose name holds this")
    parser.add_argument("--target", type=int, nargs="+", help="parameters; those of bench.unets where not given")
    parser.add_argument("--seed", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--way", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="in all; those of bench.unets where not given")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    there = {record["case"] for record in read(asked.out)}
    for name, told, pruning in prunings(asked):
        if name not in there:
            record = {"case": name} | told | pruning.run()
            append(asked.out, record)
            print(
                name, {key: record.get(key) for key in ("parameters", "lr", "test", "last_cut", "seconds")}, flush=True
            )


if __name__ == "__main__":
    main()
