"""Steps from the active part against the plain step, cycles against their definition, and both taken up again."""

import copy
import json

import pytest
import torch

from linbreg import AdaBreg, BregmanOptimizer, GroupL1, LinBreg, Rows
from models.admission import Admission
from models.budget import Budget
from models.cycle import CYCLE, ActiveStepper, Cycle
from models.groups import active_masks, parameter_groups, sparse_start_
from models.network import Network
from models.price import Price
from models.selection import Selection
from models.stepper import Stepper
from models.swaps import Swaps, flat_start_
from spec import Graph, Target
from spec.convnet import Convnet
from spec.unet import Unet

UNET = Unet(kind="unet", levels=2, base=8, residual=True).graph((1, 12, 12), (1, 12, 12))
CONVNET = Convnet(kind="convnet", channels=[8, 10], hidden=[12]).graph((1, 12, 12), (4,))
WAYS: dict[str, type[Selection]] = {"swaps": Swaps, "admission": Admission, "quantile": Budget}
STEPS = 45
METHODS = {"AdaBreg": (5e-3, 0.02), "LinBreg": (0.05, 0.001)}  # τ and λ


@pytest.fixture(autouse=True)
def small_networks_pay(monkeypatch):
    """The rule is tested by itself; here the active part is taken wherever there is one."""
    monkeypatch.setattr(Price, "pays", lambda self, counts, given, way: self.known and all(counts.values()))


def begin(
    kind: type[Stepper], graph: Graph, way: str | None, method: str, dtype: torch.dtype = torch.float64, seed: int = 0
) -> tuple[Stepper, Selection | None]:
    generator = torch.Generator().manual_seed(seed)
    network, target = Network(graph).to(dtype), Target(fraction=0.3)
    if way == "swaps":
        flat_start_(network, target, scale=1.0, generator=generator)
    else:
        sparse_start_(network, density=0.2, scale=1.0, generator=generator, live_fan_in=True)
    lr, lam = METHODS[method]
    groups = parameter_groups(network, lam)
    optimizer: BregmanOptimizer = AdaBreg(groups, lr=lr) if method == "AdaBreg" else LinBreg(groups, lr=lr)
    stepper = kind(network, optimizer, 1.0 if way else None)
    selection = WAYS[way](stepper, target, STEPS) if way else None
    if isinstance(selection, Swaps):
        stepper.looks = {k for k in range(1, STEPS + 1) if selection.looks(k)}
    else:  # the others would take exact steps alone
        stepper.looks = set(range(5, STEPS + 1, 5)) if selection else ()
    return stepper, selection


