"""Two more ways to a size, on any graph: grown by admission, and equal widths at the size that swap channels."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linbreg import AdaBreg, LinBreg, pack_state, unpack_state
from models.admission import GROWTH, Admission
from models.budget import start_density
from models.groups import active_counts, parameter_groups, sparse_start_
from models.network import Network
from models.selection import CAP, Held
from models.shrink import shrink
from models.stepper import Stepper
from models.swaps import FADES, LEAST, MARGIN, PERIOD, Swaps, flat_start_, flat_widths, moves, stages
from spec import Graph, Target, parameters
from spec.mlp import Mlp
from spec.target import SIZES, possible
from spec.unet import Unet

from .images import convnets, unets
from .networks import stream_graph

LAM = 0.02
STEPS = 40
UNET = Unet(kind="unet", levels=2, base=8).graph((1, 8, 8), (1, 8, 8))


def begun(kind: type[Held], graph: Graph, target: Target, steps: int, seed: int = 0, lam: float = LAM) -> Held:
    """A search before its first step."""
    network, generator = Network(graph), torch.Generator().manual_seed(seed)
    if kind is Swaps:
        flat_start_(network, target, scale=1.0, generator=generator)
    else:
        density = start_density(graph, target, 0.05)
        sparse_start_(network, density=density, scale=1.0, generator=generator, live_fan_in=True)
    return kind(Stepper(network, AdaBreg(parameter_groups(network, lam), lr=2e-3)), target, steps)


def descend(selection: Held, step: int, seed: int = 0) -> None:
    """A step along made-up gradients, part of them the same in every step: they wake groups all over the network."""
    generator, always = torch.Generator().manual_seed(1000 * seed + step), torch.Generator().manual_seed(seed)
    for param in selection.network.parameters():
        steady, noise = (torch.randn(param.shape, generator=g) for g in (always, generator))
        param.grad = (steady + noise) * torch.rand((len(param), *[1] * (param.dim() - 1)), generator=always)
    selection.optimizer.step()


@st.composite
def searches(draw: st.DrawFn) -> Held:
    form = draw(st.sampled_from(["mlp", "skips", "unet", "convnet"]))
    if form == "mlp":
        bias, widths = draw(st.sampled_from(["grouped", "free"])), draw(st.lists(st.integers(1, 9), min_size=1))
        graph = Mlp(kind="mlp", widths=widths[:4], bias=bias).graph((5,), (3,))
    elif form == "skips":
        graph = stream_graph(draw(st.integers(2, 9)), draw(st.sampled_from(["grouped", "free"])))
    elif form == "unet":
        graph = draw(unets(2).filter(lambda unet: not unet.residual)).graph((1, 8, 8), (2, 8, 8))
    else:
        graph = draw(convnets()).graph((2, 8, 8), (3,))
    measure = draw(st.sampled_from(list(SIZES)))
    target = Target(**{measure: draw(st.integers(*possible(graph)[measure]))})
    return begun(draw(st.sampled_from([Admission, Swaps])), graph, target, STEPS, draw(st.integers(0, 99)))


@settings(max_examples=25, deadline=None)
@given(selection=searches())
def test_the_size_is_never_exceeded_and_met_to_one_channel_at_the_end(selection):
    graph, measure = selection.network.graph, SIZES[selection.measure]
    for step in range(1, STEPS + 1):
        before = active_counts(selection.network)
        descend(selection, step)
        selection.after(step, ends_epoch=step % 7 == 0)
        counts = active_counts(selection.network)
        assert measure(graph, counts) <= selection.limit
        assert min(counts.values()) >= 1, "no layer is empty"
        if isinstance(selection, Swaps) and step % selection.every and step < STEPS:
            assert counts == before, "between two events nothing wakes up or falls asleep"
    for names in graph.index_sets():
        if counts[names[0]] < graph[names[0]].width:
            assert measure(graph, counts | {name: counts[name] + 1 for name in names}) > selection.limit
    if selection.measure == "parameters" and not selection.network.scalars:
        assert sum(p.numel() for p in shrink(selection.network).parameters()) == measure(graph, counts)


@pytest.mark.parametrize("kind", [Admission, Swaps])
@pytest.mark.parametrize("at", [19, 20, 27])
def test_a_search_taken_up_from_its_stored_state_goes_on_exactly(kind, at):
    target = Target(fraction=0.4)
    whole, first, second = (begun(kind, UNET, target, STEPS) for _ in range(3))
    starts = active_counts(whole.network)
    for step in range(1, STEPS + 1):
        descend(whole, step)
        whole.after(step, ends_epoch=False)
    for step in range(1, at + 1):
        descend(first, step)
        first.after(step, ends_epoch=False)
    tensors, values = pack_state(first.optimizer.state_dict())
    second.network.load_state_dict(first.network.state_dict())
    second.optimizer.load_state_dict(unpack_state(tensors, json.loads(json.dumps(values))))
    for step in range(at + 1, STEPS + 1):
        descend(second, step)
        second.after(step, ends_epoch=False)
    assert active_counts(whole.network) != starts, "something was selected"
    for one, other in zip(whole.network.parameters(), second.network.parameters(), strict=True):
        assert torch.equal(one, other)


def test_admission_begins_with_the_size_of_the_start_and_grows_by_one_factor():
    target, steps = Target(parameters=2000), 100
    selection = begun(Admission, UNET, target, steps)
    start = parameters(UNET, active_counts(selection.network))
    assert selection.allowed(0) == pytest.approx(start)
    budgets = np.array([selection.allowed(step) for step in range(steps + 1)])
    growing = budgets[: int(GROWTH * steps) + 1]
    np.testing.assert_allclose(growing[1:] / growing[:-1], (2000 / start) ** (1 / (GROWTH * steps)))
    assert (budgets[len(growing) :] == 2000).all()
    sizes = [start]
    for step in range(1, steps + 1):
        descend(selection, step)
        selection.after(step, ends_epoch=False)
        sizes.append(parameters(UNET, active_counts(selection.network)))
        assert sizes[-1] <= budgets[step]
    assert sizes == sorted(sizes), "with steady gradients it only grows"
    assert sizes[50] < 0.5 * sizes[-1]


def scores_of(selection: Held) -> dict[tuple[int, int], float]:
    """‖v_g‖/√n_g of every group, in NumPy."""
    scores = {}
    for index, group in enumerate(selection.optimizer.param_groups[: len(selection.sets)]):
        duals = [selection.optimizer.state[param]["dual"].double().numpy() for param in group["params"]]
        for row in range(len(duals[0])):
            entries = np.concatenate([dual[row].reshape(-1) for dual in duals])
            scores[index, row] = float(np.sqrt(np.mean(entries**2)))
    return scores


def rows(masks: list[torch.Tensor]) -> set[tuple[int, int]]:
    return {(index, row) for index, mask in enumerate(masks) for row in mask.nonzero()[:, 0].tolist()}


def test_admission_lets_in_the_largest_duals_and_no_others():
    """Each layer's strongest sleepers, and beyond the least widths the strongest of all layers."""
    selection = begun(Admission, UNET, Target(parameters=2500), 100)
    came = beyond = 0
    for step in range(1, 66):
        descend(selection, step)
        scores, were = scores_of(selection), rows(selection._before)
        least = selection._least(selection.allowed(step))
        selection.after(step, ends_epoch=False)
        new = rows(selection._masks()) - were
        assert not new or step % 5 == 0
        left = scores.keys() - were - new
        for index, floor in enumerate(least):
            ranked = sorted((group for group in new if group[0] == index), key=scores.get, reverse=True)
            rest = [scores[group] for group in left if group[0] == index]
            assert not ranked or not rest or scores[ranked[-1]] >= max(rest) * (1 - 1e-6)
            for group in ranked[max(0, floor - sum(1 for g in were if g[0] == index)) :]:
                assert scores[group] >= max(scores[other] for other in left) * (1 - 1e-6)
                beyond += 1
        came += len(new)
        assert all(1.0 < scores_of(selection)[group] / LAM < 1.02 for group in new), "they begin near 0"
    assert came > 10
    assert beyond > 5


