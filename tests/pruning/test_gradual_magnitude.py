"""Gradual magnitude pruning: the sparsity at each time is the cubic of its paper, and what is masked stays at zero."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tiny
from frugal.strategies.gradual_magnitude import GradualMagnitude


@given(st.floats(0, 1), st.floats(0, 0.4), st.floats(0.5, 1), st.floats(0, 0.5), st.floats(0.5, 0.99))
def test_the_sparsity_is_the_cubic(progress, begin_at, until, initial, final):
    strategy = GradualMagnitude(final, initial, begin_at, until)
    inside = min(max(progress, begin_at), until)
    cubic = final + (initial - final) * (1 - (inside - begin_at) / (until - begin_at)) ** 3
    assert strategy.wanted(progress) == pytest.approx(cubic if progress >= begin_at else 0)


def test_each_layer_has_that_sparsity_when_due_and_the_smallest_are_masked(digits):
    wanted = {"sparsity": 0.8, "begin_at": 0.1, "until": 0.7, "every": 4}
    recipe = {"momentum": 0.9, "weight_decay": 0.01, "grad_clip": 1.0}
    trainer = tiny.trainer(digits, tiny.spec("gradual_magnitude", recipe=recipe, **wanted))
    weight, after_step, seen, before = trainer.model[4].weight, trainer.strategy.after_step, [], {}

    def watched(training):
        before["weight"] = weight.detach().clone()
        after_step(training)
        seen.append(int((weight == 0).sum()))
        gone = before["weight"][weight == 0].abs()
        if gone.numel() and seen[-1] != (seen[-2] if len(seen) > 1 else 0):
            assert gone.max() <= weight[weight != 0].abs().min()

    trainer.strategy.after_step = watched
    trainer.run()
    expected, share = [], 0.0
    for step in range(1, 28):
        t = step / 27
        s = 0.8 if t >= 0.7 else 0.8 - 0.8 * (1 - (t - 0.1) / 0.6) ** 3
        if t >= 0.1 and (step % 4 == 0 or t >= 0.7):
            share = s
        expected.append(int(share * weight.numel()))
    assert seen == pytest.approx(expected, abs=1)
    last = trainer.history.rows[-1]
    assert last["sparsity"] == pytest.approx(0.8, abs=1e-3)
    assert last["kept_weights"] == int((weight != 0).sum())
    assert not (trainer.model[0].weight == 0).any(), "the first convolution stays whole"
    parameters = sum(p.numel() for p in trainer.model.parameters())
    assert last["live_parameters"] == parameters - seen[-1]


def test_masked_weights_have_no_gradient_when_gradients_are_clipped(digits):
    trainer = tiny.trainer(digits, tiny.spec("gradual_magnitude", sparsity=0.8, every=1, until=0.5))
    before_step, checked = trainer.strategy.before_step, []

    def watched(training):
        before_step(training)
        mask = trainer.strategy.masks.masks.get("4")
        if mask is not None:
            gradient = training.model[4].weight.grad
            assert (gradient[mask == 0] == 0).all()
            assert torch.count_nonzero(gradient) > 0
            checked.append(True)

    trainer.strategy.before_step = watched
    trainer.run()
    assert len(checked) > 20
