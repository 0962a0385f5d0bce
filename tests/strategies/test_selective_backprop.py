"""Selective-Backprop keeps each sample with the probability that its paper gives."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

import tiny
from frugal.strategies.base import Run
from frugal.strategies.selective_backprop import SelectiveBackprop

SMOOTHING = 0.1


def started(**parameters):
    strategy = SelectiveBackprop(**parameters)
    strategy.start(Run(1000, 8, 0, torch.device("cpu"), label_smoothing=SMOOTHING))
    strategy.plan_epoch(1, torch.zeros(1000))
    return strategy


@settings(max_examples=8, deadline=None)
@given(beta=st.just(0) | st.floats(0.1, 4), history=st.integers(1, 300), seed=st.integers(0, 99))
def test_each_sample_is_kept_as_often_as_cdf_to_the_power_of_beta_says(beta, history, seed):
    """Over many draws, within five standard errors; the distribution is of the last losses, the batch's own among them."""
    draw = torch.Generator().manual_seed(seed)
    before, logits = torch.randn(200, 5, generator=draw), 3 * torch.randn(40, 5, generator=draw)
    labels, draws = torch.randint(5, (40,), generator=draw), 200
    strategy = started(beta=beta, history=history)
    strategy.select(before, torch.zeros(200, dtype=torch.long))
    recent, counts = strategy.recent, torch.zeros(40)
    for _ in range(draws):
        strategy.recent = recent
        counts[strategy.select(logits, labels)] += 1

    def loss(outputs, wanted):
        return functional.cross_entropy(outputs, wanted, reduction="none", label_smoothing=SMOOTHING).numpy()

    losses = loss(logits, labels)
    known = np.concatenate([loss(before, torch.zeros(200, dtype=torch.long)), losses])[-history:]
    expected = np.array([(known < one).mean() ** beta for one in losses])
    error = np.sqrt(expected * (1 - expected) / draws)
    assert (abs(counts.numpy() / draws - expected) <= 5 * error + 1e-6).all()


def test_the_kept_share_is_what_beta_promises():
    strategy, draw = started(beta=2.0, history=1024), torch.Generator().manual_seed(0)
    for _ in range(300):
        strategy.select(torch.randn(64, 5, generator=draw), torch.randint(5, (64,), generator=draw))
    assert strategy.evidence()["kept_share"] == pytest.approx(1 / 3, abs=0.02)
    assert strategy.evidence()["expected_share"] == pytest.approx(1 / 3, abs=0.01)


@pytest.mark.parametrize(("scoring", "cost"), [("fresh", 1), ("half", 0.25)])
def test_scoring_is_charged_and_only_full_batches_are_trained_on(digits, scoring, cost):
    trainer = tiny.trainer(digits, tiny.spec("selective_backprop", recipe={"epochs": 4}, beta=1, scoring=scoring))
    sizes, optimize = [], trainer._optimize
    trainer._optimize = lambda batch: (sizes.append(len(batch.labels)), optimize(batch))
    trainer.run()
    first, *rest = trainer.history.rows
    assert first["samples"] == 300
    assert first["kept_share"] is None
    assert set(sizes[9:]) == {32}
    for row in rest:
        assert abs(row["samples"] - 300 * row["kept_share"]) < 32 + 300 / 9, (
            "but for those that wait, and for uneven batches"
        )
    ledger, flops = trainer.ledger, trainer.flops_at(8)
    assert ledger.flops_scoring == pytest.approx(3 * 300 * cost * flops.forward, rel=0.1 if scoring == "half" else 1e-9)
    assert ledger.flops_forward == sum(row["samples"] for row in trainer.history.rows) * flops.forward
    assert ledger.samples_backpropagated < 4 * 300
