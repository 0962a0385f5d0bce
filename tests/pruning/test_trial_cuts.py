"""A group is cut only where a net without its neurons computes what it computed while they were zero."""

import copy
import random

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import tiny
from frugal.errors import FrugalError
from frugal.pruning import finding
from frugal.pruning.finding import find_groups
from frugal.pruning.groups import call
from frugal.pruning.removal import Neurons
from frugal.pruning.sizes import Sizes
from frugal.training.writer import manifest, metrics
from pruning import between, nets


def thin(model, groups, optimizer=None):
    """Keep about two thirds of each group, drawn at random."""
    draws = torch.Generator().manual_seed(3)
    kept = {g.name: torch.randperm(g.units, generator=draws)[: max(1, 2 * g.units // 3)].sort().values for g in groups}
    Neurons(groups, model).keep(model, kept, optimizer)
    return kept


def removal_changes(model, example, groups):
    """How much cutting neurons that are zero, and that nobody listens to, changes the output; in the full net it is one."""
    model, inputs = copy.deepcopy(model).double().eval(), torch.randn(example.shape, dtype=torch.float64)
    twin = copy.deepcopy(model)
    kept = thin(model, groups)
    for group in groups:
        gone = [u for u in range(group.units) if u not in kept[group.name].tolist()]
        for member in group.members:
            if member.tensor != "running_var":
                tensor = getattr(twin.get_submodule(member.module), member.tensor).data
                tensor.index_fill_(member.dim, member.places[gone].flatten(), 0)
    with torch.no_grad():
        return float((call(model, inputs) - call(twin, inputs)).abs().max() / call(twin, inputs).abs().max())


def trains_on(model, example, groups):
    """A step of training, a removal, another step."""
    model = copy.deepcopy(model).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for turn in (0, 1):
        logits = call(model, torch.randn_like(example))
        nn.functional.cross_entropy(logits, torch.arange(len(logits)) % logits.shape[1]).backward()
        optimizer.step()
        if turn == 0:
            thin(model, groups, optimizer)
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert [id(p) for p in held] == [id(p) for p in model.parameters()]
    assert all(optimizer.state[p]["momentum_buffer"].shape == p.shape for p in held if p in optimizer.state)


@pytest.mark.parametrize("kind", between.MIXING)
def test_channels_that_something_between_mixes_are_left_whole_and_the_rest_is_cut(kind):
    model, example = between.net(between.MIXING[kind])
    found = find_groups(model, example)
    assert [g.name for g in found.groups] == ["2"]
    assert list(found.whole) == ["0"]
    assert found.notes[0].startswith("pruning: left whole: 0 and the layers that share its channels: ")
    assert removal_changes(model, example, found.groups) < 1e-9
    trains_on(model, example, found.groups)


@pytest.mark.parametrize("kind", between.APART)
def test_channels_that_stay_apart_are_cut_with_all_that_lies_between(kind):
    model, example = between.net(between.APART[kind])
    found = find_groups(model, example)
    assert [g.name for g in found.groups] == ["0", "2"]
    assert not found.notes
    assert removal_changes(model, example, found.groups) < 1e-9
    trains_on(model, example, found.groups)


def test_a_parameter_on_channels_goes_with_them_and_so_do_its_moments():
    model, example = between.net(between.APART["offset"])
    optimizer = torch.optim.Adam(model.parameters())
    call(model, torch.randn_like(example)).sum().backward()
    optimizer.step()
    before = copy.deepcopy(optimizer.state[model[1].values])
    groups = find_groups(model, example).groups
    Neurons(groups, model).keep(model, {"0": torch.tensor([1, 4, 6])}, optimizer)
    after = optimizer.state[model[1].values]
    assert model[1].values.shape == (1, 3, 1, 1)
    assert all(torch.equal(after[k], before[k][:, [1, 4, 6]]) for k in ("exp_avg", "exp_avg_sq"))


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
def test_a_transformer_with_parameters_of_its_own_loses_feed_forward_neurons_and_keeps_its_width(norm):
    model, example = between.Tokens(norm), torch.ones(2, 3, 8, 8)
    found = find_groups(model, example)
    assert [g.name for g in found.groups] == ["up"]
    assert ("", "inner") in {(m.module, m.tensor) for m in found.groups[0].members}
    assert list(found.whole) == ["down"]  # the residual stream
    assert removal_changes(model, example, found.groups) < 1e-9
    trains_on(model, example, found.groups)


def test_a_net_of_which_nothing_can_go_is_refused_in_one_line_with_the_reason():
    with pytest.raises(FrugalError) as refused:
        find_groups(between.Tokens(gated=True), torch.ones(2, 3, 8, 8))
    assert str(refused.value).startswith("Tokens has no neurons that could be removed: left whole: ")
    assert "up and the layers" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_weights_that_two_layers_share_are_left_whole():
    model = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 5), nn.Linear(5, 3))
    model[2].weight = model[0].weight
    found = find_groups(model, torch.ones(2, 6))
    assert [g.name for g in found.groups] == ["4"]
    assert all("is shared with another layer" in reason for reason in found.whole.values())


class OnlyInTraining(nn.Module):
    """A net with a second head that runs in training only."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(4, 6), nn.Linear(6, 6)
        self.head, self.other = nn.Linear(6, 3), nn.Linear(6, 3)

    def forward(self, x):
        x = self.one(x).relu()
        return self.head(self.two(x).relu()) + (self.other(x) if self.training else 0)


def test_neurons_that_a_layer_reads_in_training_only_are_left_whole():
    found = find_groups(OnlyInTraining(), torch.ones(2, 4))
    assert [g.name for g in found.groups] == ["two"]
    assert "doesn't run" in found.whole["one"]


def test_layers_that_start_at_zero_hide_nothing():
    model, example = between.net(between.MIXING["flip"])
    for layer in (model[0], model[2]):
        nn.init.zeros_(layer.weight)
    assert list(find_groups(model, example).whole) == ["0"]


@pytest.mark.parametrize("depth", [30])
def test_a_deep_plain_net_whose_signal_vanishes_is_tried_out_all_the_same(depth):
    layers = [part for _ in range(depth) for part in (nn.Linear(8, 8), nn.ReLU())]
    layers[5] = between.Apply(lambda x: x.flip(1))
    found = find_groups(nn.Sequential(*layers, nn.Linear(8, 3)), torch.ones(2, 8))
    assert list(found.whole) == ["4"]
    assert len(found.groups) == depth - 1


def noisy(x):
    """An activation whose author draws from every random state there is."""
    return x * (1 + 0 * (torch.rand(1) + np.random.rand() + random.random())).to(x)


def test_the_trial_touches_neither_model_nor_random_states():
    model, example = between.net(nn.Sequential(nn.BatchNorm2d(between.WIDTH), between.Apply(noisy)))
    model[0].bias.requires_grad_(False)
    before, flags = copy.deepcopy(model.state_dict()), [p.requires_grad for p in model.parameters()]
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    parameters = list(model.parameters())
    assert len(find_groups(model, example).groups) == 2
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
    assert model.training
    assert torch.equal(states[0], torch.get_rng_state())
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states[1:]


HALF = {"target_flops": 0.5, "every": 2, "round_to": 1, "step": 0.2, "events": 5, "until": 0.8}


def test_a_training_is_the_same_bit_for_bit_with_and_without_the_trial(digits, monkeypatch):
    tried = tiny.trainer(digits, tiny.spec("dynamic_pruning", **HALF))
    tried.run()
    monkeypatch.setattr(finding, "try_out", lambda model, example, groups: (groups, {}))
    plain = tiny.trainer(digits, tiny.spec("dynamic_pruning", **HALF))
    plain.run()
    states = tried.model.state_dict(), plain.model.state_dict()
    assert all(torch.equal(a, b) for a, b in zip(*(s.values() for s in states), strict=True))
    assert tiny.outcome(metrics(tried, "")) == tiny.outcome(metrics(plain, ""))


def test_a_run_names_what_it_left_whole_and_tries_it_out_once(digits, monkeypatch):
    from frugal.training import trainer as trainers

    def mixed(*_):
        convolutions = [nn.Conv2d(1, 8, 3, padding=1), nn.ChannelShuffle(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU()]
        return nn.Sequential(*convolutions, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))

    times = []
    monkeypatch.setattr(trainers, "make_model", mixed)
    monkeypatch.setattr(finding, "try_out", lambda *given, real=finding.try_out: times.append(1) or real(*given))
    trainer = tiny.trainer(digits, tiny.spec("dynamic_pruning", **HALF | {"target_flops": 0.8}))
    trainer.run()
    assert trainer.strategy.removals > 1
    assert times == [1]
    assert trainer.model[0].out_channels == 8 > trainer.model[2].out_channels
    notes = manifest(trainer, "", {}, {}, [])["notes"]
    assert any(note.startswith("pruning: left whole: 0 and") and "mixes channels" in note for note in notes)


NETS = {  # of torchvision: pixels, groups cut, groups left whole
    "resnet18": (32, 12, 0),
    "mobilenet_v3_small": (32, 27, 0),
    "squeezenet1_1": (32, 25, 0),
    "shufflenet_v2_x0_5": (64, 18, 21),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) for n in NETS])
def test_nets_of_torchvision_lose_what_can_be_cut_and_keep_what_cannot(name):
    pixels, cut, whole = NETS[name]
    torch.manual_seed(0)
    model, example = getattr(torchvision.models, name)(num_classes=4), torch.ones(2, 3, pixels, pixels)
    sizes = Sizes(model, example)
    assert (len(sizes.groups), len(sizes.found.whole)) == (cut, whole)
    assert removal_changes(model, example, sizes.groups) < 1e-6
    trains_on(model, example, sizes.groups)


@pytest.mark.parametrize("name", nets.NAMES)
def test_the_nets_of_frugal_lose_nothing_to_the_trial(name, monkeypatch):
    model, inputs = nets.make(name)
    tried = find_groups(model, inputs)
    monkeypatch.setattr(finding, "try_out", lambda model, example, groups: (groups, {}))
    assert [g.name for g in tried.groups] == [g.name for g in find_groups(model, inputs).groups]
