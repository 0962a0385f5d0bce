"""Instance-dependent early stopping: what no longer bends has no backward pass, and comes back when it does."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

import tiny
from frugal.strategies.base import Run
from frugal.strategies.ies import IES

LONG = {"recipe": {"epochs": 6}, "delta": 0.1, "window": 1}


def started(samples, batch_size=1, **parameters):
    strategy = IES(**parameters)
    strategy.start(Run(samples, 20, 0, torch.device("cpu"), batch_size=batch_size))
    return strategy


def planned(strategy, *losses):
    """The plan after epochs that ended with these losses."""
    plan = strategy.plan_epoch(0, torch.full_like(losses[0], torch.inf))
    for epoch, last in enumerate(losses):
        plan = strategy.plan_epoch(epoch + 1, last)
    return plan


@given(seed=st.integers(0, 999), window=st.integers(1, 4), delta=st.floats(0, 0.5), epochs=st.integers(1, 8))
def test_a_sample_is_mastered_where_its_mean_second_difference_is_below_delta(seed, window, delta, epochs):
    losses = torch.rand(epochs, 40, generator=torch.Generator().manual_seed(seed))
    strategy = started(40, delta=delta, window=window)
    plan = planned(strategy, *losses)
    if epochs < window + 2:
        assert plan.keep is None
        return
    bends = losses.diff(n=2, dim=0)[-window:].abs().mean(0)
    mastered = bends < delta
    if mastered.all():
        mastered[bends.argmax()] = False  # a batch is always trained on
    sure = (bends - delta).abs() > 1e-6
    kept = torch.ones(40, dtype=torch.bool) if plan.keep is None else plan.keep
    assert torch.equal(kept[sure], ~mastered[sure])
    assert plan.observe is None or torch.equal(plan.observe, ~plan.keep)
    assert strategy.evidence()["pruned_share"] == pytest.approx(1 - kept.double().mean().item())


def test_a_straight_line_is_mastered_a_bend_is_not_and_what_bends_again_comes_back():
    falls, bends = torch.tensor([3.0, 2.0, 1.0, 0.5]), torch.tensor([3.0, 1.0, 0.5, 0.4])
    strategy = started(2, delta=0.01, window=1)
    third = planned(strategy, *torch.stack([falls, bends], 1)[:3])
    assert third.observe.tolist() == [True, False]
    fourth = strategy.plan_epoch(4, torch.stack([falls, bends], 1)[3])
    assert fourth.keep is None, "the line bent by 0.5"


def test_a_batch_of_those_that_bend_most_is_always_trained_on():
    losses = torch.rand(4, 50) * 1e-6
    plan = planned(started(50, batch_size=8, delta=1.0, window=1), *losses[:3])
    assert plan.keep.sum() == 8
    assert set(losses[:3].diff(n=2, dim=0).abs()[0].topk(8).indices.tolist()) == set(plan.keep.nonzero()[:, 0].tolist())


def test_less_than_a_batch_of_mastered_samples_is_trained_on_still():
    bends = torch.ones(50)
    bends[:7] = 0
    for size, mastered in ((7, 7), (8, 0)):
        strategy = started(50, batch_size=size, window=1)
        plan = planned(strategy, torch.zeros(50), torch.zeros(50), bends)
        assert strategy.evidence()["pruned_share"] == mastered / 50
        assert plan.observe is None if mastered == 0 else plan.observe.sum() == mastered


def epochs_of(trainer):
    """Per epoch: the samples trained on, and FLOPs that torch executed in its steps."""
    trained, executed, optimize, train = [], [], trainer._optimize, trainer.train_epoch

    def note(batch):
        trained[-1] += batch.indices.tolist()
        optimize(batch)

    def count(*options):
        trained.append([])
        with FlopCounterMode(display=False) as counter:
            train(*options)
        executed.append(counter.get_total_flops())

    trainer._optimize, trainer.train_epoch = note, count
    trainer.run()
    return trained, executed


def test_mastered_samples_have_no_backward_pass_and_what_is_executed_is_what_is_counted(digits):
    trainer, plans = tiny.trainer(digits, tiny.spec("ies", **LONG)), []
    plan_epoch = trainer.strategy.plan_epoch
    trainer.strategy.plan_epoch = lambda *given: (plans.append((plan_epoch(*given), given[1].clone())), plans[-1][0])[1]
    trained, executed = epochs_of(trainer)
    shares = [row["pruned_share"] for row in trainer.history.rows]
    assert shares[:3] == [0, 0, 0]
    assert 0.1 < max(shares) < 0.9
    flops = trainer.flops_at(8)
    counted = [row["flops_executed"] for row in trainer.history.rows]
    counted = [last - before for before, last in zip([0, *counted], counted, strict=False)]
    for (plan, _), (_, after), indices in zip(plans[3:], plans[4:], trained[3:], strict=False):
        assert sorted(indices) == plan.keep.nonzero()[:, 0].tolist()
        assert (after != plans[3][1]).all(), "the losses of those that are only forwarded are new ones too"
    for share, own, real in list(zip(shares, counted, executed, strict=True))[
        1:
    ]:  # the first one also counts what a pass costs
        kept = round(300 * (1 - share))
        assert own == kept * (flops.forward + flops.backward) + (300 - kept) * flops.forward
        assert real / executed[1] == pytest.approx(own / counted[1], rel=1e-6)
    assert trainer.ledger.bytes_read == 6 * 300 * 64, "all of them are read"


def test_observing_changes_nothing_in_the_net(digits):
    trainer = tiny.trainer(digits, tiny.spec("ies", **LONG))
    observe, seen = trainer._observe, []

    def check(batch):
        before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
        observe(batch)
        seen.append(all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items()))

    trainer._observe = check
    trainer.run()
    assert seen
    assert all(seen)
