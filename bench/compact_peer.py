"""A whole search by the one published library of the method, bregman-learning, beside ours: the same settings.

    python -m bench.compact_peer --peer PYTHON [--epochs N] [--data NAME]

PYTHON is that of an environment which has `torch` of our version, `numpy`, `igraph`, and `bregman-learning` installed
with `--no-deps`. Theirs groups the rows of one matrix, so biases are given to it as a column of the weights; both begin
with the same weights, and see the same batches and noise. One thread each, one after the other; the batches are made
before, so CPU and wall time are those of the steps alone.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import torch

from bench.compact_search import asked, load
from models.network import Network
from worker.objective import objective
from worker.searching import searching
from worker.seeds import stream

PROGRAM: Final = """
import json, sys, time, torch
import torch.nn.functional as F
from bregman import AdaBreg, L12
given = torch.load(sys.argv[1])
torch.set_num_threads(1)
weights = [torch.nn.Parameter(weight) for weight in given["weights"]]
optimizer = AdaBreg(weights, lr=given["lr"], reg=L12(rc=given["lam"]))
losses, cpu, wall = [], time.process_time(), time.perf_counter()
for x, y in zip(given["inputs"], given["targets"]):
    h = x
    for k, weight in enumerate(weights):
        h = F.linear(h, weight[:, 1:], weight[:, 0])
        h = F.silu(h) if k + 1 < len(weights) else h
    loss = F.mse_loss(h, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}
counts = [int((weight != 0).any(1).sum()) for weight in weights]
print(json.dumps({**took, "losses": losses, "counts": counts}))
"""


def main() -> None:
    """Run both on the same batches, made beforehand."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peer", required=True, help="python of the other environment")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--data", default="mnist-5k")
    given = parser.parse_args()
    torch.set_num_threads(1)
    samples, spec = load(given.data), asked("AdaBreg, ours", given.data, given.epochs)
    graph = spec.superstructure.graph(samples.shape.shape, samples.shape.shape)
    training = searching(
        "search", graph, spec, objective(spec.task), samples,
        seed=1, device=torch.device("cpu"), crops=None, tiling=None,
    )  # fmt: skip
    batches = [_batch(training, epoch, number) for epoch in range(given.epochs) for number in range(training.batches)]
    theirs = _theirs(given.peer, training.network, batches, spec.method.lr, spec.method.start_lam)
    losses, cpu, wall = list[float](), time.process_time(), time.perf_counter()
    for x, y in batches:
        losses.append(training.stepper.step(x, lambda output, y=y: training.objective.loss(output, y)))
    ours = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "losses": losses}
    counts = list(training.stepper.counts().values())
    for name, each, found in (("ours", ours, counts), ("theirs", theirs, theirs["counts"])):
        print(f"{name}: {each['cpu']:.1f} s CPU, {each['wall']:.1f} s; widths {found}; losses {each['losses'][-3:]}")
    apart = max(abs(a - b) / a for a, b in zip(losses, theirs["losses"], strict=True))
    print(f"theirs / ours {theirs['cpu'] / ours['cpu']:.1f} (CPU), largest relative difference of a loss {apart:.1e}")


def _batch(training: Any, epoch: int, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    size = training.batch_size
    order = torch.randperm(len(training.samples.train), generator=stream(1, "search", "order", epoch))
    x, y = training.samples.train.batch(order[number * size : (number + 1) * size])
    given, target = training.objective.pair(x, y, stream(1, "search", "noise", epoch, number))
    return given, target


def _theirs(peer: str, network: Network, batches: list[Any], lr: float, lam: float) -> dict[str, Any]:
    rows = [network.rows(node) for node in network.graph.layers()]
    told = {
        "weights": [torch.cat([each["bias"][:, None], each["weight"]], 1).detach() for each in rows],
        "inputs": [network.inputs.standardize(x).flatten(1) for x, _ in batches],
        "targets": [y.flatten(1) for _, y in batches],
        "lr": lr,
        "lam": lam,
    }
    with tempfile.TemporaryDirectory() as place:
        file, program = Path(place) / "given.pt", Path(place) / "program.py"
        torch.save(told, file)
        program.write_text(PROGRAM)
        ran = subprocess.run([peer, program, file], capture_output=True, text=True, check=True)
    answer: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return answer


if __name__ == "__main__":
    main()
