"""What do steps of a search in a U-Net cost, by the share of its multiplications that is active?

    python -m bench.unet_steps

prints plain over compact: exact steps from the active part, and cycles. All of a step counts: gradients, clip,
optimiser, and what keeps the search at its size (swaps, of which none happens meanwhile). The three searches take turns
in one process with one thread, a cycle after a cycle; a figure is the ratio of the medians of their CPU time, which
other programs disturb less.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Final

import torch

from bench.machine import description
from linbreg import AdaBreg
from models.cycle import CYCLE, ActiveStepper, Cycle
from models.groups import parameter_groups
from models.network import Network
from models.stepper import Stepper
from models.swaps import Swaps, flat_start_
from spec import Graph, Target, macs
from spec.unet import Unet

SHARES: Final = (0.1, 0.25, 0.5, 1.0)
KINDS: Final = {"plain": Stepper, "exact": ActiveStepper, "cycle": Cycle}
UNETS: Final = {"3 levels of 32, 48, 72": (3, 32, 1.5), "4 levels of 32, 64, 128, 256": (4, 32, 2.0)}
BATCH, SIDE = 8, 48
NEVER: Final = 10**6  # steps of the search: so many that no channel moves while it is timed


def searching(kind: type[Stepper], graph: Graph, share: float) -> Callable[[], None]:
    """A step of a search whose active groups make up `share` of all multiplications."""
    target = Target(macs=max(1, int(share * macs(graph))))
    network = Network(graph)
    flat_start_(network, target, scale=1.0, generator=torch.Generator().manual_seed(1))
    stepper = kind(network, AdaBreg(parameter_groups(network, 0.02), lr=2e-3), 1.0)
    stepper.looks = ()
    selection = Swaps(stepper, target, NEVER)
    clean = torch.rand(BATCH, *graph.input_shape, generator=torch.Generator().manual_seed(2))
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        stepper.step(noisy, lambda output: (output - clean).square().mean())
        selection.after(done, ends_epoch=False)

    return step


def milliseconds(graph: Graph, share: float, rounds: int) -> dict[str, float]:
    """Of a step of each kind."""
    steps = {name: searching(kind, graph, share) for name, kind in KINDS.items()}
    taken: dict[str, list[float]] = {name: [] for name in KINDS}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            started = time.process_time()
            for _ in range(CYCLE):
                step()
            if turn:
                taken[name].append((time.process_time() - started) / CYCLE)
    return {name: 1e3 * statistics.median(times) for name, times in taken.items()}


def ratios(rounds: int = 7) -> dict[str, dict[str, dict[str, float]]]:
    """Plain over compact, for each U-Net, by kind and share; prints a table meanwhile."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    print("| U-Net | active | plain ms | exact | cycle |\n| --- | --- | --- | --- | --- |")
    for name, (levels, base, growth) in UNETS.items():
        room = Unet(kind="unet", levels=levels, base=base, growth=growth, residual=True)
        graph = room.graph((1, SIDE, SIDE), (1, SIDE, SIDE))
        found[name] = {"exact": {}, "cycle": {}}
        for share in SHARES:
            took = milliseconds(graph, share, rounds)
            for kind, by_share in found[name].items():
                by_share[f"{share:g}"] = round(took["plain"] / took[kind], 2)
            columns = " | ".join(f"{by_share[f'{share:g}']:.2f} ×" for by_share in found[name].values())
            print(f"| {name} | {share:.0%} | {took['plain']:.0f} | {columns} |", flush=True)
    return found


def main() -> None:
    """The table, and what it was measured on."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="cycles of each kind that are timed")
    torch.set_num_threads(1)
    ratios(parser.parse_args().rounds)
    print(description())


if __name__ == "__main__":
    main()
