"""The rival that needs no training: the best linear denoiser of a given rank, in closed form."""

import torch

from worker.samples import Samples


def wiener(samples: Samples, sigma: float, ranks: list[int], seed: int = 0) -> dict[int, tuple[float, float]]:
    """Validation MSE and mean PSNR (dB) of the reduced-rank Wiener filter for white noise of deviation `sigma`.

    For clean samples of mean m and covariance UΛUᵀ it is m + U_k Λ_k/(Λ_k + σ²) U_kᵀ (y − m): two matrices of
    (pixels × k), one decomposition.
    """
    train, clean = (
        split.x.double().flatten(1) / (255 if split.x.dtype == torch.uint8 else 1)
        for split in (samples.train, samples.splits["validation"])
    )  # (n, pixels)
    mean = train.mean(0)
    values, vectors = torch.linalg.eigh(torch.cov(train.T, correction=0))
    order = values.argsort(descending=True)
    values, vectors = values[order].clamp(min=0), vectors[:, order]
    gains = values / (values + sigma**2)
    generator = torch.Generator().manual_seed(seed)
    noisy = clean + sigma * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    scores = {}
    for rank in ranks:
        basis = vectors[:, :rank]
        output = (noisy - mean) @ (basis * gains[:rank]) @ basis.T + mean
        errors = (output - clean).square().mean(1)
        scores[rank] = (errors.mean().item(), (-10 * errors.log10()).mean().item())
    return scores
