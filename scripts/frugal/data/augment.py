"""Random crops and horizontal flip for a whole batch at once, without waiting for the device.

A crop is a shift of the padded image, or a rectangle seen at full size: Szegedy et al., "Going Deeper with Convolutions",
CVPR 2015, https://arxiv.org/abs/1409.4842: a share of the area and an aspect ratio are drawn. As torchvision's
RandomResizedCrop draws them: sides in whole pixels, ten tries to find a rectangle that fits. Images are never reduced by
it, since a crop is at most as large as the image, so bilinear sampling needs no filter against aliasing.
"""

from math import log

import torch
from torch import Tensor
from torch.nn import functional

RATIO = (3 / 4, 4 / 3)  # of width to height
TRIES = 10


def augment(
    images: Tensor,
    crop_padding: int,
    flip: bool,
    generator: torch.Generator,
    share: tuple[int, int, int] | None = None,
    padding: str = "constant",
    resized_crop: tuple[float, float] | None = None,
    mirrored: Tensor | None = None,
) -> Tensor:
    """images: (b, C, H, W) -> the same shape, each sample cropped and flipped by its own draw.

    crop_padding: pixels added on each side before a random H x W crop
    padding: their values, "constant" for zeros (the mean pixel, once images are normalised) or "reflect"
    generator: on the images' device
    share: where the images are every n-th sample, from the first on, of a batch of that size, (first, n, size): they get
        the draws they would get in the whole batch, and the generator advances as for the whole
    resized_crop: least and largest share of the area of a random rectangle, seen at full size in place of the shift; None
        for none
    mirrored: (b,) bool, which images are flipped where that is known and not drawn, in place of `flip`; None for none
    """
    if not crop_padding and not flip and not resized_crop and mirrored is None:
        return images
    b, _, height, width = images.shape
    device = images.device
    first, stride, whole = share or (0, 1, b)
    if mirrored is not None:
        mirrored = mirrored[:, None]
    elif flip:
        mirrored = torch.rand(whole, 1, device=device, generator=generator)[first::stride] < 0.5
    if resized_crop:
        crops = draw_crops(whole, height, width, resized_crop, device, generator)
        mirrored = torch.zeros(b, dtype=torch.bool, device=device) if mirrored is None else mirrored.squeeze(1)
        return resize_crops(images, *(drawn[first::stride] for drawn in crops), mirrored)
    rows = torch.arange(height, device=device).expand(b, height)
    columns = torch.arange(width, device=device).expand(b, width)
    if mirrored is not None:
        columns = torch.where(mirrored, width - 1 - columns, columns)
    if crop_padding:
        images = functional.pad(images, [crop_padding] * 4, mode=padding)
        shift = torch.randint(0, 2 * crop_padding + 1, (2, whole, 1), device=device, generator=generator)
        shift = shift[:, first::stride]
        rows, columns = rows + shift[0], columns + shift[1]
    sample = torch.arange(b, device=device).view(b, 1, 1)
    # Advanced indices around a slice put channels last: (b, H, W, C), which is the layout convolutions like.
    return images[sample, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def alternating_flips(first: Tensor, indices: Tensor, epoch: int) -> Tensor:
    """(b,) bool, which of the samples `indices` (b,) are mirrored in an epoch, from 0: all the other way round in each next one.

    first: (n,) bool, which of all samples are mirrored in epoch 0, drawn once. So any two epochs in turn show a sample both
    ways, where flips that are drawn anew show it twice the same way half of the time.
    Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", https://arxiv.org/abs/2404.00498.
    """
    chosen = first.index_select(0, indices)
    return ~chosen if epoch % 2 else chosen


def draw_crops(
    count: int, height: int, width: int, area: tuple[float, float], device: torch.device, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Top, left, height and width of so many crops, each (count,) float32 with whole numbers.

    area: least and largest share of the image's area
    """
    shares = torch.empty(count, TRIES, device=device).uniform_(*area, generator=generator)
    ratios = torch.empty(count, TRIES, device=device).uniform_(log(RATIO[0]), log(RATIO[1]), generator=generator).exp()
    place = torch.rand(2, count, device=device, generator=generator)
    wide, high = (
        (shares * ratios * (height * width)).sqrt().round(),
        (shares / ratios * (height * width)).sqrt().round(),
    )
    fits = (wide <= width) & (high <= height) & (wide > 0) & (high > 0)
    first = fits.to(torch.uint8).argmax(1, keepdim=True)
    found = fits.any(1)
    # Where no try fits, the largest centred rectangle of an allowed ratio, which for a square is all of it.
    most_wide, most_high = min(width, round(height * RATIO[1])), min(height, round(width / RATIO[0]))
    wide = torch.where(found, wide.gather(1, first).squeeze(1), most_wide)
    high = torch.where(found, high.gather(1, first).squeeze(1), most_high)
    top, left = (place[0] * (height - high + 1)).floor(), (place[1] * (width - wide + 1)).floor()
    top = torch.where(found, top, (height - most_high) // 2)
    left = torch.where(found, left, (width - most_wide) // 2)
    return top, left, high, wide


def resize_crops(images: Tensor, top: Tensor, left: Tensor, high: Tensor, wide: Tensor, mirrored: Tensor) -> Tensor:
    """Each image's rectangle at the size of the image, mirrored where asked. images: (b, C, H, W); all others: (b,)."""
    height, width = images.shape[2:]
    rows = _positions(top, high, height)
    columns = _positions(left, wide, width)
    columns = torch.where(mirrored[:, None], columns.flip(1), columns)
    # grid_sample counts from -1 to 1, from border to border.
    down, across = (2 * rows + 1) / height - 1, (2 * columns + 1) / width - 1
    grid = torch.stack((across[:, None].expand(-1, height, -1), down[:, :, None].expand(-1, -1, width)), -1)
    return functional.grid_sample(images, grid.to(images.dtype), "bilinear", "border", align_corners=False)


def _positions(start: Tensor, length: Tensor, pixels: int) -> Tensor:
    """Where each of `pixels` new pixels lies, (b, pixels), in old ones; at the edge of the crop, never beyond it."""
    centres = (torch.arange(pixels, device=start.device) + 0.5) / pixels
    inside = (centres * length[:, None] - 0.5).clamp(min=0).minimum(length[:, None] - 1)
    return start[:, None] + inside
