"""Convolutions on the graph of groups: a U-Net shrinks to the same function at every size, all of its costs counted."""

from statistics import median

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linbreg import AdaBreg
from models.budget import Budget, start_density
from models.groups import active_counts, in_use, parameter_groups, sparse_start_
from models.network import Network, he_
from models.ops import UpConv
from models.shrink import LayerDied, shrink
from models.stepper import Stepper
from spec import Target, macs, parameters
from spec.convnet import Convnet
from spec.graph import Graph, Node
from spec.unet import Unet

from .images import UPS, cases, filled, image, sleep_, unets

GREY = (1, 16, 16)


@settings(max_examples=150, deadline=None)
@given(case=cases())
def test_a_shrunk_network_agrees_at_every_size_in_both_precisions(case):
    for dtype, tolerance in ((torch.float64, 1e-11), (torch.float32, 1e-5)):
        network = case.network.to(dtype)
        small = shrink(network)
        for size in case.sizes:
            x = image(network, size, dtype, case.seed)
            with torch.no_grad():
                before, after = network(x), small(x)
            assert before.shape == after.shape
            if network.graph.takes_any_size:
                assert after.shape[2:] == size
            scale = max(1.0, float(before.abs().max()))
            assert float((before - after).abs().max()) / scale <= tolerance


@settings(max_examples=100, deadline=None)
@given(case=cases())
def test_the_formulas_count_what_is_there_at_any_size(case):
    small = shrink(case.network)
    used = in_use(case.network)
    counted = sum(parameter.numel() for parameter in small.parameters())
    assert counted == parameters(case.network.graph, used) == parameters(small.graph)
    for size in case.sizes:
        x = image(small, size, torch.float64, batch=1)
        whole, left = (_at(network.graph, size) for network in (case.network, small))
        assert macs(whole) == multiplications(case.network, x)
        assert macs(whole, used) == macs(left) == multiplications(small, x)
    for node in small.graph.layers():
        for rows in small.rows(node).values():
            assert len(rows) == node.width == used.get(node.name, node.width)


def _at(graph: Graph, size: tuple[int, int]) -> Graph:
    return graph.at(*size) if graph.takes_any_size else graph


def multiplications(network: Network, x: torch.Tensor) -> int:
    """MACs as they happen: counted by a hook on every layer."""
    counted = 0

    def count(module, given, output):
        nonlocal counted
        if "weight" not in dict(module.named_parameters()):
            return
        # A pixel of a transposed convolution is read once for each of the four that it makes.
        where = given[0] if isinstance(module, UpConv) else output
        counted += module.weight.numel() * where.shape[2:].numel()

    hooks = [layer.register_forward_hook(count) for layer in network.layers.values()]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return counted


@settings(max_examples=30, deadline=None)
@given(case=cases())
def test_shrinking_again_changes_nothing(case):
    once = shrink(case.network)
    twice = shrink(once)
    assert twice.state_dict().keys() == once.state_dict().keys()
    for name, tensor in once.state_dict().items():
        assert torch.equal(tensor, twice.state_dict()[name])


