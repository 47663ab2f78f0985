"""The authors' experiments on MNIST, their settings: the classifier 784-200-80-10, and the autoencoders.

The classifier has single weights by ℓ1, with their optimisers; their figures (JMLR 23(192), 2022, and their code) are
on validation images after 30 epochs, two seeds. Beside each stands ours: neurons, at no larger size.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch

from bench.autoencoders import AUTHORS as AUTOENCODER
from bench.autoencoders import PUBLISHED
from bench.pool import Load
from bench.records import Record
from bench.sizes import WIDE, Search
from linbreg import L1, LinBreg, ProxSGD, RegularizedOptimizer
from models.network import Network
from models.stepper import Stepper
from spec import SearchSpec
from spec.mlp import Mlp
from spec.task import Classify
from worker.objective import objective
from worker.seeds import stream
from worker.training import Schedule, Training, batches_of, evaluate

AUTHORS: Final = Mlp(kind="mlp", widths=(200, 80), activation="relu", bias="free")
BATCH: Final = 128
EPOCHS: Final = 30
THEIRS: Final = {
    "LinBreg": "97.5, 96.7 % at 8.1, 8.4 %",
    "SGD": "97.9, 97.8 % at 100 %",
    "ProxSGD": "96.9, 97.3 % at 43, 47 %",
}
AUTOENCODERS: Final[dict[str, dict[str, Any]]] = {
    "deblur": {"kind": "deblur", "kernel_size": 9, "kernel_sigma": 5.0, "sigma": 0.05},
    "denoise": {"kind": "denoise", "sigma": 0.05},
}
LAMS: Final = {"LinBreg": 0.1, "SGD": 0.0, "ProxSGD": 1e-4}


@dataclass(frozen=True)
class Published:
    """One training. It begins with a share `density` of the weights; `scale` is a factor on He's deviation."""

    optimizer: str
    seed: int
    lam: float
    density: float = 1.0
    scale: float = 1.0
    lr: float = 0.1
    raw: bool = False
    """Inputs as they are, in [0, 1]: the pixels that are 0 in every image then have weights that get no gradient."""

    @property
    def name(self) -> str:
        """For people."""
        return f"784-200-80-10 {self.optimizer}{', raw inputs' * self.raw}, seed {self.seed}"

    @property
    def key(self) -> str:
        """Names the run."""
        said = {name: value for name, value in asdict(self).items() if value is not False}
        content = json.dumps([said, EPOCHS, BATCH, AUTHORS.model_dump(exclude_defaults=True)], sort_keys=True)
        return "published-" + hashlib.sha256(content.encode()).hexdigest()[:16]

    def run(self, load: Load, beside: Path) -> Record:
        """Train, and count what is not 0. A minute, which is not resumed."""
        samples, goal = load("mnist"), objective(Classify(kind="classify"))
        network = Network(AUTHORS.graph(samples.shape.shape, (10,)), None if self.raw else samples.inputs)
        sparse_weights_(network, self.density, self.scale, stream(self.seed, "start"))
        training = Training(
            "published", Stepper(network, self._optimizer(network)), Schedule("constant", self.lr), goal, samples,
            steps=EPOCHS * batches_of(samples, BATCH), batch_size=BATCH, seed=self.seed,
        )  # fmt: skip
        epochs = []
        while training.epoch < training.epochs:
            loss = training.run_epoch(lambda: None)
            assert training.scores is not None
            epochs.append({"train_loss": loss, "validation": asdict(training.scores), "share": share(network)})
        test = evaluate(network, goal, samples.splits["test"], self.seed, "test")
        return {"part": "published", **asdict(self), "epochs": epochs, "test": asdict(test), "share": share(network)}

    def _optimizer(self, network: Network) -> RegularizedOptimizer:
        weights = [layer.weight for layer in _linears(network)]
        groups: list[dict[str, Any]] = [{"params": [layer.bias for layer in _linears(network)]}]
        groups.append({"params": weights, "regularizer": L1(lam=self.lam)} if self.lam else {"params": weights})
        return LinBreg(groups, lr=self.lr) if self.optimizer == "LinBreg" else ProxSGD(groups, lr=self.lr)


def published() -> list[Published]:
    """The three of them, with standardised inputs and with raw ones, three seeds."""
    return [
        case
        for raw in (False, True)
        for seed in (1, 2, 3)
        for case in (
            Published("LinBreg", seed, LAMS["LinBreg"], density=0.01, scale=7.0, raw=raw),
            Published("SGD", seed, LAMS["SGD"], raw=raw),
            Published("ProxSGD", seed, LAMS["ProxSGD"], raw=raw),
        )
    ]


def classifiers() -> Iterator[Search]:
    """Ours beside the authors' classifier: as many epochs in all, at 8.1 % of its parameters."""
    spec = {
        "superstructure": {"kind": "mlp", "widths": [200, 80]}, "task": {"kind": "classify"}, "data": "mnist",
        "target": {"fraction": 0.081}, "method": {"lr": 0.003}, "budget": {"epochs": 10},
        "finetune": {"epochs": EPOCHS - 10}, "compare": ["flat", "scratch"], "seeds": [1, 2, 3],
    }  # fmt: skip
    yield Search("classifier 8.1 %", SearchSpec.model_validate(spec), {"part": "classifier", "percent": 8.1})


def autoencoders() -> Iterator[Search]:
    """Theirs for 10 epochs, as bench.autoencoders has two seeds of already; then ours for as many, at 200,000."""
    for name, task in AUTOENCODERS.items():
        given = {"task": task, "data": "mnist", "compare": ["linear", "flat", "scratch"]}
        for seed in (1, 2, 3):
            spec = given | {
                "superstructure": AUTOENCODER, "method": PUBLISHED, "budget": {"epochs": 10},
                "finetune": {"epochs": 0}, "compare": [], "seed": seed,
            }  # fmt: skip
            told = {"part": "autoencoder", "task": name, "form": "published"}
            yield Search(f"autoencoder {name}, published, seed {seed}", SearchSpec.model_validate(spec), told)
        spec = given | {
            "superstructure": WIDE, "method": {"lr": 0.003}, "target": {"parameters": 200_000},
            "budget": {"epochs": 3}, "finetune": {"epochs": 7}, "seeds": [1, 2, 3],
        }  # fmt: skip
        told = {"part": "autoencoder", "task": name, "form": "ours"}
        yield Search(f"autoencoder {name}, ours", SearchSpec.model_validate(spec), told)


@torch.no_grad()
def sparse_weights_(network: Network, density: float, scale: float, generator: torch.Generator) -> None:
    """He's normal weights times `scale`, each kept with probability `density`; biases U(0, 1/√fan_in)."""
    for layer in _linears(network):
        shape, fan_in = layer.weight.shape, layer.in_features
        kept = torch.rand(shape, generator=generator) < density
        layer.weight.copy_(torch.randn(shape, generator=generator) * kept * scale * math.sqrt(2 / fan_in))
        layer.bias.copy_(torch.rand(len(layer.bias), generator=generator) / math.sqrt(fan_in))


def share(network: Network) -> float:
    """Weights that are not 0, as a share; biases are not counted."""
    weights = [layer.weight for layer in _linears(network)]
    return sum(int(weight.count_nonzero()) for weight in weights) / sum(weight.numel() for weight in weights)


def _linears(network: Network) -> list[torch.nn.Linear]:
    return [network.layer(node) for node in network.graph.layers()]
