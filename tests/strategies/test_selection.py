"""Leaving samples out without changing what is learned on average."""

from fractions import Fraction
from math import ceil, floor

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import tiny
from frugal.errors import FrugalError
from frugal.strategies.base import Run
from frugal.strategies.full_short import FullShort
from frugal.strategies.infobatch import InfoBatch
from frugal.strategies.random_subset import RandomSubset

LOSSES = arrays("float32", st.integers(2, 80), elements=st.floats(0, 10, width=32) | st.just(float("inf")))


def started(strategy, samples, epochs=8, seed=0, followed=None):
    strategy.start(Run(samples, epochs, seed, torch.device("cpu"), followed))
    return strategy


@given(losses=LOSSES, ratio=st.floats(0, 0.99))
def test_weights_of_an_epoch_stand_for_every_sample(losses, ratio):
    losses = torch.from_numpy(losses)
    strategy = started(InfoBatch(prune_ratio=ratio), len(losses))
    plan = strategy.plan_epoch(1, losses)
    seen = losses[losses.isfinite()].double()
    if plan.keep is None:
        assert len(seen) == 0 or not (losses.double() < seen.mean()).any()
        return
    easy = losses.double() < seen.mean()
    assert plan.keep[~easy].all(), "hard and unseen samples are always kept"
    assert (plan.weight[~easy] == 1).all()
    assert (plan.keep & easy).sum() == max(1, floor((1 - ratio) * easy.sum().item()))
    assert plan.weight[plan.keep].double().sum().item() == pytest.approx(len(losses), rel=1e-6)
    assert strategy.evidence()["pruned_share"] == pytest.approx(1 - plan.keep.double().mean().item())


@given(ratio=st.floats(0, 0.9), seed=st.integers(0, 999))
def test_the_pruned_gradient_is_unbiased(ratio, seed):
    """Over many draws the weighted mean gradient is the full one, within five standard errors of the draws."""
    draw = torch.Generator().manual_seed(seed)
    losses, gradients = torch.rand(30, generator=draw), torch.randn(30, 5, generator=draw)
    strategy, draws = started(InfoBatch(prune_ratio=ratio), 30, seed=seed), []
    for _ in range(600):
        plan = strategy.plan_epoch(1, losses)
        draws.append((gradients * (plan.weight * plan.keep)[:, None]).mean(0))
    draws = torch.stack(draws).double()
    error = draws.std(0) / len(draws) ** 0.5
    assume(bool((error > 0).all()) or ratio == 0)
    assert ((draws.mean(0) - gradients.double().mean(0)).abs() <= 5 * error + 1e-6).all()


@given(epochs=st.integers(1, 300), delta=st.integers(1, 1000).map(lambda n: n / 1000))
def test_the_last_epochs_see_everything_with_weight_one(epochs, delta):
    strategy = started(InfoBatch(delta=delta), 10, epochs)
    first = ceil(Fraction(str(delta)) * epochs)
    losses = torch.arange(10.0)
    assert strategy.plan_epoch(first - 1, losses).keep is not None
    for epoch in range(first, epochs):
        plan = strategy.plan_epoch(epoch, losses)
        assert plan.keep is None
        assert plan.weight is None


def test_the_control_visits_as_many_samples_and_weighs_none(digits):
    pruned = tiny.trainer(digits, tiny.spec("infobatch", recipe={"epochs": 4}, prune_ratio=0.6, delta=0.7))
    pruned.run()
    assert pruned.ledger.samples_forwarded < 4 * 300
    assert pruned.history[-1]["samples"] == 300  # the last epoch is annealed
    followed = [{"samples": float(row["samples"])} for row in pruned.history]
    control = tiny.trainer(digits, tiny.spec("random_subset", recipe={"epochs": 4}), followed=followed)
    control.run()
    assert [row["samples"] for row in control.history] == [row["samples"] for row in pruned.history]
    assert control.ledger.flops_executed == pruned.ledger.flops_executed
    assert [row["train_loss"] for row in control.history[1:]] != [row["train_loss"] for row in pruned.history[1:]]


@given(samples=st.integers(2, 40), shares=st.lists(st.floats(0.1, 1), min_size=8, max_size=8))
def test_the_short_training_passes_evenly_over_all_samples(samples, shares):
    followed = [{"samples": max(1.0, round(share * samples))} for share in shares]
    strategy = started(FullShort(), samples, followed=followed)
    plans = [strategy.plan_epoch(epoch, torch.zeros(samples)).order for epoch in range(8)]
    assert [len(order) for order in plans] == [row["samples"] for row in followed]
    visits = torch.bincount(torch.cat(plans), minlength=samples)
    assert visits.max() - visits.min() <= 1
    assert strategy.evidence()["passes"] == pytest.approx(sum(map(len, plans)) / samples)


@pytest.mark.parametrize("control", [RandomSubset, FullShort])
def test_a_control_without_a_run_to_follow_is_refused(control):
    with pytest.raises(FrugalError, match="name that strategy with `follows:`"):
        started(control(), 10)
