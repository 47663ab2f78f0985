"""Are compact steps the plain ones? Two searches side by side in float64, and how fast rounding alone grows.

    python -m bench.compact_exact [--steps N] [--width N] [--data NAME]

After every step the active neurons are compared. LinBreg is run with three step sizes, and once beside a *plain* search
whose duals differ by rounding at the start: where that one parts too, the search is chaotic.
"""

import argparse
from collections.abc import Callable

import torch

from bench.compact_search import asked, load
from models.compact import CompactMlp
from models.groups import active_masks, sparse_start_
from models.network import Network
from models.stepper import Stepper
from spec import SearchSpec
from worker.objective import objective
from worker.optimizers import optimizer
from worker.samples import Samples
from worker.seeds import stream

Kind = Callable[[Network, torch.optim.Optimizer], Stepper]


def rounded(network: Network, moves: torch.optim.Optimizer) -> Stepper:
    """The plain steps, from duals that differ by rounding."""
    generator = torch.Generator().manual_seed(1)
    for state in moves.state.values():
        dual = state["dual"]
        dual.mul_(1 + 2e-16 * torch.randn(dual.shape, dtype=dual.dtype, generator=generator))
    return Stepper(network, moves)


def compared(spec: SearchSpec, samples: Samples, other: Kind, steps: int) -> str:
    """How far the plain search and another are apart after `steps`, or when they came to differ in a neuron."""
    graph, goal = spec.superstructure.graph(samples.shape.shape, samples.shape.shape), objective(spec.task)
    pair = []
    for kind in (Stepper, other):
        network = Network(graph, samples.inputs, samples.outputs)
        sparse_start_(network, density=spec.method.start_density, scale=2.0, generator=stream(1, "start"))
        pair.append(kind(network.double(), optimizer(network, spec.method)))
    fell, before = 0, active_masks(pair[0].network)
    for step in range(1, steps + 1):
        generator = torch.Generator().manual_seed(step)
        rows = torch.randint(len(samples.train), (spec.budget.batch_size,), generator=generator)
        given, wanted = (each.double() for each in goal.pair(*samples.train.batch(rows), generator))
        for stepper in pair:
            stepper.step(given, lambda output, wanted=wanted: goal.loss(output, wanted))
        now, theirs = active_masks(pair[0].network), active(pair[1])
        fell += sum(int((before[layer] & ~now[layer]).sum()) for layer in now)
        if any(not torch.equal(now[layer], theirs[layer]) for layer in now):
            return f"other neurons after {step} steps, {fell} having fallen asleep"
        before = now
    pair[1].write_back()
    params = zip(*(stepper.network.parameters() for stepper in pair), strict=True)
    apart = max(float((one - two).detach().abs().max()) for one, two in params)
    counts = list(pair[0].counts().values())
    return f"the same neurons after every step, {fell} having fallen asleep; weights within {apart:.0e}; {counts}"


def active(stepper: Stepper) -> dict[str, torch.Tensor]:
    """Who is active, without a change of the stepper's form."""
    return stepper.active() if isinstance(stepper, CompactMlp) else active_masks(stepper.network)


def main() -> None:
    """Run all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=430)
    parser.add_argument("--width", type=int, default=240)
    parser.add_argument("--data", default="mnist-5k")
    given = parser.parse_args()
    torch.set_num_threads(1)
    samples, kinds = load(given.data), {"compact": CompactMlp, "plain, rounded": rounded}
    cases = [("AdaBreg, ours", None, "compact"), ("LinBreg", 1.0, "compact"), ("LinBreg", 3.0, "compact")]
    for method, lr, kind in [*cases, ("LinBreg", 10.0, "compact"), ("LinBreg", 10.0, "plain, rounded")]:
        spec = asked(method, given.data, 1).model_dump()
        spec["superstructure"]["widths"] = (given.width,) * 5
        spec["method"]["lr"] = lr or spec["method"]["lr"]
        told = compared(SearchSpec.model_validate(spec), samples, kinds[kind], given.steps)
        print(f"{method}, step {spec['method']['lr']:g}, plain and {kind}: {told}", flush=True)


if __name__ == "__main__":
    main()
