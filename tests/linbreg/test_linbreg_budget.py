"""A λ for a size: never above the budget, as near to it as whole groups allow, and one for all where that can be."""

import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linbreg import quantile_lams


def chain(inputs, outputs):
    """Parameters of an MLP as a function of the counts of its hidden layers."""

    def size(counts):
        widths = [inputs, *counts, outputs]
        return sum(b * (a + 1) for a, b in itertools.pairwise(widths))

    return size


def awake(scores, lams):
    return [int((layer > lam).sum()) for layer, lam in zip(scores, lams, strict=True)]


@st.composite
def cases(draw):
    """Scores of layers, a size, and a share of the possible range.

    There are no ties, not even with the mean of two: those have a test of their own.
    """
    widths = draw(st.lists(st.integers(1, 30), min_size=1, max_size=4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    ranks = torch.randperm(sum(widths), generator=generator) + 1
    scores = list((ranks / sum(widths)).pow(1.7).split(widths))
    inputs, outputs = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    return scores, chain(inputs, outputs), draw(st.floats(0, 1.2))


@settings(max_examples=200, deadline=None)
@given(cases())
def test_the_groups_above_lambda_fill_the_budget_and_never_exceed_it(case):
    scores, size, share = case
    least, most = size([1 for _ in scores]), size([len(layer) for layer in scores])
    limit = least + share * (most - least)
    lams = quantile_lams(scores, size, limit)
    counts = awake(scores, lams)
    assert all(count >= 1 for count in counts)
    assert size(counts) <= limit
    # The next group in the order of the scores would not have fitted.
    out = [
        (float(layer[layer <= lam].max()), i)
        for i, (layer, lam) in enumerate(zip(scores, lams, strict=True))
        if (layer <= lam).any()
    ]
    if out:
        _, best = max(out)
        counts[best] += 1
        assert size(counts) > limit
    else:
        assert limit >= most


@settings(max_examples=200, deadline=None)
@given(cases())
def test_lambda_is_the_same_for_all_layers_that_it_does_not_empty(case):
    scores, size, share = case
    limit = size([1 for _ in scores]) + share * 100
    lams = quantile_lams(scores, size, limit)
    common = max(lams)
    for layer, lam in zip(scores, lams, strict=True):
        if lam < common:
            assert int((layer > common).sum()) == 0, "it would have emptied this layer"
            assert int((layer > lam).sum()) == 1


def test_equal_scores_come_in_together_or_not_at_all():
    scores = [torch.tensor([0.9, 0.5, 0.5, 0.5, 0.2])]
    size = chain(3, 2)
    for limit in (size([1]), size([2]), size([3])):
        assert awake(scores, quantile_lams(scores, size, limit)) == [1]
    assert awake(scores, quantile_lams(scores, size, size([4]))) == [4]


def test_the_least_groups_stay_though_they_are_too_large():
    scores = [torch.rand(5), torch.rand(5)]
    assert awake(scores, quantile_lams(scores, chain(3, 3), 0)) == [1, 1]
    assert awake(scores, quantile_lams(scores, chain(3, 3), 0, least=2)) == [2, 2]


def test_rounding_to_float32_does_not_move_a_group_across():
    layer = 0.04 + 1e-4 * torch.rand(2000, generator=torch.Generator().manual_seed(0))
    size = chain(1, 1)
    for count in range(1, 2000, 97):
        (lam,) = quantile_lams([layer], size, size([count]))
        rounded = torch.tensor(lam, dtype=torch.float32)
        assert int((layer > rounded).sum()) <= count


def test_sizes_that_float32_cannot_tell_apart_are_told_apart():
    scores = [torch.tensor([4.0, 3.0, 2.0, 1.0])]
    lams = quantile_lams(scores, lambda counts: 2**24 + counts[0], 2**24 + 2.5)
    assert awake(scores, lams) == [2]
