"""Where does the time of a compact step go? CPU time of its parts, and what its products would take at full speed.

    python -m bench.compact_profile [--active SHARE] [--rounds N]

Six times 784, all grouped, one thread. Parts are timed by wrapping functions of torch, which adds a few per cent.
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import torch

from bench.compact_cases import BATCH, PIXELS, Optimizer, batch, compact
from bench.machine import description
from bench.markdown import table

PARTS: Final[dict[str, tuple[tuple[Any, str], ...]]] = {
    "products of matrices": ((torch, "mm"), (torch, "addmm"), (torch.Tensor, "addmm_")),
    "Adam's step": ((torch, "_fused_adam_"),),
    "squares, sums and scales": ((torch, "mul"), (torch, "sum"), (torch.Tensor, "mul_"), (torch.Tensor, "add_")),
    "gradient of the loss": ((torch.autograd, "grad"),),
    "who is awake": ((torch.Tensor, "sqrt"), (torch, "sub"), (torch.Tensor, "masked_fill_"), (torch, "dot")),
    "outputs to their places and back": ((torch.Tensor, "index_select"), (torch.Tensor, "index_copy_")),
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--active", type=float, default=0.05)
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(description())
    speed = _speed()
    print(f"a product of (784 × {BATCH}) and ({BATCH} × 784): {speed / 1e9:.0f} · 10⁹ multiplications a second")
    rows = []
    for optimizer in ("LinBreg", "AdaBreg"):
        rows += _parts(optimizer, given.active, given.rounds, speed)
    print(table(["optimiser", "part", "calls", "µs", "of the step"], rows))


def _parts(optimizer: Optimizer, active: float, rounds: int, speed: float) -> list[list[str]]:
    stepper, data = compact(optimizer, active), batch()
    whole = _median(lambda: stepper.step(*data), rounds)
    taken, calls, multiplied = defaultdict[str, float](float), defaultdict[str, int](int), 0
    originals = [(holder, name, getattr(holder, name), part) for part, names in PARTS.items() for holder, name in names]

    def timed(function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def wrapper(*args: Any, **options: Any) -> Any:
            nonlocal multiplied
            started = time.thread_time()
            result = function(*args, **options)
            taken[part] += time.thread_time() - started
            calls[part] += 1
            if part == "products of matrices":
                thin, thick = [each for each in args if isinstance(each, torch.Tensor)][-2:]
                multiplied += len(thin) * thin.shape[1] * thick.shape[1]
            return result

        return wrapper

    for holder, name, function, part in originals:
        setattr(holder, name, timed(function, part))
    try:
        for _ in range(rounds):
            stepper.step(*data)
    finally:
        for holder, name, function, _ in originals:
            setattr(holder, name, function)
    rows = [
        [optimizer, part, f"{calls[part] / rounds:.0f}", f"{1e6 * s / rounds:.0f}", f"{s / rounds / whole:.0%}"]
        for part, s in taken.items()
    ]
    rest = whole - sum(taken.values()) / rounds
    limit = multiplied / rounds / speed
    return [
        *sorted(rows, key=lambda row: -int(row[3])),
        [optimizer, "the rest: activations, views, Python", "", f"{1e6 * rest:.0f}", f"{rest / whole:.0%}"],
        [optimizer, "**the step**", "", f"{1e6 * whole:.0f}", "100%"],
        [optimizer, "its products at that speed", "", f"{1e6 * limit:.0f}", f"{limit / whole:.0%}"],
    ]


def _speed() -> float:
    """Multiplications a second of a product of the plain step."""
    x, d, out = torch.rand(BATCH, PIXELS), torch.rand(BATCH, PIXELS), torch.empty(PIXELS, PIXELS)
    return BATCH * PIXELS**2 / _median(lambda: torch.mm(x.t(), d, out=out), 50)


def _median(run: Callable[[], object], rounds: int) -> float:
    run()
    times = []
    for _ in range(rounds):
        started = time.thread_time()
        run()
        times.append(time.thread_time() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()
