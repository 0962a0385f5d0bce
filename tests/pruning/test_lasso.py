"""Group lasso is the penalty of its paper, and PruneTrain removes the channels that died of it and no others."""

import pytest
import torch
from torch import nn

import tiny
from frugal.models import cnn_fc
from frugal.pruning.finding import find_groups
from frugal.pruning.lasso import GroupLasso
from frugal.pruning.removal import Neurons
from pruning.nets import backward, make

DYING = {"ratio": 0.3, "every": 0.3, "threshold": 0.2}  # in 27 steps nothing comes down to 1e-4


def flattened():
    """A net whose linear layer reads each channel at four places."""
    torch.manual_seed(0)
    return cnn_fc.build((1, 8, 8), 3, channels=[4, 6], hidden=5).train(), torch.randn(2, 1, 8, 8)


def formula(model):
    """sum of ||W[:, c]|| and ||W[k]||, but for the net's inputs and outputs; channels of what is flattened stay together."""
    layers, total = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)], 0
    for place, layer in enumerate(layers):
        weight, before = layer.weight, layers[place - 1]
        if place > 0:
            if isinstance(layer, nn.Linear) and isinstance(before, nn.Conv2d):
                weight = weight.view(len(weight), before.out_channels, -1)
            total += (weight.transpose(0, 1).flatten(1).square().sum(1) + 1e-8).sqrt().sum()
        if place < len(layers) - 1:
            total += (weight.flatten(1).square().sum(1) + 1e-8).sqrt().sum()
    return total


@pytest.mark.parametrize("net", ["resnet", "mlp", "flattened"])
@pytest.mark.parametrize("is_cut", [False, True])
def test_the_gradient_that_is_added_is_that_of_the_penalty(net, is_cut):
    model, inputs = flattened() if net == "flattened" else make(net)
    groups = find_groups(model, inputs).groups
    neurons = Neurons(groups, model)
    if is_cut:
        neurons.keep(model, {group.name: torch.arange(1, group.units, 2) for group in groups})
    lasso = GroupLasso(neurons)
    backward(model, inputs)
    before = {name: p.grad.clone() for name, p in model.named_parameters()}
    penalty = formula(model)
    wanted = dict(zip(before, torch.autograd.grad(penalty, model.parameters(), materialize_grads=True), strict=True))
    torch.testing.assert_close(lasso.total(model), penalty.detach())
    lasso.add_gradient(model, 0.3)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, before[name] + 0.3 * wanted[name])


def test_channels_go_when_no_weight_of_theirs_exceeds_the_threshold_and_the_penalty_is_counted(digits):
    trainer = tiny.trainer(digits, tiny.spec("prune_train", **DYING))
    strategy, seen, costs = trainer.strategy, [], []
    remove, before_step = strategy._remove, strategy.before_step
    initial = formula(trainer.model).item()

    def watched(training):
        before = [layer.weight.detach().abs() for layer in (training.model[0], training.model[4], training.model[-1])]
        remove(training)
        dead = [
            torch.maximum(one.flatten(1).amax(1), other.transpose(0, 1).flatten(1).amax(1)) <= DYING["threshold"]
            for one, other in zip(before, before[1:], strict=False)
        ]
        after = [layer.weight for layer in (training.model[0], training.model[4], training.model[-1])]
        torch.testing.assert_close(after[1].abs(), before[1][~dead[1]][:, ~dead[0]], rtol=0, atol=0)
        seen.append(int(sum(one.sum() for one in dead)))

    def counted(training):
        before = training.ledger.flops_scoring
        before_step(training)
        weights = [layer.weight.numel() for layer in (training.model[0], training.model[4], training.model[-1])]
        costs.append((training.ledger.flops_scoring - before, weights[0] + 2 * weights[1] + weights[2]))

    strategy._remove, strategy.before_step = watched, counted
    trainer.run()
    assert len(seen) == 10
    assert sum(bool(gone) for gone in seen) == trainer.history.rows[-1]["removals"] > 1
    first = torch.cat(trainer.history.curve)[0].item()
    assert strategy.coefficient * initial / (first + strategy.coefficient * initial) == pytest.approx(0.3, rel=1e-5)
    assert [cost / each for cost, each in costs] == [2, *[4] * 26]
    flops = [row["flops_per_sample"] for row in trainer.history.rows]
    assert flops == sorted(flops, reverse=True)
    assert flops[-1] < strategy.sizes.full[0]


def test_a_group_that_died_keeps_its_strongest_channel(digits):
    trainer = tiny.trainer(digits, tiny.spec("prune_train", threshold=1e3, every=1))
    trainer.run()
    assert [trainer.history.rows[-1][f"width_{name}"] for name in (0, 4)] == [1, 1]
    held = [p for group in trainer.optimizer.param_groups for p in group["params"]]
    assert all(trainer.optimizer.state[p]["momentum_buffer"].shape == p.shape for p in held)
    with torch.no_grad():
        assert trainer.model(torch.rand(2, 1, 8, 8)).isfinite().all()
