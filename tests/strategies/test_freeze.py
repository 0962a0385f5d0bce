"""Frozen layers are left alone to the last bit, cost no backward pass, and have had their learning rate by then."""

from math import cos, pi

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import tiny
from frugal.measure.flops import pass_flops
from frugal.models.transformer import build as transformer
from frugal.strategies.freeze import Freeze, layers_of

COSINE = {"schedule": "cosine", "warmup": 0.0, "epochs": 4, "weight_decay": 0.01, "momentum": 0.9}
STEPS = 36


def watched(digits, watch, recipe=None, **parameters):
    """A run whose strategy's `before_step` is watched."""
    trainer = tiny.trainer(digits, tiny.spec("freeze", recipe=COSINE | (recipe or {}), **parameters))
    trainer.strategy.before_step = watch
    trainer.run()
    return trainer


@pytest.mark.parametrize("schedule", ["linear", "cubic"])
def test_layers_stop_from_the_front_and_stay_to_the_last_bit(digits, schedule):
    steps, at_freezing = [], {}
    power = 3 if schedule == "cubic" else 1
    ends = [0.5**power, 0.75**power, 1]

    def watch(training):
        layers, done = training.strategy.layers, (training.ledger.steps) / STEPS
        frozen = [all(p.grad is None for p in layer.values()) for layer in layers]
        assert frozen == [done >= end for end in ends]
        assert all(p.grad is not None for layer, f in zip(layers, frozen, strict=True) if not f for p in layer.values())
        for place, layer in enumerate(layers):
            if frozen[place] and place not in at_freezing:
                at_freezing[place] = {name: p.detach().clone() for name, p in layer.items()}
        steps.append(frozen)

    trainer = watched(digits, watch, t_0=0.5, schedule=schedule)
    assert len(steps) == trainer.ledger.steps == STEPS
    assert set(at_freezing) == {0, 1}
    for place, values in at_freezing.items():
        for name, parameter in trainer.strategy.layers[place].items():
            assert torch.equal(parameter, values[name]), "neither decay nor momentum moved it"
            assert parameter not in trainer.optimizer.state
    assert [row["frozen_layers"] for row in trainer.history.rows][-1] == 2


@pytest.mark.parametrize("scaled", [True, False])
def test_the_rate_of_each_layer_is_the_cosine_of_its_own_time(digits, scaled):
    rates = []

    def watch(training):
        rates.append({group["layer"]: group["lr"] for group in training.optimizer.param_groups})

    trainer = watched(digits, watch, {"learning_rate": 0.1}, t_0=0.5, schedule="linear", scaled=scaled)
    for layer, end in enumerate((0.5, 0.75, 1.0)):
        for step, rate in enumerate(rates):
            t = step / STEPS
            if t < end:
                expected = 0.1 / (end if scaled else 1) * (1 + cos(pi * t / end)) / 2
                assert rate[layer] == pytest.approx(expected), (layer, step)
    if scaled:
        sums = [
            sum(rate[layer] for step, rate in enumerate(rates) if step / STEPS < end)
            for layer, end in enumerate((0.5, 0.75, 1))
        ]
        assert sums == pytest.approx([0.1 * STEPS / 2] * 3, rel=0.1)
    assert trainer.history.rows[-1]["learning_rate"] == pytest.approx(0.1 * (1 + cos(pi * 35 / 36)) / 2)


def test_the_backward_pass_that_is_counted_is_the_one_that_is_executed(digits):
    counted = []

    def watch(training):
        model = training.model
        with FlopCounterMode(display=False) as forward:
            loss = model(torch.ones(32, 1, 8, 8)).sum()
        with FlopCounterMode(display=False) as counter:
            loss.backward()
        counted.append((forward.get_total_flops() / 32, counter.get_total_flops() / 32))

    with torch.random.fork_rng():
        trainer = watched(digits, watch, {"epochs": 3}, t_0=0.4, schedule="linear")
    ledger = trainer.ledger
    sizes = [32] * 8 + [44]
    executed = sum(size * backward for size, (_, backward) in zip(sizes * 3, counted, strict=True))
    assert len({backward for _, backward in counted}) == 3
    assert ledger.flops_backward == executed
    first, second, head = 8 * 9 * 64 * 2, 16 * 8 * 9 * 16 * 2, 16 * 10 * 2
    assert [b for _, b in sorted({(n, b) for n, (_, b) in enumerate(counted)})][-1] == head, (
        "of the head, its weight only"
    )
    assert counted[0][1] == first + 2 * second + 2 * head
    assert {f for f, _ in counted} == {first + second + head}


def test_a_run_costs_what_the_formula_says(digits):
    run = tiny.trainer(digits, tiny.spec("freeze", t_0=0.5, schedule="linear"))
    run.run()
    full = pass_flops(run.model, (1, 8, 8), 10)
    assert run.ledger.flops_forward == run.ledger.samples_forwarded * full.forward
    assert full.backward == 16 * 10 * 2, "all but the head are frozen in the finished net"


def test_layers_come_in_the_order_of_a_pass_and_norms_belong_to_the_layer_before():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.norm, self.first = nn.Linear(4, 2), nn.LayerNorm(4), nn.Linear(3, 4)

        def forward(self, x):
            return self.head(self.norm(self.first(x)))

    layers = [list(layer) for layer in layers_of(Backwards(), torch.ones(2, 3))]
    assert layers == [["first.weight", "first.bias", "norm.weight", "norm.bias"], ["head.weight", "head.bias"]]


def test_a_tied_weight_belongs_to_its_last_use():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3))
    model[2].weight = model[0].weight
    layers = [list(layer) for layer in layers_of(model, torch.ones(2, 3))]
    assert layers == [["0.bias", "1.weight", "1.bias"], ["2.weight", "2.bias"]]


def test_every_parameter_of_a_transformer_belongs_to_one_layer():
    model = transformer((7,), 3, 11, layers=2, heads=2, hidden=8, feed_forward=16)
    layers = layers_of(model, torch.ones(2, 7, dtype=torch.int64))
    found = [id(p) for layer in layers for p in layer.values()]
    assert sorted(found) == sorted(id(p) for p in model.parameters())
    assert list(layers[-1]) == ["head.weight", "head.bias"]
    assert "layers.0.attention.query.weight" in layers[2]
    assert "tokens.weight" in layers[1]


def test_what_a_pass_never_comes_to_belongs_to_the_module_that_holds_it():
    """As auxiliary heads, which are called in training alone: neither they nor their parts are in the pass that is looked at."""

    class Auxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.head = nn.Linear(3, 4), nn.Linear(4, 2)
            self.aux = nn.ModuleDict({"one": nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))})

        def forward(self, x):
            return self.head(self.first(x))

    layers = layers_of(Auxiliary(), torch.ones(2, 3))
    assert list(layers[-1]) == ["head.weight", "head.bias"]
    assert sorted(name for layer in layers for name in layer) == sorted(dict(Auxiliary().named_parameters()))
    assert len(layers) == 3


def test_one_layer_is_refused():
    strategy = Freeze()
    strategy.run = type("Run", (), {"example": torch.ones(2, 3)})
    with pytest.raises(Exception, match=r"the model has 1 layer\(s\) with weights"):
        strategy.prepare_model(nn.Linear(3, 2))
