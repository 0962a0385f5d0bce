import torch
from hypothesis import given
from hypothesis import strategies as st

from frugal.strategies.base import EpochPlan
from frugal.training.batches import arrange, cut


@given(count=st.integers(1, 3000), size=st.integers(1, 200))
def test_no_sample_is_dropped_and_no_batch_is_tiny(count, size):
    bounds = cut(count, size)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == count
    assert all(a[1] == b[0] for a, b in zip(bounds, bounds[1:], strict=False))
    sizes = [stop - start for start, stop in bounds]
    assert sizes[:-1] == [size] * (len(sizes) - 1)
    assert sizes[-1] <= 1.5 * size
    assert sizes[-1] >= min(count, size / 2)


@given(samples=st.integers(2, 400), size=st.integers(1, 64), spectral=st.booleans(), seed=st.integers(0, 99))
def test_every_kept_sample_is_visited_once_at_its_level(samples, size, spectral, seed):
    draw = torch.Generator().manual_seed(seed)
    keep = torch.rand(samples, generator=draw) < 0.7
    keep[0] = True
    level = torch.tensor([4, 8, 16])[torch.randint(3, (samples,), generator=draw)]
    weight = torch.rand(samples, generator=draw)
    epoch = arrange(EpochPlan(keep, weight, level), samples, size, spectral, draw)
    assert sorted(epoch.order.tolist()) == keep.nonzero().squeeze(1).tolist()
    assert torch.equal(epoch.weight, weight[epoch.order])
    for (start, stop), segments in zip(epoch.bounds, epoch.segments, strict=True):
        assert segments[0][1] == 0
        assert segments[-1][2] == stop - start
        assert not spectral or len(segments) == 1
        for k, first, last in segments:
            assert (level[epoch.order[start + first : start + last]] == k).all()


def test_batches_are_shuffled_across_levels():
    level = torch.tensor([4] * 320 + [16] * 320)
    epoch = arrange(EpochPlan(level=level), 640, 32, True, torch.Generator().manual_seed(0))
    order = [segments[0][0] for segments in epoch.segments]
    assert order not in (sorted(order), sorted(order, reverse=True))
