"""What does it cost to make a batch of crops, beside the step that it feeds? CPU time of one thread.

python -m bench.crops --data-root FOLDER
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

import datasets
from models.network import Network, he_
from models.stepper import Stepper
from spec import Crops
from spec.task import Denoise, Segment
from spec.unet import Unet
from worker.objective import objective
from worker.samples import Samples
from worker.seeds import stream
from worker.tiles import tiling
from worker.training import Schedule, Training

CASES = (("bsd400", Denoise(kind="denoise", sigma=0.1), 1, 64, 16), ("nuclei", Segment(kind="segment"), 2, 128, 8))


def main() -> None:
    """Print a line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-root", type=Path, required=True)
    root = parser.parse_args().data_root
    torch.set_num_threads(1)
    for name, task, outputs, side, batch in CASES:
        samples, goal = Samples(datasets.load(name, root)), objective(task)
        shape = samples.shape.shape
        graph = Unet(kind="unet", levels=4, base=8).graph(shape, (outputs, *shape[1:]))
        network = he_(Network(graph, samples.inputs), stream(1, "start"))
        stepper = Stepper(network, torch.optim.Adam(network.parameters()))
        training = Training(
            "bench", stepper, Schedule("constant", 1e-3), goal, samples,
            steps=1000, batch_size=batch, seed=1, crops=Crops(side, 4), tiling=tiling(graph),
        )  # fmt: skip
        indices = torch.arange(batch)

        def prepare(samples=samples, goal=goal, indices=indices, side=side) -> None:
            goal.pair(*samples.train.crops(indices, side, stream(1, "crop")), stream(1, "noise"))

        made, whole = timed(prepare, 20), timed(lambda t=training, i=indices: t._step(i), 5)
        share = f"{1e3 * made:.2f} ms to make, {1e3 * whole:.0f} ms a step, {made / whole:.1%}"
        print(f"{name}: {batch} crops of {side}²: {share}")


def timed(run: Callable[[], object], times: int) -> float:
    """Mean CPU seconds of a run, after one that does not count."""
    run()
    started = time.process_time()
    for _ in range(times):
        run()
    return (time.process_time() - started) / times


if __name__ == "__main__":
    main()
