"""What do steps of a search in a U-Net cost, by the share of its multiplications that is active?

    python -m bench.compact --only unet
    python -m bench.compact --only unet-search --images bsd400

All of a step counts: gradients, clip, optimiser, and what keeps the search at its size (swaps, of which none happens
meanwhile). The searches take turns in one process with one thread, a cycle after a cycle.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any, Final

import torch

from bench.compact_search import load, search
from bench.markdown import table, widths
from bench.records import Record
from bench.unets import DENOISER
from linbreg import AdaBreg
from models.cycle import CYCLE, ActiveStepper, Cycle
from models.groups import parameter_groups
from models.network import Network
from models.stepper import Stepper
from models.swaps import Swaps, flat_start_
from spec import Graph, SearchSpec, Target, macs
from spec.unet import Unet

SHARES: Final = (0.1, 0.25, 1.0)
KINDS: Final = {"plain": Stepper, "exact": ActiveStepper, "cycle": Cycle}
UNETS: Final = {"3 levels of 32, 48, 72": (3, 32, 1.5), "4 levels of 32, 64, 128, 256": (4, 32, 2.0)}
BATCH, SIDE = 8, 48
SEARCH: Final[dict[str, Any]] = {
    "superstructure": DENOISER, "task": {"kind": "denoise", "sigma": 25 / 255}, "target": {"parameters": 10_000},
    "method": {"lr": 0.002}, "budget": {"epochs": 3, "batch_size": 8, "crop": SIDE, "crops_per_image": 2},
}  # fmt: skip
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


def steps(given: argparse.Namespace) -> tuple[Record, str]:
    """Plain over compact, for each U-Net by share. In the record, of the first one: cycles, and exact steps beside."""
    rows, record = [], dict[str, dict[str, float]]()
    for name, (levels, base, growth) in UNETS.items():
        room = Unet(kind="unet", levels=levels, base=base, growth=growth, residual=True)
        graph = room.graph((1, SIDE, SIDE), (1, SIDE, SIDE))
        for share in SHARES:
            took = milliseconds(graph, share, given.rounds or 7)
            ratio = {kind: round(took["plain"] / took[kind], 2) for kind in ("exact", "cycle")}
            if len(rows) < len(SHARES):
                record.setdefault("plain_over_compact", {})[str(share)] = ratio["cycle"]
                record.setdefault("plain_over_exact", {})[str(share)] = ratio["exact"]
            rows.append([name, f"{share:.0%}", *(f"{took[kind]:.1f}" for kind in KINDS), *map(str, ratio.values())])
            print(*rows[-1], flush=True)
    return record, table(["U-Net", "active", *(f"{kind}, ms" for kind in KINDS), "plain/exact", "plain/cycle"], rows)


def whole(given: argparse.Namespace) -> tuple[Record, str]:
    """Whole searches for a denoiser, as they are and with plain steps, and the loss of what they find."""
    samples, rows, ratios = load(given.images), [], []
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])  # the first optimiser of a process loads much of torch
    for seed in (1, 2, 3):
        told = {**SEARCH, "data": given.images, "seed": seed}
        spec = SearchSpec.model_validate(told)
        ours, theirs = (search(spec, samples, plain=plain) for plain in (False, True))
        ratios.append(theirs.cpu_s / ours.cpu_s)
        for name, each in (("compact", ours), ("plain", theirs)):
            loss = f"{each.epochs[-1].validation_loss:.6f}"
            rows.append([str(seed), name, f"{each.cpu_s:.1f}", f"{each.wall_s:.1f}", widths(each.counts), loss])
            print(*rows[-1], flush=True)
    record: Record = {"plain_over_compact": round(statistics.median(ratios), 2), "data": given.images}
    return record, table(["seed", "steps", "CPU, s", "wall, s", "widths", "validation loss"], rows)
