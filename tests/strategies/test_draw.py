"""A draw has exactly the size asked for, and favours nobody."""

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frugal.strategies import selection as module
from frugal.strategies.selection import below, draw, lowest, mean_of_seen


@pytest.fixture(params=[0, module.SMALL], ids=["coins", "permutation"], autouse=True)
def way(request, monkeypatch):
    """Both ways to draw, on pools small enough to look into."""
    monkeypatch.setattr(module, "SMALL", request.param)
    monkeypatch.setattr(module, "CHUNK", 7)


SETTINGS = {"pool": st.lists(st.booleans(), min_size=1, max_size=60).map(torch.tensor), "share": st.floats(0, 1)}


def test_a_draw_has_the_size_asked_for_and_stays_in_its_pool(way):
    @given(**SETTINGS)
    def holds(pool, share):
        before, count = pool.clone(), int(share * pool.sum())
        drawn = draw(pool, count, torch.Generator().manual_seed(0))
        assert drawn.sum() == count
        assert not (drawn & ~pool).any()
        assert torch.equal(pool, before)

    holds()


def test_every_subset_is_equally_likely(way):
    pool, generator = torch.tensor([1, 0, 1, 1, 0, 1, 1, 1], dtype=torch.bool), torch.Generator().manual_seed(0)
    subsets = dict.fromkeys(combinations((0, 2, 3, 5, 6, 7), 2), 0)
    draws = 4500
    for _ in range(draws):
        subsets[tuple(draw(pool, 2, generator).nonzero().squeeze(1).tolist())] += 1
    share = 1 / len(subsets)
    assert all(abs(n / draws - share) < 5 * (share * (1 - share) / draws) ** 0.5 for n in subsets.values())


def test_more_than_there_are_cannot_be_drawn(way):
    with pytest.raises(ValueError, match="cannot draw 3 of 2"):
        draw(torch.tensor([True, True, False]), 3, torch.Generator())


def test_the_lowest_are_the_lowest_and_ties_are_drawn(way):
    values, generator = torch.tensor([3.0, 1, 2, 2, 2, 5, float("inf")]), torch.Generator().manual_seed(0)
    visits = torch.stack([lowest(values, 3, generator) for _ in range(400)]).sum(0)
    assert visits[1] == 400
    assert visits[[0, 5, 6]].sum() == 0
    assert visits.sum() == 1200
    assert visits[2:5].min() > 200


def test_the_mean_and_its_comparison_are_exact(way):
    @given(st.lists(st.floats(0, 50, width=32) | st.just(float("inf")), min_size=1, max_size=40))
    def holds(losses):
        losses = torch.tensor(losses)
        seen = losses[losses.isfinite()].double()
        mean = mean_of_seen(losses)
        assert (mean is None) == (len(seen) == 0)
        if mean is not None:
            assert mean == pytest.approx(seen.mean().item(), rel=1e-12)
            assert torch.equal(below(losses, mean), losses.double() < mean)

    holds()
