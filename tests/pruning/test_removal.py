"""Neurons that are removed are gone everywhere, the optimizer included, and the rest of the training doesn't notice."""

import copy
import io

import pytest
import torch
import torch_pruning
from hypothesis import given, settings
from hypothesis import strategies as st

from frugal.errors import FrugalError
from frugal.pruning.finding import find_groups
from frugal.pruning.groups import call
from frugal.pruning.removal import Neurons
from pruning import nets

FEW = settings(max_examples=12, deadline=None)
architectures = st.sampled_from(nets.NAMES)
optimizers = st.sampled_from(["sgd", "adam"])


def draw_kept(data, neurons):
    """Some live units of each group, at least one."""
    return {
        name: live[sorted(data.draw(st.sets(st.integers(0, len(live) - 1), min_size=1)))]
        for name, live in neurons.live.items()
    }


@FEW
@given(name=architectures, kind=optimizers, data=st.data())
def test_after_a_removal_the_optimizer_holds_exactly_the_live_parameters_and_their_moments(name, kind, data):
    model, inputs = nets.make(name)
    optimizer = nets.optimizer_of(model, kind)
    neurons = Neurons(find_groups(model, inputs).groups, model)
    nets.step(model, optimizer, inputs)
    for _ in range(2):
        for parameter in model.parameters():  # every tensor tells which of the weight's entries it belongs to
            moments = [v for v in optimizer.state.get(parameter, {}).values() if torch.is_tensor(v) and v.dim()]
            tensors = [*([parameter.grad] if parameter.grad is not None else []), *moments]
            for place, tensor in enumerate(tensors):
                tensor.copy_(parameter.detach() * (place + 2))
        before = dict(model.named_parameters())
        neurons.keep(model, draw_kept(data, neurons), optimizer)
        held = [p for group in optimizer.param_groups for p in group["params"]]
        assert [id(p) for p in held] == [id(p) for p in model.parameters()]
        assert set(optimizer.state) <= set(held)
        assert kind == "sgd" or all(state["step"] == 1 for state in optimizer.state.values())
        for key, parameter in model.named_parameters():
            state = optimizer.state.get(parameter, {})
            moments = [v for v in state.values() if torch.is_tensor(v) and v.dim()]
            assert len(moments) == (0 if before[key].grad is None else {"sgd": 1, "adam": 2}[kind])
            tensors = [*([parameter.grad] if parameter.grad is not None else []), *moments]
            assert all(torch.equal(t, parameter.detach() * (i + 2)) for i, t in enumerate(tensors))
    nets.step(model, optimizer, inputs)


@FEW
@given(name=architectures, data=st.data())
def test_the_weights_that_stay_are_those_that_the_librarys_own_pruning_leaves(name, data):
    model, inputs = nets.make(name)
    theirs = copy.deepcopy(model).eval()
    neurons = Neurons(find_groups(model, inputs).groups, model)
    kept = draw_kept(data, neurons)
    for key, units in kept.items():
        group = neurons.groups[key]
        gone = [u for u in range(group.units) if u not in units.tolist()]
        channels = [u * group.size + i for u in gone for i in range(group.size)]
        if channels:
            graph = torch_pruning.DependencyGraph().build_dependency(theirs, inputs, forward_fn=call)
            root = theirs.get_submodule(key)
            function = getattr(
                torch_pruning, f"prune_{'linear' if hasattr(root, 'in_features') else 'conv'}_out_channels"
            )
            graph.get_pruning_group(root, function, channels).prune()
    neurons.keep(model, kept)
    wanted, found = theirs.state_dict(), model.state_dict()
    assert wanted.keys() == found.keys()
    assert all(torch.equal(wanted[key], found[key]) for key in wanted)
    call(model, inputs)


@FEW
@given(name=architectures, data=st.data())
def test_removing_units_that_are_all_zero_changes_no_output(name, data):
    model, inputs = nets.make(name)
    optimizer = nets.optimizer_of(model, "sgd")
    for _ in range(2):
        nets.step(model, optimizer, inputs)
    neurons = Neurons(find_groups(model, inputs).groups, model)
    kept = draw_kept(data, neurons)
    with torch.no_grad():
        for key, units in kept.items():
            group = neurons.groups[key]
            gone = [u for u in range(group.units) if u not in units.tolist()]
            for member in group.members:
                if not member.reads and not member.tensor.startswith("running"):
                    tensor = getattr(model.get_submodule(member.module), member.tensor)
                    tensor[member.places[gone].flatten()] = 0
    whole = call(model.eval(), inputs)
    neurons.keep(model, kept)
    assert (call(model, inputs) - whole).abs().max() <= 1e-6


@FEW
@given(name=architectures, kind=optimizers, data=st.data())
def test_a_pruned_net_saved_loaded_and_continued_gives_the_same_bits(name, kind, data):
    model, inputs = nets.make(name)
    optimizer = nets.optimizer_of(model, kind)
    neurons = Neurons(find_groups(model, inputs).groups, model)
    for _ in range(2):  # two removals, in a run that goes on
        nets.step(model, optimizer, inputs)
        neurons.keep(model, draw_kept(data, neurons), optimizer)
    nets.step(model, optimizer, inputs)
    file = io.BytesIO()
    torch.save([neurons.state_dict(), model.state_dict(), optimizer.state_dict(), torch.get_rng_state()], file)
    for _ in range(2):
        nets.step(model, optimizer, inputs)

    again, _ = nets.make(name)
    other = nets.optimizer_of(again, kind)
    file.seek(0)
    live, weights, moments, random = torch.load(file, weights_only=True)
    Neurons(find_groups(again, inputs).groups, again).keep(again, live, other)
    again.load_state_dict(weights)
    other.load_state_dict(moments)
    torch.set_rng_state(random)
    for _ in range(2):
        nets.step(again, other, inputs)
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))


def test_an_optimizer_whose_state_has_other_shapes_than_its_weights_is_refused():
    model, inputs = nets.make("mlp")
    optimizer = torch.optim.Adafactor(model.parameters())
    nets.step(model, optimizer, inputs)
    neurons = Neurons(find_groups(model, inputs).groups, model)
    with pytest.raises(FrugalError, match="Adafactor keeps .* use optimizer"):
        neurons.keep(model, {"0": torch.arange(8)}, optimizer)
