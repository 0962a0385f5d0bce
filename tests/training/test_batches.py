import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from frugal.errors import FrugalError
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
    keep[: min(size, samples)] = True  # a batch at least
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


@given(
    samples=st.integers(2, 400),
    size=st.integers(1, 64),
    kind=st.sampled_from(["", "mixed", "spectral"]),
    seed=st.integers(0, 99),
)
def test_observed_samples_are_read_once_each_between_the_others(samples, size, kind, seed):
    draw = torch.Generator().manual_seed(seed)
    keep = torch.rand(samples, generator=draw) < 0.5
    keep[: min(size, samples)] = True
    level = torch.tensor([4, 8])[torch.randint(2, (samples,), generator=draw)] if kind else None
    weight = torch.rand(samples, generator=draw)
    epoch = arrange(EpochPlan(keep, weight, level, observe=~keep), samples, size, kind == "spectral", draw)
    assert torch.equal(epoch.weight, weight[epoch.order])
    read = {True: [], False: []}
    for (start, stop), observed in zip(epoch.bounds, epoch.observed, strict=True):
        read[observed] += epoch.order[start:stop].tolist()
    assert sorted(read[False]) == keep.nonzero()[:, 0].tolist()
    assert sorted(read[True]) == (~keep).nonzero()[:, 0].tolist()
    assert not epoch.observed[-1], "a step is the last, so that the learning rate comes to its end"
    trained, done = epoch.observed.count(False), 0
    for place, observed in enumerate(epoch.observed):
        done += not observed
        assert abs(done / trained - (place + 1) / len(epoch)) <= 1 / trained, "evenly"
    for (start, _), segments in zip(epoch.bounds, epoch.segments or [], strict=kind != ""):
        for k, first, last in segments:
            assert (level[epoch.order[start + first : start + last]] == k).all()


def test_batches_are_shuffled_across_levels():
    level = torch.tensor([4] * 320 + [16] * 320)
    epoch = arrange(EpochPlan(level=level), 640, 32, True, torch.Generator().manual_seed(0))
    order = [segments[0][0] for segments in epoch.segments]
    assert order not in (sorted(order), sorted(order, reverse=True))


def test_an_order_of_its_own_is_kept_and_may_visit_a_sample_twice():
    order = torch.tensor([3, 1, 2, 0, 3, 1, 2, 2])
    epoch = arrange(EpochPlan(order=order, weight=torch.arange(4.0)), 4, 4, False, torch.Generator())
    assert torch.equal(epoch.order, order)
    assert torch.equal(epoch.weight, order.float())


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (EpochPlan(order=torch.tensor([0, 1, 8, 2])), "visits sample 8, but the data set's 8 samples count from 0"),
        (EpochPlan(order=torch.tensor([0, -1, 2, 3])), "visits sample -1"),
        (EpochPlan(keep=torch.ones(9, dtype=torch.bool)), "9 entries of keep for 8 samples"),
        (EpochPlan(weight=torch.ones(())[None]), "1 entries of weight for 8 samples"),
        (EpochPlan(observe=torch.arange(8) < 3), "visits samples that it only observes as well"),
        (EpochPlan(keep=torch.arange(8) < 3), "leaves 3 of 8 samples in an epoch, less than one batch of 4"),
    ],
)
def test_a_plan_that_does_not_fit_the_data_is_refused(plan, message):
    with pytest.raises(FrugalError, match=message):
        arrange(plan, 8, 4, False, torch.Generator())