@settings(max_examples=40, deadline=None)
@given(unet=unets(), data=st.data())
def test_no_pixel_beyond_the_reach_matters_and_tiles_of_whole_strides_fit_together(unet, data):
    graph = unet.graph(GREY, GREY)
    network = filled(graph, 3)
    reach, stride = graph.reach(), graph.stride()
    assert stride == 2 ** (unet.levels - 1)
    height = data.draw(st.integers(1, 40)) + 2 * (reach + stride)
    x = image(network, (height, 9), torch.float64, batch=1)
    with torch.no_grad():
        whole = network(x)
        first = stride * data.draw(st.integers(0, height // stride - 1))
        last = min(height, first + stride * data.draw(st.integers(1, 4)))
        margin = -(-reach // stride) * stride
        above, below = max(0, first - margin), min(height, last + margin)
        tile = network(x[:, :, above:below])[:, :, first - above : last - above]
    assert torch.allclose(tile, whole[:, :, first:last], rtol=0, atol=1e-11 * max(1.0, float(whole.abs().max())))


def dead(graph: Graph, *layers: str) -> Network:
    """A network in which these layers have no active channel."""
    network = filled(graph, 11)
    sleep_(network, {name: torch.zeros(graph[name].width, dtype=torch.bool) for name in layers})
    return network


def agree(network: Network, small: Network) -> None:
    for size in ((16, 16), (13, 7), (1, 1)):
        x = image(network, size, torch.float64)
        with torch.no_grad():
            torch.testing.assert_close(small(x), network(x), rtol=0, atol=1e-11)


@pytest.mark.parametrize("up", UPS)
def test_a_level_whose_way_back_has_died_is_cut_off_with_all_that_led_to_it(up):
    graph = Unet(kind="unet", levels=4, base=3, up=up, growth=1.0).graph(GREY, GREY)
    network = dead(graph, "up2_2")
    if up == "transposed":
        sleep_(network, {"grow1": torch.zeros(3, dtype=torch.bool)})
    small = shrink(network)
    assert [node.name for node in small.graph.nodes] == ["input", "down1_1", "down1_2", "up1_1", "up1_2", "head"]
    assert small.graph["up1_1"].sources == ("down1_2",), "the concatenation has only its skip"
    gone = {name for name, count in in_use(network).items() if count == 0}
    assert gone == {node.name for node in graph.searched()} - {"down1_1", "down1_2", "up1_1", "up1_2"}
    agree(network, small)


@pytest.mark.parametrize("up", UPS)
@pytest.mark.parametrize(
    "layers", [["down3_2"], ["down3_1"], ["down2_2"], ["down2_2", "down3_2"], ["up2_1", "down3_1"]]
)
def test_what_lives_by_its_biases_alone_emits_its_constants_to_the_border(up, layers):
    """Behind zero-padded kernels a constant is none at the border, so that it cannot be folded into a bias."""
    graph = Unet(kind="unet", levels=3, base=3, up=up).graph(GREY, GREY)
    network = dead(graph, *layers)
    small = shrink(network)
    assert not set(layers) & {node.name for node in small.graph.nodes}
    assert any(node.op == "constant" for node in small.graph.nodes) or layers == ["down3_2"]
    assert parameters(small.graph) == sum(p.numel() for p in small.parameters()) == parameters(graph, in_use(network))
    agree(network, small)


def test_an_asleep_skip_leaves_no_entries_in_the_concatenation_and_its_size_is_still_known():
    """A skip of its own (not what is halved), so that it can go while its level lives."""
    like = {"op": "conv", "width": 3, "searched": True, "activation": "silu", "kernel": 3}
    graph = Graph(
        nodes=(
            Node(name="input", op="input", width=1),
            Node(name="skip", sources=("input",), **like),
            Node(name="half", op="pool", width=1, sources=("input",), mode="max"),
            Node(name="deep", sources=("half",), **like),
            Node(name="grown", op="up", width=3, sources=("deep",), like="skip", mode="bilinear"),
            Node(name="both", op="concat", width=6, sources=("skip", "grown")),
            Node(name="head", op="conv", width=1, sources=("both",)),
        ),
        input_shape=GREY,
        output_shape=GREY,
    )
    network = dead(graph, "skip")
    small = shrink(network)
    assert [node.name for node in small.graph.nodes] == ["input", "half", "deep", "grown", "head"]
    assert small.graph["grown"].like == "input"
    assert small.graph["head"].sources == ("grown",)
    agree(network, small)


@pytest.mark.parametrize("residual", [False, True])
def test_a_network_to_whose_head_nothing_comes_has_died(residual):
    network = dead(Unet(kind="unet", levels=3, base=2, residual=residual).graph(GREY, GREY), "down1_2")
    with pytest.raises(LayerDied, match="down1_2"):
        shrink(network)
    convnet = dead(Convnet(kind="convnet", channels=[2, 3], hidden=[4]).graph(GREY, (5,)), "conv2")
    with pytest.raises(LayerDied, match="conv2"):
        shrink(convnet)


def test_the_layer_in_the_way_is_named_and_not_one_that_nobody_misses():
    graph = Unet(kind="unet", levels=3, base=2).graph(GREY, GREY)
    with pytest.raises(LayerDied, match="'up1_2'"):
        shrink(dead(graph, "down3_1", "up1_2"))
    with pytest.raises(LayerDied, match="'up1_1'"):
        shrink(dead(graph, "up1_1", "up1_2"))  # neither alone, so the first of them


def test_a_residual_network_gives_its_input_and_a_correction_in_the_inputs_units():
    network = filled(Unet(kind="unet", levels=2, base=2, residual=True).graph(GREY, GREY), 5)
    with torch.no_grad():
        for rows in network.rows(network.graph["head"]).values():
            rows.zero_()
        x = image(network, (9, 12), torch.float64)
        torch.testing.assert_close(network(x), x, rtol=0, atol=1e-14)


@pytest.mark.parametrize("activation", ["silu", "gelu", "relu"])
@pytest.mark.parametrize("up", UPS)
@pytest.mark.parametrize("density", [0.01, 0.05])
def test_every_sleeping_channel_has_a_gradient_by_which_it_can_wake(activation, up, density):
    graph = Unet(kind="unet", levels=3, base=8, activation=activation, up=up).graph(GREY, GREY)
    network = Network(graph)
    generator = torch.Generator().manual_seed(0)
    sparse_start_(network, density=density, scale=1.0, generator=generator, live_fan_in=True)
    counts = active_counts(network)
    assert min(counts.values()) >= 1
    assert max(counts.values()) < 8
    x = image(network, (16, 16), torch.float32, batch=4)
    (network(x) - x).square().mean().backward()
    for node in graph.searched():
        weight = network.rows(node)["weight"]
        asleep = (weight == 0).flatten(1).all(1)
        assert bool((weight.grad[asleep].flatten(1).norm(dim=1) > 0).all()), node.name


def test_a_start_at_the_live_fan_in_has_outputs_of_one_size_whatever_the_density():
    """Kaiming's aim: He's deviation, counting the inputs that are awake."""
    graph = Convnet(kind="convnet", channels=[64] * 4, pool_after=[]).graph((1, 8, 8), (1,))
    deviations = {}
    for live in (False, True):
        network = Network(graph)
        sparse_start_(network, density=0.1, scale=1.0, generator=torch.Generator().manual_seed(1), live_fan_in=live)
        counts = active_counts(network)
        weight = network.rows(graph["conv3"])["weight"].detach()
        deviations[live] = float(weight[(weight != 0).flatten(1).any(1)].std())
        expected = (2 / (9 * (counts["conv2"] if live else 64))) ** 0.5
        assert deviations[live] == pytest.approx(expected, rel=0.05)
    assert deviations[True] > 2 * deviations[False]


@pytest.mark.parametrize("up", UPS)
@pytest.mark.parametrize("given", [{"parameters": 4000}, {"macs": 250_000}, {"neurons": 40}])
def test_a_budget_is_kept_and_met_by_a_unet(up, given):
    graph, target, steps = Unet(kind="unet", levels=3, base=12, up=up).graph(GREY, GREY), Target(**given), 40
    network = Network(graph)
    generator = torch.Generator().manual_seed(2)
    sparse_start_(network, density=start_density(graph, target, 1.0), scale=1.0, generator=generator, live_fan_in=True)
    stepper = AdaBreg(parameter_groups(network, 0.02), lr=2e-3)
    budget = Budget(Stepper(network, stepper), target, steps)
    for step in range(1, steps + 1):
        x = torch.rand(4, *GREY, generator=generator)
        stepper.zero_grad()
        (network(x + 0.1 * torch.randn(x.shape, generator=generator)) - x).square().mean().backward()
        stepper.step()
        budget.after(step, ends_epoch=step % 20 == 0)
        if step % 10 == 0:
            assert target.size(graph, active_counts(network)) <= budget.allowed(step)
    small = shrink(network)
    counts = active_counts(network)
    size = target.size(small.graph)
    assert size == target.size(graph, counts) <= target.limit(graph)
    more = [target.size(graph, {**counts, name: n + 1}) for name, n in counts.items() if n < graph[name].width]
    assert min(more) > target.limit(graph), "no channel more would fit"
    x = torch.rand(2, 1, 13, 21)
    torch.testing.assert_close(small(x), network(x), rtol=0, atol=1e-5)


def test_a_dense_start_of_a_unet_passes_the_image_at_its_own_size():
    network = he_(Network(Unet(kind="unet", levels=4, base=16).graph(GREY, GREY)), torch.Generator().manual_seed(0))
    with torch.no_grad():
        out = network(torch.randn(8, 1, 32, 32, generator=torch.Generator().manual_seed(1)))
    assert 0.01 < float(out.std()) < 0.3


def test_a_dense_start_of_a_transposed_convolution_keeps_the_variance_of_what_it_doubles():
    graph = Unet(kind="unet", levels=2, base=64, up="transposed").graph(GREY, GREY)
    network = he_(Network(graph), torch.Generator().manual_seed(0))
    doubled = network.layers["grow1"]
    with torch.no_grad():
        out = doubled(torch.randn(8, 128, 16, 16, generator=torch.Generator().manual_seed(1)))
    assert out.shape == (8, 64, 32, 32)
    assert float(out.var()) == pytest.approx(1.0, rel=0.05)


def test_only_with_the_live_fan_in_does_a_sparse_start_pass_the_image_down_all_levels():
    graph = Unet(kind="unet", levels=4, base=32).graph(GREY, GREY)
    left = {False: [], True: []}
    for live, values in left.items():
        for seed in range(7):
            network = Network(graph)
            generator = torch.Generator().manual_seed(seed)
            sparse_start_(network, density=0.05, scale=1.0, generator=generator, live_fan_in=live)
            bottom = network.layers["down4_2"]
            awake, seen = (bottom.weight != 0).flatten(1).any(1), []
            bottom.register_forward_hook(lambda module, given, made, to=seen: to.append(made))
            with torch.no_grad():
                network(image(network, (32, 32), torch.float32, seed))
            values.append(float(seen[0][:, awake].square().mean().sqrt()))
    assert median(left[False]) < 0.05
    assert 0.5 < median(left[True]) < 8
