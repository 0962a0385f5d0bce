"""Gradients of convolutions' weights from images side by side: the same sums, only where they are faster, and kept in a run."""

from contextlib import nullcontext

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import tiny
from frugal.training import convolution_gradients
from frugal.training.convolution_gradients import Layer, SideBySide, in_rows, layer_of, weight_gradient
from frugal.training.forward import Forward
from memory import Kept

CPU = torch.device("cpu")


def finished(cache, run, **options):
    trainer = tiny.trainer(cache, run, **options)
    trainer.run()
    return trainer


@given(
    count=st.integers(1, 40),
    size=st.tuples(st.integers(1, 9), st.integers(1, 40)),
    channels=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    kernel=st.sampled_from([3, 5, 7]),
    seed=st.integers(0, 2**16),
)
def test_the_gradient_is_torchs_own(count, size, channels, kernel, seed):
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(count, channels[0], *size, generator=draw, dtype=torch.float64)
    weight = torch.randn(channels[1], channels[0], kernel, kernel, generator=draw, dtype=torch.float64)
    weight.requires_grad_()
    y = functional.conv2d(x, weight, padding=kernel // 2)
    gradient = torch.randn(y.shape, generator=draw, dtype=torch.float64)
    (own,) = torch.autograd.grad(y, weight, gradient)
    torch.testing.assert_close(weight_gradient(gradient, x, weight), own)


def test_rows_hold_images_with_zeros_between_them():
    images = torch.arange(1.0, 6.0).view(5, 1, 1, 1).expand(5, 1, 2, 2)
    assert in_rows(images, 2, 1)[:, 0, 1].tolist() == [[1, 1, 0, 2, 2, 0], [3, 3, 0, 4, 4, 0], [5, 5, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("layer", "known"),
    [
        (nn.Conv2d(4, 8, 3, padding=1), Layer(4, 8, 3, 7, 6)),
        (nn.Conv2d(4, 8, 5, padding="same"), Layer(4, 8, 5, 7, 6)),
        (nn.Conv2d(4, 8, 3), None),
        (nn.Conv2d(4, 8, 3, padding="valid"), None),
        (nn.Conv2d(4, 8, 3, padding=2), None),
        (nn.Conv2d(4, 8, 1), None),
        (nn.Conv2d(4, 8, (3, 5), padding=(1, 2)), None),
        (nn.Conv2d(4, 8, 3, padding=1, stride=2), None),
        (nn.Conv2d(4, 8, 3, padding=1, dilation=2), None),
        (nn.Conv2d(4, 8, 3, padding=1, groups=2), None),
        (nn.Conv2d(4, 8, 3, padding=1).requires_grad_(False), None),
    ],
)
def test_convolutions_that_keep_the_size_of_images_are_known(layer, known):
    with convolution_gradients._Seen() as seen, torch.autocast("cpu", torch.bfloat16):
        layer(torch.zeros(2, 4, 7, 6))
    assert list(seen.layers) == ([] if known is None else [known])


class Net(nn.Module):
    """Two convolutions, of which the first has a bias; what it keeps of a pass tells which way it went."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.pool = nn.MaxPool2d(2)

    def forward(self, images):
        self.kept = self.second(self.pool(self.first(images)))
        return self.kept.mean((2, 3))


def gradients(net, images, layers):
    images = images.clone().requires_grad_()
    loss = Forward(net, CPU, "bfloat16", None, layers)(images).float().square().sum()
    loss.backward()
    found = {name: parameter.grad.clone() for name, parameter in net.named_parameters()}
    net.zero_grad()
    return loss.detach(), found | {"images": images.grad}


def test_a_step_has_the_same_gradients_and_only_the_layers_chosen_go_this_way():
    torch.manual_seed(0)
    net, images = Net(), torch.randn(10, 3, 14, 14)
    loss, own = gradients(net, images, [])
    assert type(net.kept.grad_fn).__name__ == "ConvolutionBackward0"
    again, found = gradients(net, images, [(8, 8, 3, 7, 7), (3, 8, 3, 14, 14)])
    assert type(net.kept.grad_fn).__name__ == "_ConvolutionBackward"
    assert again == loss
    for name, gradient in own.items():
        assert found[name].dtype == gradient.dtype
        torch.testing.assert_close(found[name], gradient, rtol=0.02, atol=0.02 * gradient.abs().max().item())
    gradients(net, images, [(8, 8, 3, 14, 14)])
    assert type(net.kept.grad_fn).__name__ == "ConvolutionBackward0"


def test_nothing_that_is_frozen_is_given_a_gradient():
    net = Net()
    net.first.requires_grad_(False)
    gradients_of = Forward(net, CPU, "bfloat16", None, [(8, 8, 3, 7, 7), (3, 8, 3, 14, 14)])
    gradients_of(torch.randn(10, 3, 14, 14)).sum().backward()
    assert net.first.weight.grad is None
    assert net.second.weight.grad is not None
    with torch.autocast("cpu", torch.bfloat16):
        assert layer_of(torch.zeros(1, 3, 14, 14), net.first.weight, None, 1, 1) is None


def test_a_part_of_a_net_that_turns_autocast_off_is_left_alone():
    layer = nn.Conv2d(3, 8, 3, padding=1)
    with SideBySide([(3, 8, 3, 14, 14)]), torch.autocast("cpu", torch.bfloat16):
        assert type(layer(torch.randn(2, 3, 14, 14)).grad_fn).__name__ == "_ConvolutionBackward"
        with torch.autocast("cpu", enabled=False):
            assert layer(torch.randn(2, 3, 14, 14)).dtype == torch.float32


def test_gradients_can_be_differentiated_once_more():
    torch.manual_seed(0)
    layer, x = nn.Conv2d(3, 8, 3, padding=1), torch.randn(5, 3, 7, 7)

    def penalty(mode):
        with mode, torch.autocast("cpu", torch.bfloat16):
            loss = layer(x).float().square().mean()
        (first,) = torch.autograd.grad(loss, layer.weight, create_graph=True)
        return torch.autograd.grad(first.square().sum(), layer.weight)[0]

    own, ours = penalty(nullcontext()), penalty(SideBySide([(3, 8, 3, 7, 7)]))
    torch.testing.assert_close(ours, own, rtol=0.05, atol=0.05 * own.abs().max().item())


# Choosing


def of_gain(gain, timed):
    return lambda layer, count: timed.append((layer, count)) or gain


@pytest.mark.parametrize("gain", [2.0, 1.05])
def test_layers_are_chosen_where_they_gain(monkeypatch, gain):
    timed, net = [], Net()
    monkeypatch.setattr(convolution_gradients, "WORTH_TIMING", 2 * 10 * 49 * 9 * 64)
    monkeypatch.setattr(convolution_gradients, "_gain", of_gain(gain, timed))
    layers, notes = convolution_gradients.choose(net, [torch.randn(10, 3, 14, 14), torch.randn(10, 3, 16, 16)])
    smaller = Layer(8, 8, 3, 7, 7)
    assert [layer for layer, _ in timed] == [
        Layer(3, 8, 3, 14, 14),
        smaller,
        Layer(3, 8, 3, 16, 16),
        Layer(8, 8, 3, 8, 8),
    ]
    if gain > convolution_gradients.PAYS:
        assert smaller in layers
        assert "1/2.0 for 8 to 8 channels at 7x7" in notes[0]
    else:
        assert (layers, notes) == ([], [])


def test_small_work_and_wide_images_are_not_timed(monkeypatch):
    timed = []
    monkeypatch.setattr(convolution_gradients, "_gain", of_gain(9.0, timed))
    assert convolution_gradients.choose(Net(), [torch.randn(10, 3, 14, 14)]) == ([], [])
    monkeypatch.setattr(convolution_gradients, "WORTH_TIMING", 0)
    assert convolution_gradients.choose(nn.Conv2d(3, 3, 3, padding=1), [torch.randn(1, 3, 40, 40)]) == ([], [])
    assert timed == []


def test_a_gain_is_measured_and_draws_nothing_that_a_run_would_draw(digits, monkeypatch):
    monkeypatch.setattr(convolution_gradients, "WORTH_TIMING", 0)
    monkeypatch.setattr(convolution_gradients, "PAYS", 0)
    recipe = {"precision": "bfloat16", "epochs": 1}
    trainer = tiny.trainer(digits, tiny.spec(recipe=recipe))
    before, random = {k: v.clone() for k, v in trainer.model.state_dict().items()}, torch.get_rng_state()
    trainer.get_ready()
    assert trainer.chosen["side_by_side"]
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in trainer.model.state_dict().items())
    still = tiny.trainer(digits, tiny.spec(recipe=recipe | {"deterministic": True}))
    still.get_ready()
    assert still.chosen["side_by_side"] == []


def test_a_continued_run_keeps_its_layers(digits, monkeypatch):
    monkeypatch.setattr(convolution_gradients, "WORTH_TIMING", 0)
    monkeypatch.setattr(convolution_gradients, "_gain", of_gain(3.0, []))
    run, kept = tiny.spec(recipe={"precision": "bfloat16"}), Kept()
    first = finished(digits, run, checkpoints=kept)
    monkeypatch.setattr(convolution_gradients, "_gain", of_gain(0.1, []))
    again = finished(digits, run, checkpoints=kept)
    assert again.chosen == first.chosen
    assert again.forward.gradients.layers == set(first.chosen["side_by_side"]) != set()
    assert any("images side by side" in note for note in again.notes)
