"""The active part computes what the network does, and gives the gradients of all of it; the network is the oracle."""

import pytest
import torch
from hypothesis import given, settings

from models.active_part import ActivePart, has_active_part
from models.groups import active_masks
from models.network import Network, he_
from spec.graph import Graph, Node
from spec.mlp import Mlp
from spec.unet import Unet

from .images import Case, cases, filled, image, sleep_


def gradients(network: Network, run, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    network.zero_grad()
    out = run(x)
    (out * torch.linspace(-1, 2, out.numel(), dtype=out.dtype).reshape(out.shape)).sum().backward()
    return out.detach(), [parameter.grad for parameter in network.parameters()]


def agree(network: Network, x: torch.Tensor) -> None:
    plain, expected = gradients(network, network, x)
    compact, found = gradients(network, ActivePart(network, active_masks(network)), x)
    torch.testing.assert_close(compact, plain, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(found, expected, strict=True):
        size = max(1.0, float(theirs.abs().max()))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11 * size)


@settings(max_examples=150, deadline=None)
@given(case=cases())
def test_outputs_and_gradients_are_those_of_the_network_at_every_size(case: Case):
    network = case.network.train()
    if not all(mask.any() for mask in active_masks(network).values()):
        with pytest.raises(ValueError, match="no active group"):
            ActivePart(network, active_masks(network))
        return
    for size in case.sizes[:2]:
        agree(network, image(network, size, torch.float64, case.seed))


def test_sums_of_images_that_sleep_together_and_scalars_that_scale_them():
    like = {"op": "conv", "width": 5, "searched": True, "activation": "silu", "kernel": 3}
    graph = Graph(
        nodes=(
            Node(name="input", op="input", width=2),
            Node(name="first", sources=("input",), **like),
            Node(name="second", sources=("first",), **like),
            Node(name="added", op="sum", width=5, sources=("second", "first"), scalars=1, activation="gelu"),
            Node(name="third", sources=("added",), **like),
            Node(name="more", op="sum", width=5, sources=("third", "added")),
            Node(name="half", op="pool", width=5, sources=("more",), mode="average"),
            Node(name="flat", op="flatten", width=5 * 12, sources=("half",), repeat=12),
            Node(name="hidden", op="linear", width=7, sources=("flat",), searched=True, activation="relu"),
            Node(name="head", op="linear", width=3, sources=("hidden",)),
        ),
        input_shape=(2, 5, 8),
        output_shape=(3,),
    )
    network = filled(graph, 4).train()
    with torch.no_grad():
        network.scalars["added"].fill_(0.7)
    asleep = torch.tensor([True, False, True, False, False])
    few = torch.tensor([False, True, True, False, True, False, False])
    sleep_(network, {**dict.fromkeys(("first", "second", "third"), asleep), "hidden": few})
    agree(network, image(network, (5, 8), torch.float64))


def test_an_mlp_is_a_graph_like_any_other_and_constants_have_no_active_part():
    graph = Mlp(kind="mlp", widths=[6, 5, 7]).graph((9,), (4,))
    network = he_(Network(graph), torch.Generator().manual_seed(2)).double()
    sleep_(network, {node.name: torch.arange(node.width) % 3 == 0 for node in graph.searched()})
    agree(network, torch.randn(6, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    free = Mlp(kind="mlp", widths=[6, 5], bias="free").graph((9,), (4,))
    assert not has_active_part(free)
    with pytest.raises(ValueError, match="emit something"):
        ActivePart(Network(free), {})


def test_in_single_precision_it_differs_by_rounding_alone():
    graph = Unet(kind="unet", levels=3, base=12).graph((1, 16, 16), (1, 16, 16))
    network = filled(graph, 6, torch.float32).train()
    sleep_(network, {node.name: torch.arange(node.width) % 4 == 1 for node in graph.searched()})
    x = image(network, (24, 20), torch.float32, batch=3)
    _, expected = gradients(network, network, x)
    _, found = gradients(network, ActivePart(network, active_masks(network)), x)
    for ours, theirs in zip(found, expected, strict=True):
        assert float((ours - theirs).norm()) <= 1e-4 * float(theirs.norm())
