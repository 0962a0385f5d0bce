"""Policies of augmentation are torchvision's, with draws that the run's seed, the step and the sample decide alone."""

import pytest
import torch
from torchvision.transforms import v2

import kinds
import tiny
from frugal.data.policies import Policy
from frugal.errors import FrugalError
from frugal.recipe import Augment, Recipe
from frugal.spec import parse

MEAN, STD = [120.0, 110.0, 100.0], [60.0, 61.0, 62.0]
PIXELS = torch.randint(0, 256, (6, 3, 12, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def normalised(images):
    mean, std = (torch.tensor(one).view(1, -1, 1, 1) for one in (MEAN, STD))
    return (images.float() - mean) / std


@pytest.mark.parametrize("policy", ["randaugment", "trivialaugment"])
def test_draws_are_of_the_sample_and_the_step_and_leave_torchs_alone(policy):
    change = Policy(Augment(policy=policy), MEAN, STD, torch.device("cpu"))
    images, samples = normalised(PIXELS), torch.arange(6) + 40
    state = torch.get_rng_state()
    once = change(images, samples, (7, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(3)
    assert torch.equal(change(images, samples, (7, 1, 2)), once)
    assert torch.equal(change(images[1::2], samples[1::2], (7, 1, 2)), once[1::2]), "another rank's share"
    assert not torch.equal(change(images, samples, (7, 1, 3)), once)
    assert not torch.equal(change(images, samples, (8, 1, 2)), once)
    same = change(images[:1].expand(6, -1, -1, -1), samples, (7, 1, 2))
    assert len(same.unique(dim=0)) > 1, "each image has draws of its own"


def test_what_comes_back_is_what_torchvision_makes_of_the_pixels(monkeypatch):
    change = Policy(Augment(policy="randaugment", operations=1, magnitude=30), MEAN, STD, torch.device("cpu"))
    assert (change.transform.num_ops, change.transform.magnitude) == (1, 30)
    given = []
    monkeypatch.setattr(change, "transform", lambda image: given.append(image) or v2.functional.invert(image))
    found = change(normalised(PIXELS), torch.arange(6), (0,))
    assert torch.equal(torch.stack(given), PIXELS), "8 bits, exactly"
    torch.testing.assert_close(found, normalised(255 - PIXELS))


def test_images_of_other_channels_and_keys_of_another_policy_are_refused(tmp_path, digits):
    with pytest.raises(FrugalError, match="augment.magnitude is 12; it belongs to policy randaugment; leave it out"):
        parse(Recipe, {"epochs": 1, "batch_size": 1, "learning_rate": 1, "augment": {"magnitude": 12}}, "recipe")
    text = kinds.spec("text", recipe={"augment": {"policy": "trivialaugment"}})
    trainer = tiny.trainer(kinds.cache("text", tmp_path), text)
    assert trainer.policy is None
    assert any("recipe.augment: not applied" in note for note in trainer.notes)
    run = tiny.spec(recipe={"augment": {"policy": "trivialaugment"}})
    digits.manifest["shape"][0] = 4
    try:
        with pytest.raises(FrugalError, match="of 1 or 3 channels, and those of digits have 4; leave it out"):
            tiny.trainer(digits, run)
    finally:
        digits.manifest["shape"][0] = 1
