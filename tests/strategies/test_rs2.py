"""RS2: as many random samples in each epoch, and over the epochs all of them as often."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from frugal.strategies.base import Run
from frugal.strategies.rs2 import RS2


def started(samples, seed=0, **parameters):
    strategy = RS2(**parameters)
    strategy.start(Run(samples, 8, seed, torch.device("cpu")))
    return strategy


def keeps(strategy, epochs):
    return torch.stack([strategy.plan_epoch(epoch, torch.rand(strategy.run.samples)).keep for epoch in range(epochs)])


@given(share=st.integers(1, 12).map(lambda parts: 1 / parts), rounds=st.integers(1, 3), seed=st.integers(0, 99))
def test_each_sample_is_seen_exactly_once_in_every_round(share, rounds, seed):
    parts = round(1 / share)
    kept = keeps(started(parts * 7, seed, share=share), parts * rounds)
    for number in range(rounds):
        assert (kept[number * parts : (number + 1) * parts].sum(0) == 1).all()


@given(samples=st.integers(1, 200), share=st.floats(0.01, 1), epochs=st.integers(1, 12), seed=st.integers(0, 99))
def test_where_the_share_does_not_divide_the_data_no_sample_is_more_than_one_visit_ahead(samples, share, epochs, seed):
    strategy = started(samples, seed, share=share)
    kept = keeps(strategy, epochs)
    assert (kept.sum(1) == strategy.most_visited()).all()
    assert strategy.most_visited() == max(1, int(share * samples + 1e-9))
    for epoch in range(epochs):
        visits = kept[: epoch + 1].sum(0)
        assert visits.max() - visits.min() <= 1


def test_a_round_is_not_the_last_one_again():
    kept = keeps(started(1000, share=0.5), 4)
    for epoch in (2, 3):
        assert 400 < (kept[0] & kept[epoch]).sum() * 2 < 600, "shuffled anew"


def test_with_replacement_the_epochs_are_independent():
    kept = keeps(started(1000, share=0.5, replacement=True), 40).double()
    assert (kept.sum(1) == 500).all()
    both = (kept[:-1] * kept[1:]).sum(1)
    assert both.mean() == pytest.approx(250, abs=10)


def test_the_learning_rate_ends_with_the_fewer_steps(digits):
    whole, part = (tiny.trainer(digits, tiny.spec(use)) for use in ("full", "rs2"))
    for trainer in (whole, part):
        trainer.run()
    assert part.ledger.flops_executed == pytest.approx(whole.ledger.flops_executed / 2)
    rates = [[row["learning_rate"] for row in trainer.history.rows] for trainer in (whole, part)]
    assert rates[1] == pytest.approx(rates[0], abs=0.05 / 10)
