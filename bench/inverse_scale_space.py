"""The inverse scale space of an image by LinBreg: coarse before fine, the noise last, and when to stop.

python -m bench.inverse_scale_space [--seeds 1 2 3] [--sigma 0.1] [--steps 240] [--picture FILE]

u starts constant and steps down ½‖u − f‖² towards a noisy image f, with the total variation for J. Prints a line a
seed and, of the first one, a table and a picture.
"""

import argparse
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor

from bench.machine import description
from linbreg import GroupL1, LinBreg, Regularizer

mpl.use("Agg")
from matplotlib import pyplot as plt

LAM: Final = 1.0
LR: Final = 0.25  # of 2/(δ Lip) = 2: steps so small that one sees an order
SHOWN: Final = (0, 1, 2, 4, 12)  # steps in the picture, before that where the residual is the noise and the last
PENALTY: Final = 15.0  # of ADMM; of 5, 15 and 50 the fastest for grey values in [0, 1]


class TotalVariation(Regularizer):
    """λ Σ |∇θ| over the pixels of images (height, width): isotropic, forward differences, no flux at the border.

    The prox is split (Goldstein and Osher, 2009): minimise sλ Σ|d| + ‖u − x‖²/2 subject to d = ∇u by ADMM. The step
    in d is the prox of :class:`GroupL1` with a group a pixel, that in u is diagonal in cosines. It ends where the
    duality gap proves a root mean square error below ``accuracy``, and starts where the last call ended.
    """

    def __init__(self, lam: float, accuracy: float = 3e-3) -> None:
        super().__init__(lam)
        self.accuracy, self.iterations = accuracy, 0
        self._last: tuple[Tensor, Tensor] | None = None

    def value(self, params: Sequence[Tensor]) -> Tensor:
        """λ Σ|∇θ|."""
        return self.lam * torch.stack([torch.linalg.vector_norm(gradient(u), dim=-1).sum() for u in params]).sum()

    def prox_into(self, out: Sequence[Tensor], params: Sequence[Tensor], step: float, scale: float = 1.0) -> None:
        """One image at a time; raises where 2,000 iterations do not close the gap."""
        (x,), (to,) = params, out
        weight = step * self.lam
        rho = PENALTY * weight
        shrink = GroupL1(weight / rho / math.sqrt(2))  # a pixel's group has two entries
        solve = _solver(x, rho)
        enough = self.accuracy**2 * x.numel() / 2  # the objective is 1-strongly convex
        d, multiplier = self._last or (x.new_zeros(*x.shape, 2),) * 2
        for k in range(2000):
            u = solve(x + rho * adjoint(d - multiplier))
            slope = gradient(u) + multiplier
            (flat,) = shrink.prox([slope.view(-1, 2)])
            d = flat.view_as(slope)
            multiplier = slope - d
            self.iterations += 1
            if k % 5 == 4 and self._gap(x, u, rho * multiplier, weight) <= enough:
                self._last = d, multiplier
                to.copy_(u).mul_(scale)
                return
        raise ArithmeticError("the prox of the total variation did not converge")

    def sub_gradient(self, params: Sequence[Tensor]) -> list[Tensor]:
        """λ∇ᵀ(∇θ/|∇θ|), and 0 where the gradient is."""
        slopes = [gradient(u) for u in params]
        return [self.lam * adjoint(torch.nn.functional.normalize(slope, dim=-1)) for slope in slopes]

    def active(self, params: Sequence[Tensor]) -> list[Tensor]:
        """Masks over the pixels: where there is an edge, above the rounding of the prox."""
        return [torch.linalg.vector_norm(gradient(u), dim=-1) > 1e-3 for u in params]

    @staticmethod
    def _gap(x: Tensor, u: Tensor, dual: Tensor, weight: float) -> float:
        primal = weight * torch.linalg.vector_norm(gradient(u), dim=-1).sum() + (u - x).square().sum() / 2
        return float(primal - (x.square().sum() - (x - adjoint(dual)).square().sum()) / 2)


def gradient(u: Tensor) -> Tensor:
    """(height, width) to (height, width, 2)."""
    field = u.new_zeros(*u.shape, 2)
    field[:-1, :, 0] = u[1:] - u[:-1]
    field[:, :-1, 1] = u[:, 1:] - u[:, :-1]
    return field


def adjoint(field: Tensor) -> Tensor:
    """∇ᵀ, (height, width, 2) to (height, width)."""
    u = torch.zeros_like(field[..., 0])
    u[1:] += field[:-1, :, 0]
    u[:-1] -= field[:-1, :, 0]
    u[:, 1:] += field[:, :-1, 1]
    u[:, :-1] -= field[:, :-1, 1]
    return u


def _solver(x: Tensor, rho: float) -> Any:
    """(I + ρ∇ᵀ∇)⁻¹ in the orthonormal cosines, which are the eigenvectors of ∇ᵀ∇."""
    bases, values = zip(*(_cosines(n) for n in x.shape), strict=True)
    rows, columns = bases
    divisor = 1 + rho * (values[0][:, None] + values[1])
    return lambda right: rows.T @ ((rows @ right @ columns.T) / divisor) @ columns


def _cosines(n: int) -> tuple[Tensor, Tensor]:
    frequency, place = torch.arange(n, dtype=torch.float64), torch.arange(n, dtype=torch.float64) + 0.5
    basis = math.sqrt(2 / n) * torch.cos(math.pi / n * frequency[:, None] * place)
    basis[0] /= math.sqrt(2)
    return basis, 2 - 2 * torch.cos(math.pi * frequency / n)


