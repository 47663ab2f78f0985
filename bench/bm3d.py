"""BM3D on the images and the noise that found denoisers are tested with: PSNR of each image and the mean.

In an environment of its own with torch, numpy, pillow, pydantic, safetensors and `bm3d` (measured with 4.0.3), whose
licence is for non-commercial use alone, so it is no dependency:

    python -m bench.bm3d --data-root FOLDER [--data bsd400] [--sigma 0.098039] [--seed 1 2 3] [--out FILE]

The noise is that of `evaluate` with the same seed and the outputs are not clipped, as those of networks are not.
"""

import argparse
import importlib
import time
from pathlib import Path
from typing import Any, Final

import torch

import datasets
from bench.records import append
from spec.task import Denoise
from worker.objective import objective
from worker.samples import Samples
from worker.seeds import stream

OUT: Final = Path("bench/results/bm3d.jsonl")
BROKEN: Final = "bench.bm3d needs the package bm3d, in an environment of its own"


def main() -> None:
    """A line a seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--data", default="bsd400")
    parser.add_argument("--sigma", type=float, default=25 / 255)
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    bm3d: Any = importlib.import_module("bm3d").bm3d
    samples, goal = (
        Samples(datasets.load(given.data, given.data_root)),
        objective(Denoise(kind="denoise", sigma=given.sigma)),
    )
    test = samples.splits["test"]
    for seed in given.seed:
        psnr, before, started = [], [], time.process_time()
        for i in range(len(test)):
            x, y = test.batch(torch.tensor([i]))
            noisy, clean = goal.pair(x, y, stream(seed, "test", i))
            output = torch.from_numpy(bm3d(noisy[0, 0].numpy(), given.sigma)).float()[None, None]
            psnr.append(goal.measure(output, clean).item())
            before.append(goal.measure(noisy, clean).item())
            print(i, tuple(x.shape[2:]), f"{before[-1]:.2f} -> {psnr[-1]:.2f} dB", flush=True)
        record = {"case": f"bm3d {given.data}, seed {seed}", "sigma": given.sigma, "seed": seed, "psnr": psnr}
        record |= {
            "noisy": sum(before) / len(before),
            "mean": sum(psnr) / len(psnr),
            "seconds": time.process_time() - started,
        }
        append(given.out, record)
        print(record["case"], f"{record['mean']:.3f} dB")


if __name__ == "__main__":
    main()
