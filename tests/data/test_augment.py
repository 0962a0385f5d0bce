"""Augmentation of a batch is augmentation of each image."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from frugal.data.augment import augment


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