def test_what_is_held_asleep_keeps_direction_and_order_and_the_rest_is_untouched():
    selection = begun(Admission, UNET, Target(parameters=900), 1000)
    for step in range(1, 20):
        descend(selection, step)
        if step < 19:
            selection.after(step, ends_epoch=False)
    before = {p: selection.optimizer.state[p]["dual"].clone() for p in selection.network.parameters()}
    scores = scores_of(selection)
    were = rows(selection._before)
    selection.after(19, ends_epoch=False)
    after = scores_of(selection)
    low, high = CAP
    woken = sorted((group for group in scores if group not in were and scores[group] > low * LAM), key=scores.get)
    assert sum(scores[group] > LAM for group in woken) > 5
    assert all(low * LAM <= after[group] < high * LAM for group in woken)
    rise = np.diff([after[group] for group in woken])
    assert (rise > -1e-6 * LAM).all(), "their order stays, to rounding"
    assert rise.sum() > 0
    groups = selection.optimizer.param_groups
    for index in range(len(selection.sets)):
        for param in groups[index]["params"]:
            dual, old = selection.optimizer.state[param]["dual"], before[param]
            for row in range(len(dual)):
                if (index, row) in were or scores[index, row] < low * LAM:
                    assert torch.equal(dual[row], old[row])
                else:
                    ratio = after[index, row] / scores[index, row]
                    torch.testing.assert_close(dual[row], old[row] * ratio, rtol=1e-4, atol=1e-9)
    assert rows(selection._masks()) == were


