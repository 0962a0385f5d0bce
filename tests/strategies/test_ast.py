"""Adaptive Sparse Training: what is not significant is really skipped, and the rate is what it is said to be."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

import tiny
from frugal.errors import FrugalError
from frugal.strategies.controllers import ProportionalIntegral, Quantile, significance
from frugal.training.batches import Batch, Gathering
from frugal.training.distributed import Team
from frugal.training.forward import score
from frugal.training.optimizer import set_rate

CPU = torch.device("cpu")


@given(
    target=st.floats(0.02, 1),
    size=st.integers(8, 200),
    scale=st.floats(1e-6, 1e6),
    seed=st.integers(0, 99),
)
def test_the_quantile_controller_holds_its_target_for_any_scale_of_the_losses(target, size, scale, seed):
    draw, control = torch.Generator().manual_seed(seed), Quantile(target, CPU)
    selected = []
    for _ in range(60):
        mask = control.select(scale * torch.rand(size, generator=draw))
        assert torch.equal(control.positions(mask), mask.nonzero().squeeze(1))
        selected.append(mask.sum().item())
    assert abs(sum(selected[:50]) / (50 * size) - target) <= 0.01
    assert abs(sum(selected) / (60 * size) - target) <= 0.01


@given(
    target=st.floats(0.05, 0.95),
    kp=st.floats(0, 1),
    ki=st.floats(0, 0.1),
    losses=st.lists(st.lists(st.floats(0, 12), min_size=20, max_size=20), min_size=1, max_size=40),
)
def test_the_pi_controller_is_the_sources(target, kp, ki, losses):
    control = ProportionalIntegral(target, kp, ki, CPU)
    tau, ema, integral = 3.0, target, 0.0
    for batch in losses:
        scores = torch.tensor(batch, dtype=torch.float64)
        mask = control.select(scores)
        above = sum(value > tau for value in batch)
        assert mask.sum() == max(above, 2)  # max(2, 10 %) of 20
        assert scores[mask].min() >= scores[~mask].max() if 0 < mask.sum() < 20 else True
        ema = 0.1 * mask.double().mean().item() + 0.9 * ema
        error = ema - target
        integral = max(-100.0, min(100.0, integral + error)) if 0.5 < tau < 10 else 0.9 * integral
        tau = max(0.5, min(10.0, tau + kp * error + ki * integral))
        assert control.tau.item() == pytest.approx(tau, abs=1e-9)


def test_significance_is_loss_and_entropy():
    logits, labels = torch.randn(50, 7), torch.randint(7, (50,))
    p = logits.softmax(1)
    wanted = 0.7 * functional.cross_entropy(logits, labels, reduction="none") - 0.3 * (p * p.log()).sum(1)
    assert torch.allclose(significance(logits, labels), wanted, atol=1e-5)


@given(counts=st.lists(st.integers(0, 16), max_size=30), size=st.integers(1, 16))
def test_every_selected_sample_is_trained_on_once_in_full_batches(counts, size):
    gathering, taken, number = Gathering(), [], 0
    for count in counts:
        indices = torch.arange(number, number + 16)
        gathering.add(Batch(indices.float().view(-1, 1, 1, 1), indices % 3, indices), torch.arange(count))
        number += 16
        batch = gathering.take(size)
        if batch is not None:
            assert len(batch.inputs) == size
            assert torch.equal(batch.inputs.flatten().long(), batch.indices)
            assert torch.equal(batch.labels, batch.indices % 3)
            taken += batch.indices.tolist()
    selected = [16 * place + k for place, count in enumerate(counts) for k in range(count)]
    waiting = [i for parts in gathering.waiting for i in parts[2].tolist()]
    assert taken + waiting == selected


@pytest.mark.parametrize("scoring", ["masked", "fresh", "half", "remembered"])
@pytest.mark.parametrize("target", [0.2, 0.5])
def test_the_flops_executed_are_those_of_the_cost_model(digits, scoring, target):
    """Per candidate: masked 1, fresh (1 + 3a)/3, half (0.25 + 3a)/3, remembered a; within 5 %."""
    recipe = {"epochs": 6, "batch_size": 20}
    run = tiny.spec("ast", recipe=recipe, target=target, warmup=0.34, scoring=scoring, controller="quantile")
    run = run.model_copy(update={"model": run.model.model_copy(update={"parameters": {"channels": [32, 32]}})})
    trainer = tiny.trainer(digits, run)
    trainer.run()
    executed = [row["flops_executed"] for row in trainer.history.rows]
    sparse = (executed[5] - executed[1]) / 4 / executed[0]  # an epoch after the warm-up over one of the warm-up
    flops = trainer.flops_at(8)
    whole, forward = flops.forward + flops.backward, flops.forward
    expected = {
        "masked": 1,
        "fresh": (1 + 3 * target) / 3,
        "half": (0.25 + 3 * target) / 3,
        "remembered": target,
    }[scoring]
    # The first layer needs no gradient of its input, so backward is a little less than twice forward here.
    expected += {"fresh": forward / whole - 1 / 3, "half": 0.25 * (forward / whole - 1 / 3)}.get(scoring, 0)
    assert sparse == pytest.approx(expected, rel=0.05)


def test_scoring_changes_nothing_in_the_net(digits):
    trainer = tiny.trainer(digits, tiny.spec("ast"))
    trainer.get_ready()
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    images, state = torch.randn(16, 1, 8, 8), torch.get_rng_state()
    logits = score(trainer.forward, images, 0.5)
    assert trainer.model.training
    assert not logits.requires_grad
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())


@pytest.mark.parametrize("scoring", ["masked", "fresh", "half", "remembered"])
@pytest.mark.parametrize("target", [0.07, 1.0])
def test_all_or_hardly_any_selected_is_never_not_a_number(digits, scoring, target):
    trainer = tiny.trainer(
        digits, tiny.spec("ast", recipe={"batch_size": 15}, target=target, scoring=scoring, controller="quantile")
    )
    trainer.run()
    assert all(row["train_loss"] == row["train_loss"] for row in trainer.history.rows)
    assert trainer.history.rows[-1]["activation_rate"] == pytest.approx(target, abs=0.01)
    control = [{"samples": float(row["samples"])} for row in trainer.history.rows]
    if scoring != "masked":
        again = tiny.trainer(digits, tiny.spec("random_subset", recipe={"batch_size": 15}), followed=control)
        again.run()
        assert again.ledger.samples_backpropagated == trainer.ledger.samples_backpropagated


def test_masked_losses_give_the_gradient_of_the_selected_ones(digits):
    trainer = tiny.trainer(digits, tiny.spec("ast", warmup=0.0, scoring="masked", controller="quantile", target=0.25))
    trainer.model.eval()  # so that a sample's loss doesn't depend on the others
    trainer.strategy.plan_epoch(0, trainer.losses)
    trainer.strategy.learning_rate = lambda scheduled: 0.0
    trainer.get_ready()
    images, labels = torch.randn(32, 1, 8, 8), torch.randint(10, (32,))
    logits = trainer.model(images)
    chosen = significance(logits, labels).topk(8).indices
    wanted = torch.autograd.grad(functional.cross_entropy(logits[chosen], labels[chosen]), trainer.model.parameters())
    set_rate(trainer.optimizer, 0.0)
    trainer._plan()
    trainer._optimize(Batch(images, labels, torch.arange(32)))
    for parameter, gradient in zip(trainer.model.parameters(), wanted, strict=True):
        assert torch.allclose(parameter.grad, gradient, atol=1e-5)


def test_an_epoch_that_selects_less_than_a_batch_is_an_error(digits):
    trainer = tiny.trainer(
        digits, tiny.spec("ast", recipe={"batch_size": 150}, target=0.1, warmup=0.0, controller="quantile")
    )
    with pytest.raises(FrugalError, match="selected less than one batch of 150 in epoch 1; raise its target or lower"):
        trainer.run()


def test_ranks_that_can_not_share_a_selection_say_so(digits):
    with pytest.raises(FrugalError, match="can't be shared by 2 devices; set devices: 1"):
        tiny.trainer(digits, tiny.spec("ast"), team=Team(0, 2))
