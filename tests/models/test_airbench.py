"""The net of airbench: its first layer whitens, its filters pass their inputs on, and small images are taken or refused."""

import os
import signal

import pytest
import torch

import kinds
import tiny
from frugal import registry
from frugal.data.cache import open_cache
from frugal.errors import FrugalError
from frugal.models.airbench import LEAST_SIZE, build
from frugal.training.signals import Interrupted
from frugal.training.writer import metrics
from memory import Memory


def smooth(count=400, channels=3, size=12):
    """Images whose neighbouring pixels and channels are correlated, as photographs' are."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(count, channels, size, size, generator=draw).cumsum(2).cumsum(3).cumsum(1)
    return (images - images.mean()) / images.std()


def test_the_first_layer_whitens_the_patches_it_was_fitted_to():
    net, images = build((3, 12, 12), 10, epsilon=1e-9), smooth()
    before = net.whiten(images)[:, :12].permute(1, 0, 2, 3).flatten(1)
    net.initialise(images)
    answers = net.whiten(images).permute(1, 0, 2, 3).flatten(1)
    moments = answers[:12] @ answers[:12].T / answers.shape[1]
    torch.testing.assert_close(moments, torch.eye(12), atol=0.02, rtol=0)
    assert (before @ before.T / before.shape[1] - torch.eye(12)).abs().max() > 0.2, "it wasn't white before"
    torch.testing.assert_close(answers[12:], -answers[:12])


def test_variance_that_is_hardly_there_is_not_blown_up():
    net, images = build((3, 12, 12), 10, epsilon=0.5), smooth()
    net.initialise(images)
    answers = net.whiten(images)[:, :12].permute(1, 0, 2, 3).flatten(1)
    powers = answers.square().mean(1)
    assert powers[0] > 0.9, "the largest comes first"
    assert powers[-1] < 0.1


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.rand(5, 3, 1, 1).expand(5, 3, 12, 12), "each of 5 training images is of one colour throughout"),
        (torch.full((5, 3, 12, 12), float("nan")), "values that are no numbers"),
    ],
)
def test_what_can_not_be_whitened_is_refused(images, says):
    net = build((3, 12, 12), 10)
    before = net.whiten.weight.clone()
    with pytest.raises(FrugalError, match=says):
        net.initialise(images)
    assert torch.equal(net.whiten.weight, before)


def test_filters_pass_their_inputs_on_as_far_as_there_are_inputs():
    net, hidden = build((3, 12, 12), 10), torch.randn(2, 24, 9, 9)
    passed = net.groups[0][0](hidden)
    torch.testing.assert_close(passed[:, :24], hidden)
    assert net.groups[0][0].weight[24:].std() > 0.01, "the others are random"


@pytest.mark.parametrize("channels", [1, 3])
def test_the_least_size_is_taken_and_one_pixel_less_is_refused(tmp_path, channels):
    least = (channels, LEAST_SIZE, LEAST_SIZE + 2)
    net = build(least, 4)
    assert net(torch.randn(2, *least)).shape == (2, 4)
    says = "9 pixels per side or more"
    with pytest.raises(FrugalError, match=says):
        net(torch.randn(2, channels, LEAST_SIZE + 2, LEAST_SIZE - 1))
    with pytest.raises(FrugalError, match=says):
        build((channels, LEAST_SIZE - 1, 32), 4)
    with pytest.raises(FrugalError, match=f"model airbench takes images of {says}, those of digits have 8x8"):
        kinds.plan_of(tmp_path, {"datasets": ["digits"], "models": ["airbench"]})


@pytest.fixture(scope="module")
def digits16(tmp_path_factory):
    return open_cache(tiny.write_digits(tmp_path_factory.mktemp("digits16"), times=2))


def run(use="full", seed=0, **parameters):
    spec = tiny.spec(use, seed, {"rates": {"norm_bias": 4}, "weight_decay": 1e-3}, **parameters).model_dump()
    spec["dataset"]["shape"] = (1, 16, 16)
    model = {"name": "airbench", "use": "airbench", "parameters": {"channels": [8, 8, 8], "bias_epochs": 1}}
    return type(tiny.spec()).model_validate(spec | {"model": model})


def test_it_is_initialised_once_by_the_seed_and_its_first_layer_stays(digits16):
    one, same, other = (tiny.trainer(digits16, run(seed=seed)) for seed in (0, 0, 1))
    seen = []
    inner = one.model.initialise
    one.model.initialise = lambda images: (seen.append(images), inner(images))
    drawn = one.model.whiten.weight.clone()
    one.train_epoch()
    first, bias = one.model.whiten.weight.clone(), one.model.whiten.bias.clone()
    assert [len(images) for images in seen] == [300]
    assert not torch.equal(first, drawn)
    expected = build((1, 16, 16), 10)
    expected.initialise(seen[0])
    assert torch.equal(first, expected.whiten.weight)
    assert bias.abs().max() > 0
    one._close_epoch()
    one.train_epoch()
    assert len(seen) == 1
    assert torch.equal(one.model.whiten.weight, first)
    assert torch.equal(one.model.whiten.bias, bias), "trained for one epoch only"
    same.train_epoch()
    other.train_epoch()
    assert torch.equal(same.model.whiten.weight, first)


def test_a_step_costs_less_once_no_gradient_has_to_reach_the_first_layer(digits16):
    trainer = tiny.trainer(digits16, run())
    trainer.run()
    by_epoch = [row["flops_executed"] for row in trainer.history.rows]
    first, second, third = (after - before for before, after in zip([0, *by_epoch], by_epoch, strict=False))
    gradient = 2 * 9 * 8 * 8 * 15 * 15  # of the inputs of the first convolution of the first group, 8 to 8 channels
    assert second == third
    assert first - second == 300 * gradient


def test_its_run_goes_on_as_if_nothing_had_happened(digits16):
    whole = tiny.trainer(digits16, run())
    whole.run()
    stopped = tiny.trainer(digits16, run(), checkpoints=Memory(), checkpoint_seconds=1e9)
    stopped.strategy.after_step = lambda t: t.ledger.steps == 13 and os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Interrupted):
        stopped.run()
    continued = tiny.trainer(digits16, run(), checkpoints=Memory(stopped.checkpoints.content))
    continued.model.initialise = None  # which nobody may call
    continued.run()
    continued.ledger.resumes = 0
    assert tiny.outcome(metrics(continued, "")) == tiny.outcome(metrics(whole, ""))
    states = (trainer.model.state_dict() for trainer in (continued, whole))
    assert [v.tolist() for v in next(states).values()] == [v.tolist() for v in next(states).values()]


@pytest.mark.parametrize(
    ("use", "parameters"),
    [
        ("infobatch", {}),
        ("ast", {"scoring": "remembered", "target": 0.5}),
        ("compression", {"k_lo": 10, "k_hi": 14, "decode": "spectral"}),
        ("frequency_curriculum", {"stages": [[10, 0.5], [16, 1]]}),
        ("interpolated_curriculum", {"stages": [[10, 0.5], [16, 1]], "ahead": 0.3}),
        ("sparse", {"sparsity": 0.5, "kernel": "scatter"}),
        ("rigl", {"sparsity": 0.5, "every": 3, "kernel": "scatter"}),
        ("dynamic_pruning", {"target_flops": 0.7, "every": 2, "round_to": 1, "step": 0.2, "events": 4, "until": 0.8}),
    ],
)
def test_strategies_that_change_nets_and_samples_can_be_trained_on_it(digits16, use, parameters):
    trainer = tiny.trainer(digits16, run(use, **parameters))
    trainer.run()
    figures = metrics(trainer, "")
    assert figures["flops_executed"] > 0
    assert not trainer.model.whiten.weight.requires_grad
    if use == "dynamic_pruning":
        assert figures["live_parameters"] < figures["parameters"]


@pytest.mark.parametrize(
    ("use", "parameters", "smallest"),
    [
        ("compression", {"k_lo": 8, "k_hi": 14, "decode": "spectral"}, 8),
        ("ast", {"scoring": "half"}, 8),
        ("combined", {"parts": [{"use": "infobatch"}, {"use": "compression", "k_hi": 8, "decode": "spectral"}]}, 8),
        (
            "combined",
            {
                "parts": [
                    {"use": "ast", "scoring": "half"},
                    {"use": "frequency_curriculum", "stages": [[9, 0.5], [16, 1]]},
                ]
            },
            5,
        ),
    ],
)
def test_a_strategy_that_would_show_it_smaller_images_is_refused_before_it_trains(digits16, use, parameters, smallest):
    filled = registry.check("strategy", use, parameters, "here")
    with pytest.raises(FrugalError, match=f"here {smallest} pixels per side, and model airbench takes 9 or more"):
        tiny.trainer(digits16, run(use, **filled))


def test_levels_are_held_against_the_least_size_when_the_config_is_read(tmp_path):
    strategies = {"full": {"use": "full"}, "spectral": {"use": "compression", "k_hi": 24, "decode": "spectral"}}
    scale = {"datasets": ["cifar-10"], "models": ["airbench"]}
    with pytest.raises(FrugalError, match="spectral: .* here 8 pixels per side, and model airbench takes 9 or more"):
        kinds.plan_of(tmp_path / "scaled", {**scale, "levels_for": 96}, strategies)
    assert "spectral" in kinds.plan_of(tmp_path / "plain", scale, strategies).studies["mixed"].trained