def test_a_start_above_the_target_loses_its_weakest_groups():
    network = Network(UNET)
    sparse_start_(network, density=1.0, scale=1.0, generator=torch.Generator().manual_seed(0))
    selection = Admission(Stepper(network, AdaBreg(parameter_groups(network, LAM))), Target(fraction=0.2), 10)
    counts = active_counts(network)
    assert parameters(UNET, counts) <= selection.limit
    assert min(counts.values()) >= 1


def test_equal_widths_fill_the_target_and_are_dense_among_themselves():
    """By brute force: the largest common width, then one channel after the other from the first layer on."""
    target, sets = Target(parameters=1500), UNET.index_sets()

    def size(widths):
        return parameters(UNET, {names[0]: width for names, width in zip(sets, widths, strict=True)})

    flat = max(n for n in range(1, 17) if size([min(n, UNET[names[0]].width) for names in sets]) <= 1500)
    widths = flat_widths(UNET, size, 1500)
    assert all(width >= min(flat, UNET[names[0]].width) for width, names in zip(widths, sets, strict=True))
    assert max(widths) <= flat + 2
    network = Network(UNET)
    flat_start_(network, target, scale=1.0, generator=torch.Generator().manual_seed(0))
    assert list(active_counts(network).values()) == widths
    weight = network.rows(UNET["down2_2"])["weight"].detach()
    kept = widths[[names[0] for names in sets].index("down2_2")]
    inputs = widths[[names[0] for names in sets].index("down2_1")]
    assert float(weight[:kept].std()) == pytest.approx(math.sqrt(2 / (9 * inputs)), rel=0.1), "He, of live inputs"
    assert (weight[kept:] == 0).all()


def test_stages_are_chains_at_one_resolution():
    names = [[UNET.index_sets()[i][0] for i in stage] for stage in stages(UNET)]
    assert names == [["down1_1", "down1_2"], ["down2_1", "down2_2"], ["up1_1", "up1_2"]]
    transposed = Unet(kind="unet", levels=2, base=2, up="transposed", convolutions=3).graph((1, 8, 8), (1, 8, 8))
    assert stages(transposed) == [(0, 1, 2), (3, 4, 5), (6,), (7, 8, 9)]
    assert stages(Mlp(kind="mlp", widths=(4, 5, 6)).graph((3,), (2,))) == [(0,), (1,), (2,)]
    assert stages(stream_graph(5, "grouped")) == [(0,)], "layers of one index set"


def test_channels_move_only_where_they_are_worth_much_more():
    """Three layers whose channels cost 1, 2 and 4."""
    costs = np.array([1, 2, 4])

    def moved(worth, amount=100.0, counts=(20, 20, 20), most=(99, 99, 99)):
        return moves(
            [(0,), (1,), (2,)], counts, worth, lambda c: int(costs @ np.array(c)),
            limit=140, least=[5, 5, 5], most=most, amount=amount,
        )  # fmt: skip

    assert moved([1.0, 2.0, 4.0]) == [20, 20, 20], "worth the same for what they cost"
    assert moved([MARGIN, 2.0, 4.0]) == [20, 20, 20], "not more than the margin"
    assert moved([10.0, 2.0, 4.0], amount=1.0)[0] == 21
    some = moved([10.0, 2.0, 4.0])
    assert some[0] > 21
    assert costs @ some <= 140
    assert moved([1e6, 2.0, 0.0], most=(24, 99, 99))[0] == 24, "a layer is no wider than it can be"
    extreme = moved([1e6, 0.0, 0.0])
    assert extreme[0] == 32, "at most 1.6 times as wide in one event"
    assert min(extreme) >= 12, "and no less than 0.6 times"


