"""The rival that needs no training: the best linear network of at most a given size, in closed form.

Where the loss is squared, the best linear map of rank k from inputs x to targets t is a *reduced-rank regression*:
with A = C_tx C_xx⁻¹, the least squares, it is U Uᵀ A, where the columns of U are the first k eigenvectors of
C_tx C_xx⁻¹ C_xt (their eigenvalues are what each lowers the loss by). White noise on x adds σ²I to C_xx and nothing
else, so it need not be drawn. For `autoencode` this is PCA, for `denoise` and `deblur` the reduced-rank Wiener filter.
"""

from collections.abc import Callable, Iterator

import torch

from models.depth import hidden, start_from_linear
from models.network import Network
from spec.graph import Graph
from spec.mlp import Mlp
from worker.objective import Objective
from worker.samples import Samples
from worker.seeds import stream

SCALING = 512  # samples that scale the start near a linear network
LARGEST = 4096  # inputs or outputs: seven float64 matrices of so many rows are 0.9 GiB
CHUNK = 512  # samples
RIDGE = 1e-9  # of the inputs' mean variance: constant and collinear inputs have weights near 0 instead of none
NEGLIGIBLE = 1e-10  # share of what the least squares gain, below which a direction is not worth a neuron


def closed_form(
    objective: Objective,
    samples: Samples,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    size: Callable[[Graph], int],
    limit: int,
) -> Network | None:
    """The linear network with the least loss on the training split among those with `size(graph)` at most `limit`.

    It is one linear layer where that fits, otherwise two of the highest rank that fits and gains anything: `hidden1`,
    as wide as the rank and without an activation, and `head`. float32, with the preprocessing of any `Network`. None
    where the loss is not squared, where not even rank 1 fits, and for more than 4,096 inputs or outputs.
    """
    first = Mlp(kind="mlp", widths=(1,)).graph(input_shape, output_shape)
    inputs, outputs = first[first["hidden1"].sources[0]].width, first["head"].width
    if not objective.squared or max(inputs, outputs) > LARGEST:
        return None
    single = _graph(input_shape, output_shape, None)
    rank = _rank(lambda rank: size(_graph(input_shape, output_shape, rank)) <= limit, min(inputs, outputs))
    one_layer = size(single) <= limit
    if rank == 0 and not one_layer:
        return None
    network = Network(single, samples.inputs, samples.outputs)
    mean_x, mean_t, map_, basis = _solve(objective, samples, network)
    if one_layer:
        _set(network, "head", map_, mean_t - map_ @ mean_x)
        return network
    basis = basis[:, :rank]
    network = Network(_graph(input_shape, output_shape, basis.shape[1]), network.inputs, network.outputs)
    scores = basis.T @ map_
    _set(network, "hidden1", scores, -scores @ mean_x)
    _set(network, "head", basis, mean_t)
    return network


def near_linear(objective: Objective, samples: Samples, graph: Graph, seed: int, generator: torch.Generator) -> Network:
    """A SiLU network of `graph` whose start is near the best linear one of the rank that its narrowest layer has."""
    rank = min(node.width for node in hidden(graph))
    best = closed_form(objective, samples, graph.input_shape, graph.output_shape, width_of_hidden, rank)
    assert best is not None
    few = samples.train.batch(torch.arange(min(SCALING, len(samples.train))))
    given, _ = objective.pair(*few, stream(seed, "scale"))
    return start_from_linear(graph, best, given, generator)


def width_of_hidden(graph: Graph) -> int:
    """The width of the hidden layer; without one a number above every limit."""
    return next((node.width for node in hidden(graph)), 2**63)


def _graph(input_shape: tuple[int, ...], output_shape: tuple[int, ...], rank: int | None) -> Graph:
    """Two linear layers of this rank, or one where it is None."""
    graph = Mlp(kind="mlp", widths=(rank or 1,)).graph(input_shape, output_shape)
    nodes = [node.model_copy(update={"activation": "none"}) for node in graph.nodes]
    if rank is None:
        *before, hidden, head = nodes
        nodes = [*before, head.model_copy(update={"sources": hidden.sources})]
    return Graph(nodes=tuple(nodes), input_shape=input_shape, output_shape=output_shape)


def _rank(fits: Callable[[int], bool], largest: int) -> int:
    """The highest rank that fits, by bisection; 0 where none does."""
    low, high = 0, largest + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _solve(
    objective: Objective, samples: Samples, network: Network
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Means of inputs (d,) and targets (m,), least squares (m, d), and the directions worth having (m, at most m).

    In float64 and in the network's inner units: standardised inputs, and standardised targets where it restores them.
    """
    mean_x, mean_t, cov_x, cov_tx = _statistics(objective, samples)
    shape = network.graph.input_shape
    shift, scale = (v.double().expand(shape).flatten() for v in (network.inputs.mean, network.inputs.std))
    cov_x.diagonal().add_(objective.sigma**2)
    cov_x.div_(scale).div_(scale[:, None])
    cov_tx.div_(scale)
    mean_x = (mean_x - shift) / scale
    if network.outputs is not None:
        of_outputs = (network.outputs.mean, network.outputs.std)
        shift, scale = (v.double().expand(network.graph.output_shape).flatten() for v in of_outputs)
        mean_t = (mean_t - shift) / scale
        cov_tx.div_(scale[:, None])
    variance = cov_x.diagonal().mean().item()
    cov_x.diagonal().add_(RIDGE * variance if variance > 0 else 1.0)
    map_ = torch.cholesky_solve(cov_tx.T, torch.linalg.cholesky(cov_x)).T
    gains, directions = torch.linalg.eigh(map_ @ cov_tx.T)
    gains, directions = gains.flip(0), directions.flip(1)
    worth = int((gains > NEGLIGIBLE * gains.clamp(min=0).sum()).sum())
    return mean_x, mean_t, map_, directions[:, : max(1, worth)]


def _statistics(
    objective: Objective, samples: Samples
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Means (d,), (m,) and covariances (d, d), (m, d) of noiseless inputs and targets, float64, in the data's units."""
    count = len(samples.train)
    sums = [torch.zeros(()), torch.zeros(())]
    for pair in _chunks(objective, samples):
        sums = [total + values.sum(0) for total, values in zip(sums, pair, strict=True)]
    mean_x, mean_t = (total / count for total in sums)
    cov_x = mean_x.new_zeros(len(mean_x), len(mean_x))
    cov_tx = mean_x.new_zeros(len(mean_t), len(mean_x))
    same = False
    for x, t in _chunks(objective, samples):
        same = x is t
        x = x - mean_x
        cov_x.addmm_(x.T, x, alpha=1 / count)
        if not same:
            cov_tx.addmm_((t - mean_t).T, x, alpha=1 / count)
    return mean_x, mean_t, cov_x, cov_x.clone() if same else cov_tx


def _chunks(objective: Objective, samples: Samples) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Noiseless inputs and targets, (chunk, d) and (chunk, m) in float64; the same tensor where they are equal."""
    for start in range(0, len(samples.train), CHUNK):
        indices = torch.arange(start, min(start + CHUNK, len(samples.train)))
        given, target = objective.clean(*samples.train.batch(indices))
        x = given.double().flatten(1)
        yield x, x if target is given else target.double().flatten(1)


def _set(network: Network, layer: str, weight: torch.Tensor, bias: torch.Tensor) -> None:
    linear = network.layer(network.graph[layer])
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
