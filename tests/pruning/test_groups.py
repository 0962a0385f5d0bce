"""What is cut together, and what is never cut."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from frugal.errors import FrugalError
from frugal.pruning.finding import find_groups
from frugal.pruning.groups import call
from frugal.pruning.importance import taylor
from frugal.pruning.removal import Neurons
from frugal.pruning.sizes import Sizes
from pruning import nets

WIDTHS = {
    "resnet": {"conv1": 8, "layer2.0.conv2": 16, "layer3.0.conv2": 32}
    | {f"layer{i}.0.conv1": w for i, w in ((1, 8), (2, 16), (3, 32))},
    "mlp": {"0": 16, "2": 12, "4": 8},
    "bert": {f"bert.encoder.layer.{i}.attention.self.query": 4 for i in (0, 1)}
    | {f"bert.encoder.layer.{i}.intermediate.dense": 24 for i in (0, 1)}
    | {"bert.pooler.dense": 16},
    "wav2vec2": {f"wav2vec2.encoder.layers.{i}.attention.k_proj": 4 for i in (0, 1)}
    | {f"wav2vec2.encoder.layers.{i}.feed_forward.intermediate_dense": 24 for i in (0, 1)}
    | {"wav2vec2.feature_extractor.conv_layers.1.conv": 8},
}


@pytest.mark.parametrize("name", nets.NAMES)
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_flops_scaled_from_those_of_the_layers_are_the_counted_ones(name, data):
    model, inputs = nets.make(name)
    sizes = Sizes(model, inputs)
    widths = {group.name: data.draw(st.integers(1, group.units)) for group in sizes.groups}
    assert sizes.share(widths) == pytest.approx(sizes.at(widths)[0] / sizes.full[0], rel=1e-6)


@pytest.mark.parametrize("name", nets.NAMES)
def test_the_groups_of_each_architecture_leave_inputs_outputs_and_residual_streams_of_transformers_alone(name):
    model, inputs = nets.make(name)
    assert {g.name: g.units for g in find_groups(model, inputs).groups} == WIDTHS[name]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["bert", "wav2vec2"])
def test_heads_go_whole_and_the_same_ones_from_query_key_value_and_output(name, attention):
    model, inputs = nets.make(name, attn_implementation=attention)
    neurons = Neurons(find_groups(model, inputs).groups, model)
    heads = [g for g in neurons.groups.values() if g.attention]
    assert len(heads) == 2
    before = {k: v.clone() for k, v in model.state_dict().items()}
    neurons.keep(model, {heads[0].name: torch.tensor([0, 3])})
    channels = [0, 1, 2, 3, 12, 13, 14, 15]
    for member in heads[0].members:
        key = f"{member.module}.{member.tensor}"
        assert torch.equal(model.state_dict()[key], before[key].index_select(member.dim, torch.tensor(channels)))
    layer = model.get_submodule(heads[0].attention)
    assert getattr(layer, "num_attention_heads", getattr(layer, "num_heads", None)) == 2
    mask = torch.ones_like(inputs, dtype=torch.long)
    mask[1, -3:] = 0
    logits = model(inputs, attention_mask=mask).logits
    assert logits.isfinite().all()
    logits.sum().backward()


def reading_hooks(model, group):
    """For each layer that reads a group: what it is given, with a gradient of its own."""
    seen = {}

    def take(name):
        def hook(layer, inputs):
            seen[name] = inputs[0].clone()
            seen[name].retain_grad()
            return seen[name]

        return hook

    return seen, [model.get_submodule(m.module).register_forward_pre_hook(take(m.module)) for m in group.readers]


@pytest.mark.parametrize("name", nets.NAMES)
def test_weight_times_gradient_is_activation_times_gradient(name):
    model, inputs = nets.make(name)
    neurons = Neurons(find_groups(model, inputs).groups, model)
    neurons.keep(model, {n: live[1:] for n, live in neurons.live.items()})  # in a net that was pruned before
    for group in neurons.groups.values():
        seen, hooks = reading_hooks(model, group)
        nets.backward(model, inputs)
        for hook in hooks:
            hook.remove()
        wanted = 0
        for x in seen.values():
            channels = 1 if isinstance(model.get_submodule(group.readers[0].module), nn.Conv1d | nn.Conv2d) else -1
            channels = 1 if x.dim() > 3 else channels
            products = (x.detach().double() * x.grad.double()).transpose(0, channels).flatten(1).sum(1)
            wanted = wanted + products.view(-1, group.size).sum(1)
        found = taylor(model, neurons, group).double()
        assert torch.allclose(found, wanted, atol=1e-6, rtol=1e-3), group.name


def test_importance_predicts_what_removing_a_channel_does_to_the_loss():
    """The derivative of the loss along a channel's weights in all that reads it, by finite differences."""
    model, inputs = nets.make("resnet")
    model, inputs = model.double(), inputs.double()
    neurons = Neurons(find_groups(model, inputs.float().double()).groups, model)
    group = neurons.groups["conv1"]
    nets.backward(model, inputs)
    found = taylor(model, neurons, group)

    def loss(scale, channel):
        for member in group.readers:
            model.get_submodule(member.module).weight.data[:, channel] *= scale
        logits = call(model, inputs)
        for member in group.readers:
            model.get_submodule(member.module).weight.data[:, channel] /= scale
        return nn.functional.cross_entropy(logits, torch.arange(len(logits)) % logits.shape[1]).item()

    for channel in range(group.units):
        slope = (loss(1 + 1e-5, channel) - loss(1 - 1e-5, channel)) / 2e-5
        assert slope == pytest.approx(found[channel].item(), abs=1e-6, rel=1e-3)


def test_sizes_at_any_width_are_those_of_the_net_cut_to_it():
    model, inputs = nets.make("resnet")
    sizes = Sizes(model, inputs)
    widths = {g.name: g.units // 2 for g in sizes.groups}
    flops, weights = sizes.at(widths)
    Neurons(sizes.groups, model).keep(model, {n: torch.arange(w) for n, w in widths.items()})
    assert weights == sum(p.numel() for p in model.parameters())
    assert flops == Sizes(model, inputs).full[0] < 0.3 * sizes.full[0]


def test_a_layer_with_several_positions_per_channel_is_cut_at_all_of_them():
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 4, 2))
    neurons = Neurons(find_groups(model, torch.zeros(2, 1, 4, 4)).groups, model)
    before = model[3].weight.clone()
    neurons.keep(model, {"0": torch.tensor([0, 2])})
    assert torch.equal(model[3].weight, before[:, [0, 1, 2, 3, 8, 9, 10, 11]])


def test_a_frozen_layer_that_reads_them_keeps_its_neurons():
    model, inputs = nets.make("mlp")
    model[2].requires_grad_(False)
    assert [g.name for g in find_groups(model, inputs).groups] == ["2", "4"]


def test_a_model_without_hidden_neurons_is_refused():
    with pytest.raises(FrugalError, match="no neurons that could be removed"):
        find_groups(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.zeros(2, 4))