def train(kind: type[Held], worthless: str | None, steps: int = 120) -> Held:
    """Take noise off images of one grey each; `worthless` names a layer whose output is multiplied by 0."""
    graph = Unet(kind="unet", levels=2, base=12).graph((1, 12, 12), (1, 12, 12))
    selection = begun(kind, graph, Target(parameters=3000), steps)
    if worthless is not None:
        selection.network.layers[worthless].register_forward_hook(lambda module, given, output: 0.0 * output)
    generator = torch.Generator().manual_seed(0)
    for step in range(1, steps + 1):
        y = torch.randn(8, 1, 1, 1, generator=generator).expand(8, 1, 12, 12)
        x = y + torch.randn(y.shape, generator=generator)
        selection.optimizer.zero_grad()
        (selection.network(x) - y).square().mean().backward()
        selection.optimizer.step()
        selection.after(step, ends_epoch=False)
    return selection


def test_a_level_that_does_nothing_gives_its_channels_away():
    def share(selection):
        counts = active_counts(selection.network)
        return (counts["down2_1"] + counts["down2_2"]) / sum(counts.values())

    graph = Unet(kind="unet", levels=2, base=12).graph((1, 12, 12), (1, 12, 12))
    begins = share(begun(Swaps, graph, Target(parameters=3000), 120))
    useless, useful = train(Swaps, "down2_2"), train(Swaps, None)
    assert share(useless) < 0.6 * begins
    assert share(useful) > 1.2 * share(useless)
    flat = flat_widths(graph, useless.size, 3000)
    assert all(n >= max(1, int(LEAST * width)) for n, width in zip(useless.counts(), flat, strict=True))


def test_a_channel_is_worth_what_its_removal_would_change_to_first_order():
    """Against a running mean in NumPy."""
    selection, means = begun(Swaps, UNET, Target(fraction=0.4), STEPS), 0.0
    for step in range(1, 8):
        params = [p.detach().double().clone() for p in selection.network.rows(UNET["up1_1"]).values()]
        descend(selection, step)
        grads = [p.grad.double() for p in selection.network.rows(UNET["up1_1"]).values()]
        product = sum((p * g).flatten(1).sum(1) if p.dim() > 1 else p * g for p, g in zip(params, grads, strict=True))
        means = FADES * means + (1 - FADES) * product.numpy() ** 2
        selection.after(step, ends_epoch=False)
    values = selection._values()[[names[0] for names in UNET.index_sets()].index("up1_1")]
    np.testing.assert_allclose(values.numpy(), np.sqrt(means), rtol=1e-4, atol=1e-9)


def test_events_lie_in_the_time_for_moves():
    """Nine or ten where there is room for so many, each with less to move than the one before."""
    for steps, number in ((10, 0), (40, 1), (100, 2), (300, 8), (1000, 9)):
        selection, left = begun(Swaps, UNET, Target(fraction=0.4), steps), []
        selection.swap = left.append
        for step in range(1, steps + 1):
            selection.after(step, ends_epoch=False)
            assert not left or step > PERIOD * steps or left[-1] >= 1 - step / (PERIOD * steps)
        assert len(left) == number
        assert left == sorted(left, reverse=True)
        assert all(0 < share < 1 for share in left)


def test_linbreg_can_swap_too():
    network = Network(UNET)
    flat_start_(network, Target(fraction=0.4), scale=1.0, generator=torch.Generator().manual_seed(0))
    stepper = LinBreg(parameter_groups(network, LAM), lr=0.01, momentum=0.9)
    selection = Swaps(Stepper(network, stepper), Target(fraction=0.4), STEPS)
    begins = selection.counts()
    for step in range(1, STEPS + 1):
        descend(selection, step)
        selection.after(step, ends_epoch=False)
        assert parameters(UNET, active_counts(network)) <= selection.limit
    assert selection.counts() != begins


def test_a_lambda_of_0_is_refused():
    with pytest.raises(ValueError, match="greater than 0"):
        begun(Admission, UNET, Target(fraction=0.4), STEPS, lam=0.0)
