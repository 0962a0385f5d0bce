"""Importance sampling by the gradient's norm: unbiased, by the norm at the outputs, and on only where it pays."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

import tiny
from frugal.strategies.base import Run
from frugal.strategies.gradient_norm import GradientNorm
from frugal.training.batches import Batch, Gathering
from frugal.training.optimizer import set_rate


def started(smoothing=0.0, **parameters):
    strategy = GradientNorm(**parameters)
    strategy.start(Run(1000, 8, 0, torch.device("cpu"), label_smoothing=smoothing))
    strategy.plan_epoch(0, torch.zeros(1000))
    return strategy


def example(seed, smoothing, count=30):
    """Logits that can be derived, labels and the loss of each."""
    draw = torch.Generator().manual_seed(seed)
    logits = (3 * torch.randn(count, 4, generator=draw)).requires_grad_()
    labels = torch.randint(4, (count,), generator=draw)
    return logits, labels, functional.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 99), smoothing=st.sampled_from([0.0, 0.1]), presample=st.integers(1, 5))
def test_the_weighted_mean_over_the_draws_is_that_of_all_candidates(seed, smoothing, presample):
    """Over many draws, within five standard errors."""
    logits, labels, losses = example(seed, smoothing)
    strategy, means = started(smoothing, presample=presample), []
    for _ in range(300):
        positions, weights = strategy.select(logits.detach(), labels)
        assert len(positions) == round(30 / presample)
        means.append((weights * losses.detach()[positions]).mean())
    means = torch.stack(means).double()
    assert abs(means.mean() - losses.mean()) <= 5 * means.std() / len(means) ** 0.5 + 1e-6


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_sample_is_drawn_in_proportion_to_the_norm_of_the_gradient_at_the_outputs(smoothing):
    logits, labels, losses = example(1, smoothing)
    norms = torch.autograd.grad(losses.sum(), logits)[0].norm(dim=1)
    p = norms / norms.sum()
    strategy, counts, draws = started(smoothing, presample=3), torch.zeros(30), 1000
    for _ in range(draws):
        positions, weights = strategy.select(logits.detach(), labels)
        torch.testing.assert_close(weights, 1 / (30 * p[positions]), rtol=1e-4, atol=0)
        counts += torch.bincount(positions, minlength=30)
    share = counts / (10 * draws)
    assert ((share - p).abs() <= 5 * (p * (1 - p) / (10 * draws)).sqrt()).all()


def test_tau_is_the_batch_that_would_lower_the_variance_as_much():
    """The paper's expression, 1 / tau = sqrt(1 - |p - u|^2 / |p|^2); and it is smoothed from 0 on."""
    logits, labels, losses = example(2, 0.0)
    norms = torch.autograd.grad(losses.sum(), logits)[0].norm(dim=1).double()
    p = norms / norms.sum()
    gain = (1 - (p - 1 / 30).square().sum() / p.square().sum()) ** -0.5
    strategy = started()
    strategy.select(logits.detach(), labels)
    assert strategy.evidence()["tau"] == pytest.approx(0.1 * gain.item(), rel=1e-5)
    strategy.after_forward(torch.arange(30), logits.detach(), labels)
    assert strategy.evidence()["tau"] == pytest.approx(0.19 * gain.item(), rel=1e-5)


@pytest.mark.parametrize("presample", [1, 3, 5])
def test_it_is_on_only_where_scoring_costs_less_than_the_larger_batch(presample):
    """Scoring B = k b and training on b cost k + 3; a batch tau times as large costs 3 tau."""
    strategy = started(presample=presample)
    for tau in (0.9, 1.1, 1.5, 1.9, 2.1, 2.6, 2.7, 3.0):
        strategy.tau = torch.tensor(tau)
        assert (strategy.scoring_scale() is not None) == (presample + 3 < 3 * tau)


def test_where_no_candidate_has_a_gradient_they_are_drawn_uniformly():
    logits = torch.zeros(12, 4)
    logits[:, 0] = 1000
    positions, weights = started().select(logits, torch.zeros(12, dtype=torch.long))
    assert len(positions) == 4
    assert (weights == 1).all()


def test_weights_reach_the_gradient(digits):
    """A batch of drawn samples gives the gradient of their weighted mean loss."""
    trainer = tiny.trainer(digits, tiny.spec("gradient_norm"))
    trainer.model.eval()  # so that a sample's loss doesn't depend on the others
    trainer.get_ready()
    trainer._plan()
    set_rate(trainer.optimizer, 0.0)
    images, labels = torch.randn(96, 1, 8, 8), torch.randint(10, (96,))
    positions, weights = trainer.strategy.select(trainer.model(images).detach(), labels)
    losses = functional.cross_entropy(trainer.model(images[positions]), labels[positions], reduction="none")
    wanted = torch.autograd.grad((weights * losses).mean(), trainer.model.parameters())
    gathering = Gathering()
    gathering.add(Batch(images, labels, torch.arange(96)), positions, weights)
    trainer._optimize(gathering.take(32))
    for parameter, gradient in zip(trainer.model.parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-4)


def test_on_it_costs_scoring_and_a_third_of_the_training_and_off_it_costs_nothing(digits):
    never, always = (tiny.trainer(digits, tiny.spec("gradient_norm", threshold=bound)) for bound in (1e9, 0))
    for trainer in (never, always):
        trainer.run()
    flops, full = never.flops_at(8), tiny.trainer(digits)
    full.run()
    assert never.ledger.flops_scoring == 0
    assert 0 <= 3 * 300 - never.ledger.samples_backpropagated < 32, "but for those that wait for their batch at the end"
    assert never.ledger.steps == 900 // 32
    assert {row["importance_share"] for row in never.history.rows} == {0}
    second = always.history.rows[1]
    assert second["importance_share"] == 1
    assert 300 / 3 - 32 < second["samples"] < 300 / 3 + 32
    assert always.ledger.flops_scoring == (900 - 96) * flops.forward, "all but the first set"
    assert always.ledger.samples_backpropagated < full.ledger.samples_backpropagated / 2
