"""Augmentation of a batch is augmentation of each image."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from torchvision.transforms import RandomResizedCrop

from frugal.data.augment import alternating_flips, augment, draw_crops, resize_crops
from frugal.errors import FrugalError
from frugal.recipe import Augment
from frugal.spec import parse


@given(
    padding=st.integers(0, 4),
    mode=st.sampled_from(["constant", "reflect"]),
    flip=st.booleans(),
    seed=st.integers(0, 999),
    channels=st.integers(1, 3),
)
def test_every_image_is_one_of_its_own_crops(padding, mode, flip, seed, channels):
    images = torch.rand(4, channels, 6, 6, generator=torch.Generator().manual_seed(seed))
    changed = augment(images, padding, flip, torch.Generator().manual_seed(seed), padding=mode)
    assert changed.shape == images.shape
    padded = functional.pad(images, [padding] * 4, mode=mode)
    for image, whole in zip(changed, padded, strict=True):
        crops = [whole[:, y : y + 6, x : x + 6] for y in range(2 * padding + 1) for x in range(2 * padding + 1)]
        crops += [crop.flip(2) for crop in crops] if flip else []
        assert any(torch.equal(image, crop) for crop in crops)


def test_all_shifts_and_both_sides_occur_and_images_differ_from_each_other():
    image = torch.arange(36.0).view(1, 1, 6, 6).repeat(2000, 1, 1, 1)
    changed = augment(image, 1, True, torch.Generator().manual_seed(0))
    assert len({tuple(i.flatten().tolist()) for i in changed}) == 9 * 2


AREA = (0.08, 1.0)


def drawn(count, height, width, seed=0, area=AREA):
    return draw_crops(count, height, width, area, torch.device("cpu"), torch.Generator().manual_seed(seed))


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    least=st.floats(0.01, 1),
    seed=st.integers(0, 999),
)
def test_every_resized_crop_lies_within_the_image(height, width, least, seed):
    top, left, high, wide = drawn(50, height, width, seed, (least, 1.0))
    assert ((top >= 0) & (left >= 0) & (high >= 1) & (wide >= 1)).all()
    assert ((top + high <= height) & (left + wide <= width)).all()


def test_resized_crops_are_drawn_as_torchvision_draws_them():
    """Means and deviations of area, aspect and centre over many crops."""
    size, count = 224, 4000
    torch.manual_seed(0)
    image = torch.empty(3, size, size)
    theirs = torch.tensor([RandomResizedCrop.get_params(image, list(AREA), [3 / 4, 4 / 3]) for _ in range(count)]).T
    ours = torch.stack(drawn(count, size, size))
    assert (ours[2] * ours[3]).min() / size**2 > 0.078
    for measured in (
        lambda top, left, high, wide: high * wide / size**2,
        lambda top, left, high, wide: (wide / high).log(),
        lambda top, left, high, wide: (top + high / 2) / size,
        lambda top, left, high, wide: (left + wide / 2) / size,
    ):
        one, other = measured(*ours.double()), measured(*theirs.double())
        assert abs(one.mean() - other.mean()) < 4 * one.std() * (2 / count) ** 0.5
        assert abs(one.std() / other.std() - 1) < 0.06


@given(seed=st.integers(0, 999), size=st.integers(4, 24))
def test_a_resized_crop_is_the_rectangle_seen_at_full_size(seed, size):
    images = torch.rand(4, 3, size, size, generator=torch.Generator().manual_seed(seed))
    crops = drawn(4, size, size, seed)
    mirrored = torch.tensor([False, True, False, True])
    seen = resize_crops(images, *crops, mirrored)
    for number, (top, left, high, wide) in enumerate(torch.stack(crops, 1).int().tolist()):
        cut = images[number : number + 1, :, top : top + high, left : left + wide]
        expected = functional.interpolate(cut, size=(size, size), mode="bilinear", align_corners=False)[0]
        expected = expected.flip(2) if mirrored[number] else expected
        torch.testing.assert_close(seen[number], expected, atol=2e-5, rtol=0)


@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("wanted", [{"crop_padding": 2}, {"crop_padding": 0, "resized_crop": AREA}])
def test_ranks_that_share_a_batch_augment_it_as_one_would(ranks, wanted):
    images = torch.rand(7, 3, 12, 12)
    alone = torch.Generator().manual_seed(3)
    whole = augment(images, flip=True, generator=alone, **wanted)
    for rank in range(ranks):
        generator = torch.Generator().manual_seed(3)
        share = augment(images[rank::ranks], flip=True, generator=generator, share=(rank, ranks, 7), **wanted)
        assert torch.equal(share, whole[rank::ranks])
        assert torch.equal(generator.get_state(), alone.get_state())


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"resized_crop": [0, 1]}, "resized_crop is .*; give two shares of the area"),
        ({"resized_crop": [0.5, 0.2]}, "the smaller one first"),
        ({"resized_crop": [0.08, 1], "crop_padding": 4}, "it replaces crop_padding"),
    ],
)
def test_a_resized_crop_that_makes_no_sense_is_refused_in_words(wanted, says):
    with pytest.raises(FrugalError, match=says):
        parse(Augment, wanted, "recipe.augment")


@given(seed=st.integers(0, 999), epoch=st.integers(0, 9), batch=st.integers(1, 5))
def test_alternating_flips_show_each_sample_both_ways_in_any_two_epochs_whatever_batch_it_is_in(seed, epoch, batch):
    draw = torch.Generator().manual_seed(seed)
    images, first = torch.rand(12, 2, 5, 5, generator=draw), torch.rand(12, generator=draw) < 0.5

    def seen(epoch):
        shown = torch.empty_like(images)
        for indices in torch.randperm(12, generator=draw).split(batch):
            mirrored = alternating_flips(first, indices, epoch)
            shown[indices] = augment(images[indices], 0, False, draw, mirrored=mirrored)
        return shown

    one, next_one = seen(epoch), seen(epoch + 1)
    assert torch.equal(next_one, one.flip(3))
    assert torch.equal(seen(epoch + 2), one)
    mirrored = first if epoch % 2 == 0 else ~first
    assert torch.equal(one, torch.where(mirrored[:, None, None, None], images.flip(3), images))


@pytest.mark.parametrize("wanted", [{"crop_padding": 2}, {"crop_padding": 0, "resized_crop": AREA}])
def test_known_flips_leave_the_draws_of_crops_alone(wanted):
    images, all_of_them = torch.rand(6, 1, 8, 8), torch.ones(6, dtype=torch.bool)
    plain = augment(images, flip=False, generator=torch.Generator().manual_seed(1), **wanted)
    mirrored = augment(images, flip=False, generator=torch.Generator().manual_seed(1), mirrored=all_of_them, **wanted)
    if "resized_crop" in wanted:
        torch.testing.assert_close(mirrored, plain.flip(3))
    else:
        padded = functional.pad(images, [2] * 4)
        assert all(
            any(torch.equal(m, w[:, y : y + 8, x : x + 8].flip(2)) for y in range(5) for x in range(5))
            for m, w in zip(mirrored, padded, strict=True)
        )
