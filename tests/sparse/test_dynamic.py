"""RigL moves weights to where the gradient is, and the optimizer's memory with those that stay."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tiny
from frugal.errors import FrugalError
from frugal.sparse.convert import sparse_layers, sparsify
from frugal.sparse.dynamic import rewire
from frugal.sparse.pattern import Pattern
from frugal.strategies.rigl import RigL


def learned(block, kernel, optimizer_class, grow, seed):
    """One step of a single sparse layer whose candidates were asked for, and its dense gradient."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6 * block, 4 * block))
    sparsify(model, Pattern(block), 0.5, torch.Generator().manual_seed(seed), skip=[], kernel=kernel, dynamic=True)
    layer = model[0]
    options = {"momentum": 0.9} if optimizer_class is torch.optim.SGD else {}
    optimizer = optimizer_class(model.parameters(), lr=0.01, **options)
    x, dy = torch.randn(5, 6 * block), torch.randn(5, 4 * block)
    layer.grow = grow
    model(x).backward(dy)
    optimizer.step()
    return layer, optimizer, dy.t() @ x


@settings(max_examples=60, deadline=None)
@given(
    block=st.sampled_from([1, 2, 4]),
    kernel=st.sampled_from(["scatter", "sparse"]),
    optimizer_class=st.sampled_from([torch.optim.SGD, torch.optim.Adam]),
    grow=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_the_smallest_go_the_largest_gradients_come_and_survivors_keep_their_moments(
    block, kernel, optimizer_class, grow, seed
):
    layer, optimizer, gradient = learned(block, kernel, optimizer_class, grow, seed)
    pattern, shape = layer.pattern, layer.shape
    before = layer.index.clone()
    weight, sizes = layer.weight.detach(), pattern.sizes_of(layer.values.detach())
    moments = {k: v.clone() for k, v in optimizer.state[layer.values].items() if v.shape == layer.values.shape}
    spread = {k: pattern.dense(v, pattern.rows_of(before, shape), shape) for k, v in moments.items()}
    assert moments
    rewire(layer, optimizer)

    dropped = before[sizes.argsort(stable=True)[:grow]]
    survivors = before[~torch.isin(before, dropped)]
    magnitudes = pattern.sizes(gradient)
    free = torch.isin(torch.arange(len(magnitudes)), survivors, invert=True).nonzero().squeeze(1)
    grown = free[magnitudes[free].topk(grow).indices]
    assert torch.equal(layer.index.long(), torch.cat([survivors.long(), grown]).sort().values)
    assert layer.index.dtype == before.dtype

    stays = layer.scattered(torch.ones_like(layer.values.detach()))
    new = torch.isin(layer.index, grown).view(-1, *[1] * (layer.values.dim() - 1)).expand_as(layer.values)
    stays[layer.scattered(new.float()) > 0] = 0
    assert torch.equal(layer.weight.detach(), weight * stays)
    for name, moment in optimizer.state[layer.values].items():
        if name in spread:
            assert torch.equal(layer.scattered(moment), spread[name] * stays)
    x = torch.randn(3, shape[1])
    assert torch.allclose(layer(x), nn.functional.linear(x, layer.weight.detach(), layer.bias), atol=1e-5)


@given(progress=st.floats(0, 1), until=st.floats(0.01, 1))
def test_ever_fewer_weights_move_and_none_at_the_end(progress, until):
    strategy = RigL(until=until)
    expected = 0.15 * (1 + math.cos(math.pi * progress / until)) if progress < until else 0
    assert strategy.fraction(progress) == pytest.approx(expected)


def test_weights_move_when_due_and_the_count_stays(digits):
    trainer = tiny.trainer(digits, tiny.spec("rigl", sparsity=0.8, every=4, until=0.6, kernel="scatter"))
    layers = sparse_layers(trainer.model)
    changed, after_step = [], trainer.strategy.after_step
    patterns = {name: layer.index.clone() for name, layer in layers.items()}

    def watched(running):
        after_step(running)
        if any(not torch.equal(patterns[name], layer.index) for name, layer in layers.items()):
            changed.append(running.ledger.steps)
        patterns.update({name: layer.index.clone() for name, layer in layers.items()})
        assert all(len(layer.index.unique()) == len(layer.index) == len(layer.values) for layer in layers.values())

    trainer.strategy.after_step = watched
    trainer.run()
    assert trainer.ledger.steps == 27
    assert changed == [4, 8, 12, 16]  # 60 % of the training is 16.2 steps
    assert trainer.history.rows[-1]["sparsity"] == pytest.approx(0.8, abs=1e-3)
    assert trainer.history.rows[0]["moved_weights"] < trainer.history.rows[-1]["moved_weights"]


def test_a_dense_gradient_computed_for_growing_is_counted(digits):
    runs = {}
    for until in (0.0, 0.9):
        spec = tiny.spec(
            "rigl", recipe={"epochs": 1, "batch_size": 30}, sparsity=0.5, every=4, until=until, kernel="sparse"
        )
        runs[until] = tiny.trainer(digits, spec)
        runs[until].run()
    assert runs[0.0].ledger.flops_scoring == 0
    layer = sparse_layers(runs[0.9].model)["4"]
    samples, pixels = 30, 4 * 4  # of the second convolution, after pooling; steps 4 and 8 of 10
    assert runs[0.9].ledger.flops_scoring == 2 * samples * 2 * (layer.dense_weights - layer.values.numel()) * pixels


def test_two_of_four_does_not_move(digits):
    with pytest.raises(FrugalError, match="rigl can't keep two of every four"):
        tiny.trainer(digits, tiny.spec("rigl", pattern="semi-structured-2-4", sparsity=0.5))