class Step(NamedTuple):
    """u after so many steps, its PSNR in dB, the root mean square of u − f, and the share of pixels with an edge."""

    number: int
    u: Tensor
    psnr: float
    residual: float
    edges: float


def clean_image() -> Tensor:
    """(128, 128) grey values in [0, 1]: scikit-learn's ``flower.jpg`` (CC BY 2.0)."""
    pixels = torch.tensor(load_sample_image("flower.jpg"), dtype=torch.float64) / 255
    grey = pixels @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    return grey[:384, 120:504].reshape(128, 3, 128, 3).mean(dim=(1, 3))


def noisy_image(clean: Tensor, sigma: float, seed: int) -> Tensor:
    """White noise of deviation ``sigma`` added; not clipped."""
    return clean + sigma * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed), dtype=clean.dtype)


def run(clean: Tensor, noisy: Tensor, steps: int) -> list[Step]:
    """LinBreg from a constant image; the start and every step."""
    u = torch.nn.Parameter(torch.full_like(noisy, float(noisy.mean())))
    variation = TotalVariation(LAM)
    optimizer = LinBreg([{"params": [u], "regularizer": variation}], lr=LR)
    path = []
    for number in range(steps + 1):
        if number:
            u.grad = u.detach() - noisy
            optimizer.step()
        now = u.detach().clone()
        residual = float((now - noisy).square().mean().sqrt())
        edges = float(variation.active([now])[0].double().mean())
        path.append(Step(number, now, psnr(now, clean), residual, edges))
    return path


def psnr(u: Tensor, clean: Tensor) -> float:
    """In dB, for grey values in [0, 1]."""
    return -10 * math.log10(float((u - clean).square().mean()))


def stop_at(path: list[Step], sigma: float) -> Step:
    """The discrepancy principle: the first step whose residual is no larger than the noise."""
    return next((step for step in path if step.residual <= sigma), path[-1])


def draw(path: list[Step], clean: Tensor, noisy: Tensor, sigma: float, file: Path) -> None:
    """The images of some steps above, PSNR and residual by step below."""
    stop = stop_at(path, sigma)
    shown = [*(path[k] for k in SHOWN if k < stop.number), stop, path[-1]]
    names = {0: "the start", stop.number: "residual = σ: stop"}
    images = [(f"step {s.number}: {names.get(s.number, f'{s.psnr:.1f} dB')}", s.u) for s in shown]
    images += [(f"f, noisy: {psnr(noisy, clean):.1f} dB", noisy), ("without noise", clean)]

    figure = plt.figure(figsize=(1.65 * len(images), 4.6), layout="constrained")
    grid = figure.add_gridspec(2, 2 * len(images), height_ratios=(1, 1.5))
    for k, (title, image) in enumerate(images):
        axes = figure.add_subplot(grid[0, 2 * k : 2 * k + 2])
        axes.imshow(image.clamp(0, 1).numpy(), cmap="gray", vmin=0, vmax=1)
        axes.set_title(title, fontsize=8)
        axes.axis("off")
    numbers = [step.number for step in path]
    level, right = psnr(noisy, clean), 2 * len(images)
    for place, values, line, label in (
        (grid[1, : right // 2], [step.psnr for step in path], level, "PSNR of u against the clean image, dB"),
        (grid[1, right // 2 :], [step.residual for step in path], sigma, "root mean square of u − f"),
    ):
        axes = figure.add_subplot(place)
        axes.plot(numbers, values, color="tab:blue")
        axes.axhline(line, color="0.5", linestyle="--", linewidth=0.8)
        axes.axvline(stop.number, color="tab:red", linewidth=0.8)
        axes.text(numbers[-1], line, "f itself" if line == level else "σ", ha="right", va="bottom", fontsize=8)
        axes.set_xlabel("step", fontsize=8)
        axes.set_title(label, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    plt.close(figure)
    print(file)


def main() -> None:
    """Run every seed, print, and draw the first."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--sigma", type=float, default=0.1)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--picture", type=Path, default=Path("docs/pictures/inverse-scale-space.png"))
    options = parser.parse_args()
    print(description())
    clean = clean_image()
    for seed in options.seeds:
        begin = time.perf_counter()
        noisy = noisy_image(clean, options.sigma, seed)
        path = run(clean, noisy, options.steps)
        stop, best = stop_at(path, options.sigma), max(path, key=lambda step: step.psnr)
        print(
            f"seed {seed}: f {psnr(noisy, clean):.2f} dB; residual = σ at step {stop.number}, {stop.psnr:.2f} dB; "
            f"best at step {best.number}, {best.psnr:.2f} dB, residual {best.residual / options.sigma:.2f} σ; "
            f"last {path[-1].psnr:.2f} dB; {time.perf_counter() - begin:.0f} s"
        )
        if seed == options.seeds[0]:
            print("| step | PSNR, dB | residual / σ | pixels with an edge |\n| --- | --- | --- | --- |")
            for number in sorted({*SHOWN, 20, stop.number, best.number, 80, 120, 160, options.steps}):
                if number < len(path):
                    step = path[number]
                    print(f"| {number} | {step.psnr:.2f} | {step.residual / options.sigma:.2f} | {step.edges:.0%} |")
            draw(path, clean, noisy, options.sigma, options.picture)


if __name__ == "__main__":
    main()