def batch(network: Network, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Batch `number`: noisy images, and the clean ones or some of their pixels."""
    generator = torch.Generator().manual_seed(number)
    clean = torch.rand(4, *network.graph.input_shape, generator=generator, dtype=torch.float64)
    noisy = clean + 0.1 * torch.randn(clean.shape, generator=generator, dtype=torch.float64)
    wanted = clean if network.graph.output_shape == clean.shape[1:] else clean.flatten(1)[:, :4]
    dtype = next(network.parameters()).dtype
    return noisy.to(dtype), wanted.to(dtype)


def take(stepper: Stepper, selection: Selection | None, number: int) -> float:
    """Step `number`, counted from 1, on a batch of its own."""
    x, target = batch(stepper.network, number)
    for group in stepper.optimizer.param_groups:
        group["lr"] *= 0.99
    loss = stepper.step(x, lambda y: (y - target).square().mean())
    if selection is not None:
        selection.after(number, ends_epoch=number % 15 == 0)
    return loss


def state(stepper: Stepper) -> dict[str, torch.Tensor]:
    """All tensors of its state, those of the masks between two whole steps apart."""
    return {name: tensor.clone() for name, tensor in stepper.state()[0].items() if not name.startswith("active.")}


@pytest.mark.parametrize(
    ("graph", "way", "method"),
    [
        *((UNET, way, "AdaBreg") for way in ("swaps", "admission", "quantile", None)),
        *((UNET, way, "LinBreg") for way in ("admission", None)),
        (CONVNET, "swaps", "AdaBreg"),
        (CONVNET, "quantile", "LinBreg"),
    ],
)
def test_a_search_of_exact_steps_is_the_plain_one(graph, way, method):
    plain, exact = (begin(kind, graph, way, method) for kind in (Stepper, ActiveStepper))
    seen = set()
    for number in range(1, STEPS + 1):
        assert take(*exact, number) == pytest.approx(take(*plain, number), rel=1e-9)
        ours, theirs = (active_masks(stepper.network) for stepper, _ in (exact, plain))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs), number
        seen.add(str([mask.tolist() for mask in theirs.values()]))
        if number % 15 == 0:
            for name, tensor in state(plain[0]).items():
                torch.testing.assert_close(state(exact[0])[name], tensor, rtol=0, atol=1e-9, msg=name)
    assert len(seen) > 1 or way == "swaps", "the support never changed"


def by_definition(network: Network, method: str, steps: int) -> dict[str, torch.Tensor]:
    """The duals after cycles without a target, from dense gradients, all rows of a tensor in one formula."""
    names = {param: name for name, param in network.named_parameters()}
    lr, lam = METHODS[method]
    groups = parameter_groups(network, lam)
    start = LinBreg(groups, lr=0.0)  # for the first duals, and the prox
    dual = {name: start.state[param]["dual"] for param, name in names.items()}
    first, second = ({name: torch.zeros_like(v) for name, v in dual.items()} for _ in range(2))
    alone: dict[str, torch.Tensor] = {}
    for t in range(1, steps + 1):
        if t % CYCLE == 1:
            alone = {name: torch.ones(len(param), dtype=torch.bool) for param, name in names.items()}
            for group in groups[:-1]:
                alone |= {names[p]: group["regularizer"].active(group["params"])[0] for p in group["params"]}
        lr *= 0.99
        x, y = batch(network, t)
        network.zero_grad()
        (network(x) - y).square().mean().backward()
        for param, name in names.items():
            g, whole = param.grad, t % CYCLE == 0
            n = torch.where(alone[name], 1, CYCLE if whole else 0).to(g.dtype).view(-1, *[1] * (g.dim() - 1))
            if method == "LinBreg":
                dual[name] -= lr * n * g
                continue
            first[name] = 0.9**n * first[name] + (1 - 0.9**n) * g
            second[name] = 0.999**n * second[name] + (1 - 0.999**n) * g.square()
            step = first[name] / (1 - 0.9**t) / ((second[name] / (1 - 0.999**t)).sqrt() + 1e-8)
            dual[name] -= lr * n * step
        start.apply_prox()
    return dual


@pytest.mark.parametrize("method", ["AdaBreg", "LinBreg"])
@pytest.mark.parametrize("graph", [UNET, CONVNET], ids=["unet", "convnet"])
def test_a_cycle_is_what_it_says(graph, method):
    stepper, _ = begin(Cycle, graph, None, method)
    other, _ = begin(Stepper, graph, None, method)
    expected = by_definition(other.network, method, STEPS)
    before = active_masks(stepper.network)
    for number in range(1, STEPS + 1):
        take(stepper, None, number)
    stepper.write_back()
    for name, parameter in stepper.network.named_parameters():
        torch.testing.assert_close(stepper.optimizer.state[parameter]["dual"], expected[name], rtol=0, atol=1e-8)
    after = active_masks(stepper.network)
    assert any((after[name] & ~mask).any() for name, mask in before.items()), "no group woke up"


@pytest.mark.parametrize(
    ("kind", "way", "method", "killed"),
    [
        (Cycle, "swaps", "AdaBreg", 13),
        (Cycle, "admission", "AdaBreg", 29),
        (Cycle, None, "LinBreg", 36),
        (ActiveStepper, "quantile", "AdaBreg", 21),
    ],
)
def test_what_is_killed_goes_on_as_if_it_had_not_been(kind, way, method, killed):
    """Equal on the bit, in single precision, wherever in a cycle it ends."""
    steppers = [begin(kind, UNET, way, method, torch.float32) for _ in range(2)]
    for number in range(1, killed + 1):
        take(*steppers[0], number)
    tensors, values = copy.deepcopy(steppers[0][0].state()[0]), json.loads(json.dumps(steppers[0][0].state()[1]))
    steppers[1][0].restore(tensors, values)
    for number in range(killed + 1, STEPS + 1):
        first, second = (take(*each, number) for each in steppers)
        assert first == second
    for name, tensor in state(steppers[0][0]).items():
        assert torch.equal(tensor, state(steppers[1][0])[name]), name


@pytest.mark.parametrize("way", ["swaps", "admission", "quantile"])
def test_a_search_in_cycles_ends_at_its_size(way):
    stepper, selection = begin(Cycle, UNET, way, "AdaBreg")
    for number in range(1, STEPS + 1):
        take(stepper, selection, number)
    counts = stepper.counts()
    assert Target(fraction=0.3).size(UNET, counts) <= selection.limit
    more = [Target(fraction=0.3).size(UNET, {**counts, n: c + 1}) for n, c in counts.items() if c < UNET[n].width]
    assert min(more) > selection.limit, "a channel more would have fitted"
    x, _ = batch(stepper.network, 0)
    torch.testing.assert_close(stepper.model().eval()(x), stepper.network.eval()(x), rtol=0, atol=1e-10)


def test_rows_that_move_apart_move_as_in_the_whole():
    generator = torch.Generator().manual_seed(3)
    params = [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((6, 4), (6,), (3, 2))]

    def optimizer() -> AdaBreg:
        copies = [torch.nn.Parameter(param.detach().clone()) for param in params]
        return AdaBreg([{"params": copies[:2], "regularizer": GroupL1(0.1, joint=True)}, {"params": copies[2:]}])

    whole, parted = optimizer(), optimizer()
    few, rest = torch.tensor([4, 1, 2]), torch.tensor([0, 3, 5])
    for _ in range(3):
        for group, same in zip(whole.param_groups, parted.param_groups, strict=True):
            for one, other in zip(group["params"], same["params"], strict=True):
                one.grad = torch.randn(one.shape, generator=generator)
                other.grad = one.grad.clone()
        whole.step()
        apart = [Rows(parted, [few, None]), Rows(parted, [rest, torch.zeros(0, dtype=torch.int64)])]
        for rows in apart:
            rows.step()
        for rows in reversed(apart):
            rows.give_back()
    for group, same in zip(whole.param_groups, parted.param_groups, strict=True):
        for one, other in zip(group["params"], same["params"], strict=True):
            torch.testing.assert_close(other, one)  # a fused kernel rounds the ends of a tensor in another way
            for name, value in whole.state[one].items():
                torch.testing.assert_close(parted.state[other][name], value, msg=name)
